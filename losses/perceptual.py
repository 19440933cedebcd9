"""The training objective: content, style and total variation against a loss network, weighted and summed."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from losses.content_ceiling import ContentCeiling
from losses.fast_gram import gram_matrix
from losses.functional import checkerboard_loss, content_loss, style_loss, total_variation_loss
from losses.temporal import Views, temporal_loss
from models.vgg19 import VGG19

CONTENT_LAYER = "relu2_2"
"""The content layer where none is named."""

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The style layers where none are named."""

TERMS = ("content", "style", "total_variation", "checkerboard", "temporal")
"""The terms of the objective, in the order in which they are reported."""

FLAT = 8.0
"""Grey levels between darkest and lightest in every channel, up to which an image counts as flat."""


def style_grams(
    vgg: VGG19, style_image: torch.Tensor, style_octaves: int = 1, style_layers: Sequence[str] = STYLE_LAYERS
) -> list[torch.Tensor]:
    """Gram matrices of a style image, 1 x C x C each, in the order of the layers, at one size after another.

    Args:
        style_image: 1 x 3 x H x W, RGB in [0, 255], its smallest size no less than 16 x 16.
        style_octaves: how many sizes, each half of the one before; 1 is the paper's.
        style_layers: names of the loss network's features.
    """
    with torch.no_grad():
        at_sizes = [vgg(images, tuple(style_layers)) for images in octaves(style_image, style_octaves)]
    return [gram_matrix(features[name]) for features in at_sizes for name in style_layers]


def is_flat(images: torch.Tensor) -> torch.Tensor:
    """N x 1 x 1 x 1, true for images of next to one colour.

    Args:
        images: N x 3 x H x W, RGB in [0, 255].
    """
    contrast = images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True)
    return (contrast <= FLAT).all(1, keepdim=True)


