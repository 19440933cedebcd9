"""Many styles in one network: conditional instance normalisation (Dumoulin, Shlens, Kudlur, 2017, arXiv:1610.07629)."""

import difflib
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from models.transformer_net import MixedNorm2d, PictureNorm, ResidualBlock, TransformerNet, mixed
from utils.errors import UserError


class ConditionalInstanceNorm2d(nn.InstanceNorm2d):
    """Instance normalisation with a scale and a shift of each style's own, S x C each; equation 5 of the paper."""

    def __init__(self, channels: int, styles: int):
        super().__init__(channels)
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Normalise N x C x H x W features; ``style``, N x S, weighs the styles of each picture."""
        scale, shift = mixed(style, self.weight).flatten(), mixed(style, self.bias).flatten()
        # As torch computes instance norm itself: batch norm of one picture with N C channels.
        result = F.batch_norm(x.reshape(1, -1, *x.shape[2:]), None, None, scale, shift, training=True, eps=self.eps)
        return result.view(x.shape)


class MultiStyleNet(TransformerNet):
    """A ``TransformerNet`` whose normalisation layers have scales and shifts for each style; all else is shared.

    Args:
        styles: their names, each once, in the order of the rows of each scale and shift.
        norm: ``"instance"`` or ``"mixed"``.
        others: see :class:`TransformerNet`.
    """

    def __init__(self, styles: Sequence[str], norm: str, **others):
        super().__init__(norm, **others)
        self.styles = tuple(styles)
        if len(set(self.styles)) < max(1, len(self.styles)):
            twice = sorted({name for name in self.styles if self.styles.count(name) > 1})
            raise ValueError(f"several styles are called {', '.join(twice)}" if twice else "there must be a style")
        kind = MixedNorm2d if norm == "mixed" else ConditionalInstanceNorm2d
        for module in list(self.modules()):
            for name, child in module.named_children():
                if isinstance(child, PictureNorm):
                    tables = kind(child.num_features, len(self.styles))
                    tables.weight.data += child.weight.data - 1  # residual blocks start as the identity
                    setattr(module, name, tables)

    @classmethod
    def begun_from(cls, network: TransformerNet, styles: Sequence[str]) -> "MultiStyleNet":
        """A network of these styles with another's weights.

        Scales and shifts are those of its style of the same name, else the mean over its styles.
        """
        # A network of one style does not name it.
        known = network.styles if isinstance(network, MultiStyleNet) else ("",)
        result, state = cls(**network.architecture() | {"styles": styles}), network.state_dict()
        alone = torch.eye(len(known))
        mixtures = torch.stack([alone[known.index(name)] if name in known else alone.mean(0) for name in styles])
        for key, value in result.state_dict().items():  # which shares its memory with the network
            value.copy_(mixed(mixtures, state[key].reshape(len(known), -1)) if value.dim() == 2 else state[key])
        return result.train(network.training)

    def architecture(self) -> dict:
        return {**super().architecture(), "styles": list(self.styles)}

    def forward(self, images: torch.Tensor, style: int | torch.Tensor) -> torch.Tensor:
        """Stylise a batch, each picture in its own style.

        Args:
            images: see :meth:`TransformerNet.forward`.
            style: N x S, the weights of the styles for each picture, which sum to 1: their scales and shifts are
                interpolated; or N whole numbers, one style for each picture; or one number for all.
        """
        if not isinstance(style, torch.Tensor):
            style = torch.full(images.shape[:1], style, device=images.device)
        if not style.is_floating_point():
            style = F.one_hot(style, len(self.styles))
        style = style.to(self.layers[0][1].weight.dtype)
        return self.finish(_apply(self.layers, self.prepare(images), style), images)

    def weights_of(self, mixture: str, flag: str = "--style") -> list[float]:
        """The weight of each style in a mixture that is written as :func:`parse_mixture` takes it.

        Raises:
            UserError: where it names a style that is not there.
        """
        parts = parse_mixture(mixture, flag)
        for name in parts:
            if name not in self.styles:
                near = difflib.get_close_matches(name, self.styles, 1)
                those = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.styles)}"
                raise UserError(f"{flag} {name} is no style of this network: {those}")
        return [parts.get(name, 0.0) for name in self.styles]

    def for_style(self, style: int | Sequence[float] | torch.Tensor) -> TransformerNet:
        """A plain network, a copy, of one style, by its number; or of a mixture, by its S weights, which sum to 1."""
        if isinstance(style, int):
            style = F.one_hot(torch.tensor(style), len(self.styles))
        weights = torch.as_tensor(style)[None]
        network, state = TransformerNet(**super().architecture()), self.state_dict()
        for key, value in network.state_dict().items():
            row = mixed(weights, state[key]) if state[key].dim() == 2 else state[key]
            value.copy_(row.reshape(value.shape))
        return network.to(self.layers[0][1].weight.device).train(self.training)


def parse_mixture(text: str, flag: str = "--style") -> dict[str, float]:
    """Names and weights of ``wave``, or of ``wave:0.6,scream:0.4``; the weights are brought to a sum of 1.

    Raises:
        UserError: where it is neither, naming ``flag``.
    """
    mixture: dict[str, float] = {}
    for item in text.split(","):
        name, colon, weight = item.strip().partition(":")
        try:
            value = float(weight) if colon else 1.0
        except ValueError:
            value = 0.0
        if not (is_style_name(name) and 0 < value < math.inf) or name in mixture or ("," in text and not colon):
            raise UserError(
                f"{flag} {text} is neither a style nor a mixture: give a name, or names each with a weight above 0, "
                "such as wave:0.6,scream:0.4"
            )
        mixture[name] = value
    total = sum(mixture.values())
    return {name: value / total for name, value in mixture.items()}


def is_style_name(name: object) -> bool:
    """Whether a style may be called so: results are named after it, and ``--style a:0.6,b:0.4`` can name it."""
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= 100 and not set(name) & set("/\\:,")


def _apply(module: nn.Module, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    if isinstance(module, ConditionalInstanceNorm2d | MixedNorm2d):
        return module(x, style)
    if isinstance(module, ResidualBlock):
        return x + _apply(module.residual, x, style)
    if isinstance(module, nn.Sequential):
        for part in module:
            x = _apply(part, x, style)
        return x
    return module(x)
