"""What a network lowers that another one teaches: distillation (Hinton et al., 2015, arXiv:1503.02531)."""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from losses.content_ceiling import ContentCeiling
from losses.perceptual import Losses, PerceptualLoss, apart, summed
from losses.temporal import Views, temporal_loss
from losses.terms import Batches

STEADINESS = 12.0  # of the temporal term: at a difference of 0.05 rho is twelve times as steep as a square
CONTRAST = {(3, 9): 2.0, (1, 3): 1.0}
"""Weights of the difference in contrast, by band: without the first, students had an eighth to a quarter less than
teachers; without the second, 7 to 16% less below 3 pixels."""


def band_contrast(images: torch.Tensor, band: tuple[int, int]) -> torch.Tensor:
    """How strong strokes are in squares of 8 pixels, wherever in them they are: band-limited contrast (Peli, 1990).

    Args:
        images: N x 3 x H x W, in [0, 1], H and W at least 8.
        band: odd sides, in pixels, of two box filters. Their difference is not divided by the local mean here.

    Returns:
        N x 3 x floor(H/8) x floor(W/8), root mean squares, at least 0.001, so that they have a finite gradient.
    """
    narrow, wide = (F.avg_pool2d(images, side, 1, side // 2, count_include_pad=False) for side in band)
    return (F.avg_pool2d((narrow - wide).square(), 8) + 1e-6).sqrt()


class Distillation(nn.Module):
    """The distance to the teacher's pictures, with a temporal term; in the last steps the objective of the painting.

    For photographs x and second views w(x), see :mod:`training.second_view`, student N and teacher M lower
    rho(N(x) - M(x)) + 2 |c(N(x)) - c(M(x))| + |f(N(x)) - f(M(x))| + 12 temporal_weight (N(w(x)) - w(N(x)))^2, means
    over values in [0, 1]; rho(d) = |d| + 2 d^2, for squares alone would teach a mean of the strokes that a small
    network cannot place, which is pale; c and f are :func:`band_contrast`, of 3 to 9 and of 1 to 3 pixels. The second
    views have noise, which the teacher does not see: the student learns to paint past it.

    Args:
        teacher: gives N x 3 x H x W, RGB in [0, 255], of the same and, with several styles, of N whole numbers.
        styles: how many there are.
        painting: the objective of a training on the painting; ``None`` for none.
        painting_from: steps after which ``painting`` alone is lowered.
    """

    def __init__(
        self,
        teacher: Callable[..., torch.Tensor],
        temporal_weight: float,
        styles: int,
        painting: PerceptualLoss | None = None,
        painting_from: int = 0,
    ):
        super().__init__()
        self._teacher = lambda *inputs: teacher(*inputs)  # a function: its weights are not this one's state
        self.temporal_weight, self.painting, self.painting_from = temporal_weight, painting, painting_from
        self._ceiling = ContentCeiling(math.inf, 1, styles)  # which eases nothing
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # on the CPU: nothing waits for the GPU

    @property
    def ceiling(self) -> ContentCeiling:
        return self._ceiling if self.painting is None else self.painting.ceiling

    def measure(self, batches: Batches) -> None:
        """See :meth:`PerceptualLoss.measure`."""
        if self.painting is not None:
            self.painting.measure(batches)

    def forward(
        self,
        stylized: torch.Tensor,
        photographs: torch.Tensor,
        style: torch.Tensor | None = None,
        views: Views | None = None,
    ) -> Losses:
        """The objective of a batch; arguments as for :class:`PerceptualLoss`."""
        self.steps += 1
        zero = stylized.new_zeros(())
        names = [] if self.painting is None else [term.name for term in self.painting.terms]
        nothing = dict.fromkeys(["teacher", "temporal", *names], zero)  # what is not computed counts as 0
        if self.painting is not None and self.steps > self.painting_from:
            losses = self.painting(stylized, photographs, style, views)
            return dataclasses.replace(losses, raw=nothing | losses.raw, weighted=nothing | losses.weighted)
        stylized, moved, photographs, numbers = apart(stylized, photographs, style, views)
        with torch.no_grad():
            target = self._teacher(photographs) if style is None else self._teacher(photographs, numbers)
        values, target = stylized.float() / 255, target / 255
        difference = values - target
        distance = (difference.abs() + 2 * difference.square()).mean((1, 2, 3))
        for band, weight in CONTRAST.items():
            contrast = (band_contrast(values, band) - band_contrast(target, band)).abs()
            distance = distance + weight * contrast.mean((1, 2, 3))
        raw = nothing | {"teacher": distance}
        if views is not None:
            raw["temporal"] = STEADINESS * temporal_loss(stylized, moved, views.motion)
        weighted = raw | {"temporal": self.temporal_weight * raw["temporal"]}
        return summed(raw, weighted, None if self.painting is None else zero, numbers)