def octaves(images: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Images at several sizes, each half of the one before.

    Args:
        images: N x 3 x H x W, of any range of values, which stays.
        count: of sizes, 1 or more; the first is the images' own.

    Returns:
        N x 3 x H x W, N x 3 x floor(H/2) x floor(W/2), ...; each pixel is the mean of four of the size before.
    """
    sizes = [images]
    while len(sizes) < count:
        sizes.append(nn.functional.avg_pool2d(sizes[-1], 2))
    return sizes


@dataclass(frozen=True)
class LossScales:
    """What each term is divided by, so that a weight means the same for every style image, loss network and size.

    Attributes:
        content: divisor of the content term.
        style: divisor of each layer's style term, in the order of :func:`style_grams`; of several styles, one
            such tuple for each.
        total_variation: divisor of the total variation.
    """

    content: float = 1.0
    style: tuple[float, ...] | tuple[tuple[float, ...], ...] = (1.0,) * len(STYLE_LAYERS)
    total_variation: float = 1.0

    @classmethod
    def relative(
        cls,
        vgg: VGG19,
        grams: list[torch.Tensor],
        batches: Iterable[torch.Tensor],
        content_layer: str = CONTENT_LAYER,
    ) -> "LossScales":
        """Scales measured on the style images and a fixed set of photographs.

        Content: the squared mean activation of its layer over the photographs (Gatys et al., 2016, bring VGG to a mean
        activation of one). Style: ||G_j(s)||_F^2, times the number of Gram matrices, which makes the sum a mean. Total
        variation: the photographs' own mean.

        Args:
            grams: as :func:`style_grams` gives them; of several style images S x C x C.
            batches: N x 3 x H x W each, RGB in [0, 255].
            content_layer: of the content term.
        """
        activations, variations = [], []
        with torch.no_grad():
            for images in batches:
                activations.append(vgg(images, (content_layer,))[content_layer].float().mean())
                variations.append(total_variation_loss(images))
        powers = zip(*(gram.square().sum((1, 2)).tolist() for gram in grams))
        style = tuple(tuple(len(grams) * power or 1.0 for power in layers) for layers in powers)
        # A set of flat pictures has no variation, and a dead loss network no activation: divide by nothing then.
        return cls(
            content=torch.stack(activations).mean().square().item() or 1.0,
            style=style if len(style) > 1 else style[0],
            total_variation=torch.stack(variations).mean().item() or 1.0,
        )


@dataclass(frozen=True)
class Losses:
    """The objective of one batch.

    Attributes:
        total: scalar with a gradient, what is minimised.
        raw: the terms by their formulas, detached, 5 values in the order of :data:`TERMS`.
        weighted: the same as they stand in the sum: divided by their scale, times weight and level, detached.
        content_to_grey: content term relative to a uniform grey picture's, detached.
        by_style: S x 3, detached: of the photographs that have each style their share of the batch, and the means over
            the whole batch of their weighted content and style terms.
    """

    total: torch.Tensor
    raw: torch.Tensor
    weighted: torch.Tensor
    content_to_grey: torch.Tensor
    by_style: torch.Tensor


class PerceptualLoss(nn.Module):
    """lambda_c content + lambda_s style + lambda_TV TV, equation 5 of the paper with total variation.

    To it come a term of ours against the mesh, see :func:`losses.functional.checkerboard_loss`, and one for films, see
    :func:`losses.temporal.temporal_loss`, where a batch holds two views of each photograph.

    The style term may be summed over several sizes of the images, each half of the one before: Gram matrices at half
    the size see forms twice as large (Snelgrove, High-Resolution Multi-Scale Neural Texture Synthesis, 2017). The paper
    has one size.

    A content image of next to one colour, an empty frame of a film say, tells the network nothing, and without a
    variance every normalisation layer multiplies its gradient, by 300 or so, beyond all bounds: it is counted, and has
    no gradient. Nothing waits for the GPU to know.

    Args:
        vgg: the loss network.
        grams: of the style image, see :func:`style_grams`, at as many sizes as the style term is to have; of several
            style images, S x C x C each.
        image_size: side of the training crops, or height and width of what will be compared.
        content_weight, style_weight, tv_weight, checkerboard_weight, temporal_weight: the lambdas.
        style_layers: that ``grams`` are of.
        style_layer_weights: of the style layers among themselves, in their order; brought to a mean of one, so that
            equal ones are the paper's plain sum.
        style_octave_weights: of the sizes among themselves, likewise; ``None`` for equal ones.
        content_layer: of the content term.
        scales: divisors; ``LossScales()`` divides by nothing, as the paper.
        ceiling: eases the style term where the content would drown; ``None`` for the paper's plain sum.
        mean_over_processes: averages a tensor over the processes that train together; ``None`` for one alone.
    """

    def __init__(
        self,
        vgg: VGG19,
        grams: list[torch.Tensor],
        image_size: int | tuple[int, int],
        content_weight: float,
        style_weight: float,
        tv_weight: float,
        scales: LossScales = LossScales(),
        ceiling: ContentCeiling | None = None,
        mean_over_processes: Callable[[torch.Tensor], torch.Tensor] | None = None,
        checkerboard_weight: float = 0.0,
        style_layer_weights: Sequence[float] = (1.0,) * len(STYLE_LAYERS),
        content_layer: str = CONTENT_LAYER,
        temporal_weight: float = 0.0,
        style_layers: Sequence[str] = STYLE_LAYERS,
        style_octave_weights: Sequence[float] | None = None,
    ):
        super().__init__()
        self.vgg, self.grams, self.ceiling, self.scales = vgg, grams, ceiling, scales
        self.content_layer, self.style_layers = content_layer, tuple(style_layers)
        self._mean_over_processes = mean_over_processes or (lambda values: values)
        device = grams[0].device
        weights = [content_weight / scales.content, style_weight, tv_weight / scales.total_variation]
        weights = torch.tensor([*weights, checkerboard_weight, temporal_weight], device=device)
        self.register_buffer("weights", weights, persistent=False)
        self.style_octaves = len(grams) // len(style_layers)
        of_layers = torch.tensor(style_layer_weights, dtype=torch.float64)
        of_octaves = torch.tensor(style_octave_weights or (1.0,) * self.style_octaves, dtype=torch.float64)
        layer_weights = torch.outer(of_octaves / of_octaves.mean(), of_layers / of_layers.mean()).flatten()
        layer_weights = layer_weights / torch.tensor(scales.style).double()
        layer_weights = layer_weights.float().expand(len(grams[0]), -1).to(device)
        self.register_buffer("layer_weights", layer_weights, persistent=False)
        with torch.no_grad():
            height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
            grey = torch.full((1, 3, height, width), 127.5, device=device)
            self.grey = vgg(grey, (content_layer,))[content_layer]

    def forward(
        self,
        stylized: torch.Tensor,
        content_images: torch.Tensor,
        style: torch.Tensor | None = None,
        views: Views | None = None,
    ) -> Losses:
        """The objective of a batch.

        Args:
            stylized, content_images: N x 3 x image_size x image_size, RGB in [0, 255].
            style: N whole numbers, which style each of them has; left out, all have the first.
            views: where the second half of the batch are second views of the first half. They count in the temporal
                term alone, and photographs that were softened count in all but the style term.
        """
        if style is None:
            style = torch.zeros(len(content_images), dtype=torch.long, device=content_images.device)
        moved = None
        if views is not None:
            stylized, moved = stylized.chunk(2)
            content_images, style = content_images.chunk(2)[0], style.chunk(2)[0]
        with torch.no_grad():
            target = self.vgg(content_images, (self.content_layer,))[self.content_layer]
        flat = is_flat(content_images)
        stylized = torch.where(flat, stylized.detach(), stylized)
        temporal = stylized.new_zeros(())
        if moved is not None:
            temporal = temporal_loss(stylized, torch.where(flat, moved.detach(), moved), views.motion)
        features = self.vgg(stylized, (*self.style_layers, self.content_layer))
        contents = content_loss(features[self.content_layer], target, reduction="none")
        smaller = octaves(stylized, self.style_octaves)[1:]
        at_sizes = [features, *(self.vgg(images, self.style_layers) for images in smaller)]
        layers = [
            style_loss(gram_matrix(at_size[name]), gram[style], reduction="none")
            for (at_size, name), gram in zip(itertools.product(at_sizes, self.style_layers), self.grams)
        ]
        layers = torch.stack(layers, 1)  # N x Gram matrices
        if views is not None:
            layers = torch.where(views.soft[:, None], 0, layers)
        styles = (self.layer_weights[style] * layers).sum(1)

        greys = content_loss(target, self.grey.expand_as(target), reduction="none")
        # S x N: rows that take the mean over the batch of what belongs to a style, and its share of the batch.
        chosen = nn.functional.one_hot(style, len(self.layer_weights)).T.to(contents.dtype) / len(style)
        parts = torch.stack([contents.detach(), greys, torch.ones_like(greys)], 1)
        parts = self._mean_over_processes(chosen @ parts)
        least = 1e-6 * self.scales.content
        content_to_grey = parts[:, 0].sum() / parts[:, 1].sum().clamp_min(least)
        if self.ceiling is not None:
            styles = styles * self.ceiling.level()[style]
            self.ceiling.observe(parts[:, 0] / parts[:, 1].clamp_min(least), share=parts[:, 2])

        variation = total_variation_loss(stylized)
        checkerboard = checkerboard_loss(stylized)
        weighted = self.weights * torch.stack([contents.mean(), styles.mean(), variation, checkerboard, temporal])
        raw = torch.stack([contents.mean(), layers.sum(1).mean(), variation, checkerboard, temporal]).detach()
        terms = self.weights[:2] * torch.stack([contents, styles], 1).detach()
        by_style = torch.cat([chosen.sum(1, keepdim=True), chosen @ terms], 1)
        return Losses(weighted.sum(), raw, weighted.detach(), content_to_grey, by_style)
