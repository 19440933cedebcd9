"""The terms that give results the painting's colours and its darks and lights, which Gram matrices do not fix."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from losses.functional import content_loss, luminance, sliced_wasserstein
from losses.terms import Batch, Batches
from utils.processes import gathered


class Palette(nn.Module):
    """Sliced Wasserstein distance of recent results' colours and the painting's, divided by the painting's variance.

    One photograph need not have the whole palette: the colours of earlier results, the memory, are sorted along with
    those of the batch, which alone have a gradient. At first the memory, S x M x 3, holds the painting's own colours;
    in eval mode it stays as it is. ``style_images`` are S of 1 x 3 x H x W, RGB in [0, 255].
    """

    MEMORY = 8192
    KEPT = 1024  # colours of a batch that enter the memory

    def __init__(self, style_images: Sequence[torch.Tensor]):
        super().__init__()
        palettes = torch.stack([_thinned(_colours(image)[0], self.MEMORY) for image in style_images])  # S x M x 3
        self.register_buffer("directions", half_sphere(24).to(palettes.device), persistent=False)
        self.register_buffer("target", (palettes @ self.directions.T).sort(1).values, persistent=False)
        self.register_buffer("variance", palettes.var(1).mean(1).clamp_min(1.0), persistent=False)
        # Shuffled, for the memory is renewed from its beginning.
        order = torch.randperm(self.MEMORY, generator=torch.Generator().manual_seed(0))
        self.register_buffer("memory", palettes[:, order.to(palettes.device)].clone())

    def forward(self, batch: Batch) -> torch.Tensor:
        # Without the outermost pixels, which padding paints in colours of their own.
        colours = _colours(batch.stylized.float()[..., 8:-8, 8:-8])
        everybodys, styles = torch.cat(gathered(colours)), torch.cat(gathered(batch.style))  # of all processes
        losses = colours.new_zeros(len(colours))
        for style, (memory, target) in enumerate(zip(self.memory, self.target)):
            # The choice waits for the GPU, with several styles alone.
            latest = everybodys[styles == style] if len(self.memory) > 1 else everybodys
            if not len(latest):
                continue
            latest = latest.flatten(0, 1)
            found = sliced_wasserstein(colours, torch.cat([latest, memory]), target, self.directions)
            losses = torch.where(batch.style == style, found / self.variance[style], losses)
            if self.training:
                memory.copy_(torch.cat([memory[self.KEPT :], _thinned(latest, self.KEPT)]))
        return losses


class Tone(nn.Module):
    """Where darks and lights belong: the result's luminance follows the photograph's along a fixed curve.

    The curve takes the distribution of the luminance of many photographs, K quantiles that :meth:`measure` sets, to
    the painting's, S x K. The squared difference is divided by the variance of the painting's luminance.
    ``style_images`` are S of 1 x 3 x H x W, RGB in [0, 255].
    """

    KNOTS = 33

    def __init__(self, style_images: Sequence[torch.Tensor]):
        super().__init__()
        values = [_thinned(luminance(image).flatten(), 2**20) for image in style_images]
        paintings = torch.stack([_quantiles(value, self.KNOTS) for value in values])
        variances = torch.stack([value.var() for value in values]).clamp_min(1.0)
        self.register_buffer("paintings", paintings, persistent=False)
        self.register_buffer("variance", variances, persistent=False)
        self.register_buffer("photographs", torch.linspace(0, 255, self.KNOTS, device=paintings.device))

    def measure(self, batches: Batches) -> None:
        tones = torch.cat([_tones(images).flatten() for images in batches()])
        self.photographs.copy_(_quantiles(_thinned(tones, 2**20), self.KNOTS))

    def forward(self, batch: Batch) -> torch.Tensor:
        target = self.curve(_tones(batch.photographs), batch.style)
        return content_loss(_tones(batch.stylized), target) / self.variance[batch.style]

    def curve(self, tones: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """The painting's tones for those of photographs, N x 1 x H x W; linear between the quantiles."""
        flat = tones.flatten(1).contiguous()
        index = torch.searchsorted(self.photographs, flat).clamp(1, self.KNOTS - 1)
        left, right = self.photographs[index - 1], self.photographs[index]
        part = ((flat - left) / (right - left).clamp_min(1e-3)).clamp(0, 1)
        aims = self.paintings[style]  # N x K
        return torch.lerp(aims.gather(1, index - 1), aims.gather(1, index), part).view_as(tones)


def half_sphere(count: int) -> torch.Tensor:
    """count x 3 unit vectors, spread evenly over half a sphere along a spiral (Vogel, 1979)."""
    index = torch.arange(count, dtype=torch.float64)
    z, angle = (index + 0.5) / count, index * math.pi * (3 - math.sqrt(5))
    radius = (1 - z.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], 1).float()


def _colours(images: torch.Tensor) -> torch.Tensor:
    """The means of all squares of two pixels, N x K x 3, of N x 3 x H x W."""
    return F.avg_pool2d(images.float(), 2).flatten(2).transpose(1, 2)


def _tones(images: torch.Tensor) -> torch.Tensor:
    """The mean luminance of squares of 8 pixels, N x 1 x H' x W'."""
    return F.avg_pool2d(luminance(images.float()), 8)


def _thinned(values: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` of the rows, evenly spaced; repeated where there are fewer."""
    index = torch.arange(count, device=values.device) * len(values) // count
    return values[index]


def _quantiles(values: torch.Tensor, count: int) -> torch.Tensor:
    return torch.quantile(values, torch.linspace(0, 1, count, device=values.device))
