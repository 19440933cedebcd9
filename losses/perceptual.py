"""The training objective: a sum of named terms, each with its weight."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from config import TrainingConfig
from losses.content_ceiling import ContentCeiling
from losses.functional import checkerboard_loss, is_flat
from losses.temporal import Views, temporal_loss
from losses.terms import Batch, Batches, Content, LossNetwork, Style, TotalVariation
from losses.tones import Palette, Tone


class Term(NamedTuple):
    """A term of the objective."""

    name: str  # as metrics, plots and tables call it
    weight: float  # its lambda; a term of weight 0 is not computed and counts as 0
    function: Callable[[Batch], torch.Tensor]  # see losses.terms


def _temporal(batch: Batch) -> torch.Tensor:
    if batch.views is None:
        return batch.stylized.new_zeros(())
    return temporal_loss(batch.stylized, batch.moved, batch.views.motion)


@dataclass(frozen=True)
class Losses:
    """The objective of one batch: the total has a gradient, all else has none."""

    total: torch.Tensor  # scalar, what is minimised
    raw: dict[str, torch.Tensor]  # each term before its weight; N values, one for each photograph, or one for all
    weighted: dict[str, torch.Tensor]  # the same times weight and level; the sum of their means is the total
    content_to_grey: torch.Tensor | None  # relative to a uniform grey picture's; None without a painting
    style: torch.Tensor  # N whole numbers, the style of each photograph


class PerceptualLoss(nn.Module):
    """Equation 5 of the paper with total variation, and four terms of ours.

    A photograph of next to one colour, an empty frame of a film say, tells the network nothing, and without a variance
    every normalisation layer multiplies its gradient, by 300 or so: it is counted, and has no gradient.

    Its ``state_dict`` holds what the terms and the ceiling measured before a training and what they keep during one.

    Args:
        style_images: 1 x 3 x H x W each, RGB in [0, 255], on the device.
        size: height and width of what will be compared; a number for squares.
        ceiling: eases the style term where the content would drown; left out, nothing is eased.
        paintings: the style images as large as they are, for their colours: resizing and smoothing take the lightest
            and the darkest away; left out, ``style_images``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        vgg: LossNetwork,
        style_images: Sequence[torch.Tensor],
        size: int | tuple[int, int],
        ceiling: ContentCeiling | None = None,
        paintings: Sequence[torch.Tensor] | None = None,
    ):
        super().__init__()
        # A function, and no submodule: the weights of VGG are not this one's state.
        self.network, device = lambda images, names: vgg(images, names), style_images[0].device
        paintings = paintings or style_images
        self.terms = [
            Term("content", config.content_weight, Content(self.network, config.content_layer)),
            Term("style", config.style_weight, Style(self.network, style_images, config)),
            Term("total_variation", config.tv_weight, TotalVariation()),
            Term("checkerboard", config.checkerboard_weight, lambda batch: checkerboard_loss(batch.stylized)),
            Term("temporal", config.temporal_weight, _temporal),
            Term("palette", config.palette_weight, Palette(paintings)),
            Term("tone", config.tone_weight, Tone(paintings)),
        ]
        functions = {term.name: term.function for term in self.terms}
        self.functions = nn.ModuleDict({k: f for k, f in functions.items() if isinstance(f, nn.Module)}).to(device)
        self.ceiling = (ceiling or ContentCeiling(math.inf, 1, len(style_images))).to(device)
        self.content_layer, self.is_relative = config.content_layer, config.loss_scale == "relative"
        self._layers = (*config.style_layers, config.content_layer)
        with torch.no_grad():
            grey = torch.full((1, 3, *((size, size) if isinstance(size, int) else size)), 127.5, device=device)
            self.grey = self.network(grey, (config.content_layer,))[config.content_layer]

    @torch.no_grad()
    def measure(self, batches: Batches) -> None:
        """Measure what the terms need to know of painting and photographs before a training, such as their scales."""
        for function in self.functions.values():
            if hasattr(function, "measure") and (self.is_relative or not hasattr(function, "scale")):
                function.measure(batches)

    def scales(self) -> dict[str, float | list]:
        """What each term is divided by. Style has a number for each Gram matrix, and several styles such a row each."""
        return {name: scale.squeeze(0).tolist() for name, scale in self._scales().items()}

    def set_scales(self, scales: Mapping) -> None:
        """Take over what :meth:`scales` of another objective gives; ValueError or TypeError if it is of other terms."""
        own = self._scales()
        if scales.keys() != own.keys():
            raise ValueError(f"scales of {', '.join(map(str, scales))} in place of {', '.join(own)}")
        for name, scale in own.items():
            value = torch.as_tensor(scales[name], dtype=scale.dtype)
            if value.numel() != scale.numel() or not ((value > 0) & value.isfinite()).all():
                raise ValueError(f"{scales[name]} as the scale of {name}")
            scale.copy_(value.view_as(scale))

    def _scales(self) -> dict[str, torch.Tensor]:
        return {name: function.scale for name, function in self.functions.items() if hasattr(function, "scale")}

    def forward(
        self,
        stylized: torch.Tensor,
        photographs: torch.Tensor,
        style: torch.Tensor | None = None,
        views: Views | None = None,
    ) -> Losses:
        """The objective of N results, and of their N photographs, N x 3 x H x W, RGB in [0, 255].

        ``style`` is N whole numbers, the style of each; left out, all have the first. With ``views`` the second half of
        the batch are second views of the first half. They count in the temporal term alone, and photographs that were
        softened count in all but the style term.
        """
        stylized, moved, photographs, style = apart(stylized, photographs, style, views)
        with torch.no_grad():
            target = self.network(photographs, (self.content_layer,))[self.content_layer]
        features = self.network(stylized, self._layers)
        batch = Batch(stylized, photographs, style, features, target, moved, views)
        zero = stylized.new_zeros(())
        raw = {  # the content counts against grey, whatever its weight
            term.name: term.function(batch) if term.weight or term.name == "content" else zero for term in self.terms
        }
        eased = raw | {"style": self.ceiling.level()[style] * raw["style"]}
        weighted = {term.name: term.weight * eased[term.name] for term in self.terms}
        greys = self.functions["content"].distance(self.grey.expand_as(target), target)
        return summed(raw, weighted, self.ceiling.observe(raw["content"].detach(), greys, style), style)


def apart(stylized, photographs, style, views) -> tuple:
    """The arguments of an objective, see :meth:`PerceptualLoss.forward`, with second views taken apart from the rest.

    Gives ``stylized``, their second views or ``None``, ``photographs`` and ``style``. What was made of a photograph of
    next to one colour has no gradient.
    """
    if style is None:
        style = torch.zeros(len(photographs), dtype=torch.long, device=photographs.device)
    moved = None
    if views is not None:
        stylized, moved = stylized.chunk(2)
        photographs, style = photographs.chunk(2)[0], style.chunk(2)[0]
    flat = is_flat(photographs)
    stylized = torch.where(flat, stylized.detach(), stylized)
    if moved is not None:
        moved = torch.where(flat, moved.detach(), moved)
    return stylized, moved, photographs, style


def summed(raw, weighted, content_to_grey, style) -> Losses:
    total = sum(value.mean() for value in weighted.values())
    raw, weighted = ({name: value.detach() for name, value in each.items()} for each in (raw, weighted))
    return Losses(total, raw, weighted, content_to_grey, style)
