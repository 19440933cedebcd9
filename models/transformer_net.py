"""The image transformation network f_W of Johnson, Alahi and Fei-Fei (2016), section 3.1 and supplementary table 1."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from utils.processes import gathered

# The output is 127.5 (1 + tanh(z / 8)). One of Adam's first steps can move z by 2.6 where features are uniform (2,592
# inputs x 0.001). Undivided, that drives flat areas into the ends of tanh, where no gradient brings them back: black
# patches. With it, both losses also fall faster.
TANH_SCALE = 8.0


def pooled(mean, variance, other_mean, other_variance, share):
    """Mean and variance of two sets of values together, of which the second makes up ``share``."""
    step = other_mean - mean
    variance = torch.lerp(variance, other_variance, share).addcmul(step, step * (share * (1 - share)))
    return torch.lerp(mean, other_mean, share), variance


class MixedNorm2d(nn.Module):
    """Instance norm that knows what photographs usually look like.

    Mean and variance are those of the picture pooled, one part to three, with running ones of the training's
    photographs, as if every picture hung among three ordinary ones. Instance norm alone takes the mean away: plain
    white and plain black come out alike. This is switchable normalisation (Luo et al., 2018) with fixed shares.

    Attributes:
        weight, bias, running_mean, running_var: C each, or with ``styles`` S x C, a row for each of S styles.
        momentum: part of a batch in the running statistics, a scalar; ``None`` for a plain mean over the batches since
            :meth:`reset_running_stats`.
    """

    SHARE = 0.75  # of the running statistics
    MOMENTUM = 0.02  # at the beginning of a training
    eps = 1e-5

    def __init__(self, channels: int, styles: int | None = None):
        super().__init__()
        shape = (channels,) if styles is None else (styles, channels)
        self.num_features, self.batches = channels, 0
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))
        self.register_buffer("momentum", torch.tensor(self.MOMENTUM), persistent=False)

    def reset_running_stats(self) -> None:
        self.running_mean.zero_()
        self.running_var.fill_(1.0)
        self.batches = 0

    def forward(self, x: torch.Tensor, style: torch.Tensor | None = None) -> torch.Tensor:
        """Normalise N x C x H x W features; ``style``, N x S, weighs the styles of each picture."""
        variance, mean = torch.var_mean(x.to(torch.promote_types(x.dtype, torch.float32)), (2, 3), correction=0)
        if self.training:
            self.observe(mean.detach(), variance.detach(), style)
        scale, shift = scale_and_shift(self, mean, variance, style)
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None]).to(x.dtype)

    @torch.no_grad()
    def observe(self, mean, variance, style=None) -> None:
        """Take a batch's statistics, N x C each, into the running ones, with those of all processes."""
        self.batches += 1
        chances = (torch.ones(1, 1) if style is None else style).to(mean).expand(len(mean), -1)
        mean, variance, chances = (torch.cat(gathered(values)) for values in (mean, variance, chances))
        count = chances.sum(0)[:, None]  # pictures of each style
        part = 1 / self.batches if self.momentum is None else self.momentum * count.clamp_max(1)
        of_style = chances.T / count.clamp_min(1e-6)  # S x N: the weight of each picture in its style's mean
        batch_mean = mixed(of_style, mean)
        batch_var = mixed(of_style, variance + mean.square()) - batch_mean.square()
        for buffer, value in zip(
            (self.running_mean, self.running_var),
            pooled(self.running_mean, self.running_var, batch_mean, batch_var.clamp_min(0), part),
        ):
            buffer.copy_(value.reshape(buffer.shape))


PictureNorm = nn.InstanceNorm2d | MixedNorm2d
"""Normalisation layers that look at the whole picture."""


def scale_and_shift(norm: PictureNorm, mean, variance, style=None) -> tuple[torch.Tensor, torch.Tensor]:
    """What a layer multiplies features of this mean and variance by, and what it adds: N x C each, as are these."""
    rows = [norm.weight, norm.bias]
    if isinstance(norm, MixedNorm2d):
        rows += [norm.running_mean, norm.running_var]
    if style is not None:
        rows = [mixed(style, row) for row in rows]
    weight, bias, *running = (row.to(mean.dtype) for row in rows)
    if running:
        mean, variance = pooled(mean, variance, *running, norm.SHARE)
    scale = weight * (variance + norm.eps).rsqrt()
    return scale, bias - mean * scale


def mixed(weights: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """N x C mixtures of the S rows of a table, by N x S weights."""
    # A sum rather than a product of matrices, which autocast would take to half precision.
    return (weights.to(table)[:, :, None] * table).sum(1)


class ReflectionConv2d(nn.Conv2d):
    """Convolution with reflection padding by half a kernel."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, bias=False):
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)

    def forward(self, x):
        return super().forward(F.pad(x, (self.kernel_size[0] // 2,) * 4, mode="reflect"))


NORMS = {"batch": nn.BatchNorm2d, "instance": partial(nn.InstanceNorm2d, affine=True), "mixed": MixedNorm2d}


class ConvLayer(nn.Sequential):
    """Convolution to ceil(size / stride), normalisation, and ReLU where asked for."""

    def __init__(self, in_channels, out_channels, kernel_size, norm, stride=1, relu=True):
        super().__init__(ReflectionConv2d(in_channels, out_channels, kernel_size, stride), NORMS[norm](out_channels))
        if relu:
            self.append(nn.ReLU())


class ResidualBlock(nn.Module):
    """x + F(x) with two 3x3 convolutions and no ReLU after the sum, as in the paper (after Gross and Wilber, 2016)."""

    def __init__(self, channels, norm):
        super().__init__()
        self.residual = nn.Sequential(
            ConvLayer(channels, channels, 3, norm), ConvLayer(channels, channels, 3, norm, relu=False)
        )
        # Each block starts as the identity (Goyal et al., 2017): after 100 steps both losses are lower than otherwise.
        nn.init.zeros_(self.residual[1][1].weight)

    def forward(self, x):
        return x + self.residual(x)


class ReflectionConvTranspose2d(nn.ConvTranspose2d):
    """Fractionally-strided convolution to exactly twice the size, reflecting at the border.

    The kernel is 4 and the stride 2: a kernel that the stride divides gives each output pixel the same number of
    taps, unlike the paper's 3x3 kernel, whose checkerboard Odena et al. (2016) explain. Even so the four kinds of
    output pixels (even and odd rows and columns) see four different 2x2 kernels, and training drives their sums apart:
    plain areas come out as a fine mesh. The sums are therefore made equal, which leaves the layer everything but that
    freedom: uniform features give uniform features, whatever the weights.

    The layer starts as bilinear interpolation of a random mixture of the channels.
    """

    is_balanced = False  # True where the weights, which do not change any more, have equal sums already

    def __init__(self, in_channels, out_channels):
        # One reflected pixel a side adds two output pixels a side; padding 3 = 1 + 2 crops them off again.
        super().__init__(in_channels, out_channels, kernel_size=4, stride=2, padding=3, bias=False)

    def reset_parameters(self):
        super().reset_parameters()
        bilinear = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            mixture = torch.randn(self.in_channels, self.out_channels, 1, 1) / self.in_channels**0.5
            self.weight.copy_(mixture * bilinear.outer(bilinear))

    def balanced_weight(self) -> torch.Tensor:
        """The weight, in_channels x out_channels x 4 x 4, with the same sum for each kind of output pixel."""
        taps = self.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2))  # in, out, tap, row parity, tap, column parity
        sums = taps.sum((2, 4), keepdim=True)
        balanced = taps - (sums - sums.mean((3, 5), keepdim=True)) / 4  # four taps share the correction
        return balanced.flatten(4, 5).flatten(2, 3)

    def forward(self, x):
        weight = self.weight if self.is_balanced else self.balanced_weight()
        return F.conv_transpose2d(F.pad(x, (1,) * 4, mode="reflect"), weight, self.bias, self.stride, self.padding)


class UpsampleLayer(nn.Sequential):
    """Twice the size: a transposed convolution, or nearest-neighbour resizing and a 3x3 convolution; norm; ReLU."""

    def __init__(self, in_channels, out_channels, norm, upsample):
        if upsample == "transposed":
            layers = [ReflectionConvTranspose2d(in_channels, out_channels)]
        else:
            layers = [nn.Upsample(scale_factor=2, mode="nearest"), ReflectionConv2d(in_channels, out_channels, 3)]
        super().__init__(*layers, NORMS[norm](out_channels), nn.ReLU())


class TransformerNet(nn.Module):
    """Feed-forward stylisation network: RGB in [0, 255] to RGB in [0, 255], of the same height and width.

    9x9 convolution to 32 channels; two stride-2 3x3 convolutions to 64 and 128; five residual blocks of 128; two
    upsampling layers to 64 and 32; 9x9 convolution to 3; scaled tanh. Every convolution pads by reflection.

    Args:
        norm: ``"batch"`` (the paper), ``"instance"`` (Ulyanov et al., 2016) or ``"mixed"`` (:class:`MixedNorm2d`).
        upsample: ``"transposed"`` (the paper) or ``"resize"`` (nearest neighbour, then 3x3 convolution).
        width: multiplies these channels, which are then rounded to whole numbers; 0.05 to 2.
        blocks: residual blocks, 1 to 9.

    Raises:
        ValueError: on values other than these.
    """

    STRIDE = 4  # pixels of the picture to one of the residual blocks, in each direction

    def __init__(self, norm: str = "batch", upsample: str = "transposed", width: float = 1.0, blocks: int = 5):
        super().__init__()
        if norm not in NORMS or upsample not in ("transposed", "resize"):
            raise ValueError(f"no network has norm {norm!r} and upsample {upsample!r}")
        for name, value, least, most in (("width", width, 0.05, 2.0), ("blocks", blocks, 1, 9)):
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {value!r}")
        self.norm, self.upsample, self.width, self.blocks = norm, upsample, float(width), blocks
        few, more, most = (max(1, round(channels * width)) for channels in (32, 64, 128))
        self.layers = nn.Sequential(
            ConvLayer(3, few, 9, norm),
            ConvLayer(few, more, 3, norm, stride=2),
            ConvLayer(more, most, 3, norm, stride=2),
            *(ResidualBlock(most, norm) for _ in range(blocks)),
            UpsampleLayer(most, more, norm, upsample),
            UpsampleLayer(more, few, norm, upsample),
            nn.Sequential(ReflectionConv2d(few, 3, 9, bias=True)),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Stylise N x 3 x H x W, RGB in [0, 255], of any type, any H and W from 1 up: the same, float32 or float64."""
        return self.finish(self.layers(self.prepare(images)), images)

    def finish(self, x: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """The result out of what the last layer gives for ``images``: their size, and values in [0, 255]."""
        # In bfloat16 the steps between 128 and 255 are whole grey levels: leave it before scaling.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = F.pad(x, [-side for side in self.missing(images)])
        # 127.5 (1 + tanh(z / 8)), in a form that takes a CPU a third of the time; in place where there is no gradient.
        x = x.mul_(2 / TANH_SCALE)
        return torch.sigmoid(x) * 255.0 if x.requires_grad else x.sigmoid_().mul_(255.0)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """What the first layer is given: values in [-1, 1], of the weights' type, sides that the strides divide."""
        x = (images / 127.5 - 1.0).to(next(self.parameters()).dtype)
        # Replication, unlike reflection, works from a single pixel up. Padding on the right and below alone keeps every
        # pixel of the picture where the strides would find it in a larger one.
        return F.pad(x, self.missing(images), mode="replicate")

    def missing(self, images: torch.Tensor) -> list[int]:
        """Pixels on the left, on the right, above and below, to whole strides; two at least, as reflection needs."""
        height, width = (side + self.STRIDE - 1 for side in images.shape[-2:])
        height, width = (max(2, side // self.STRIDE) * self.STRIDE for side in (height, width))
        return [0, width - images.shape[-1], 0, height - images.shape[-2]]

    def architecture(self) -> dict:
        """What to build it from again, in plain values."""
        return {"norm": self.norm, "upsample": self.upsample, "width": self.width, "blocks": self.blocks}

    def with_norm(self, norm: str) -> "TransformerNet":
        """This network, or one of the same weights where it has another kind of normalisation.

        Raises:
            ValueError: unless it stays, or goes from instance to mixed norm, whose running statistics are to be set.
        """
        if norm == self.norm:
            return self
        if (self.norm, norm) != ("instance", "mixed"):
            raise ValueError(f"a network with {self.norm} norm cannot become one with {norm} norm")
        network = type(self)(**self.architecture() | {"norm": norm})
        network.load_state_dict(network.state_dict() | self.state_dict())
        return network.train(self.training)

    def norms(self) -> list[nn.Module]:
        """The normalisation layers, in the order in which a picture passes them."""
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d | PictureNorm)]

    def reach(self) -> int | None:
        """How far from a pixel, in pixels, the input may lie that its output depends on; a multiple of the stride.

        ``None`` with a layer that looks at the whole picture, such as instance norm, or that is not known here. A
        convolution reaches half a kernel, counted in pixels of the picture at the resolution that it works at, and a
        stride shifts what an output pixel stands for by up to one stride less one.
        """
        reach, scale = 0, 1  # scale: pixels of the picture to one pixel here
        for module in self.modules():
            if not isinstance(module, _LOCAL):
                return None
            if isinstance(module, nn.Conv2d):
                reach += (module.kernel_size[0] // 2 + module.stride[0] - 1) * scale
            elif isinstance(module, ReflectionConvTranspose2d):
                reach += scale  # an output pixel looks at its own input pixel and one beside it
            scale = _scale_after(module, scale)
        return math.ceil(reach / self.STRIDE) * self.STRIDE

    def stages(self) -> list["Stage"]:
        """The forward pass cut before each normalisation layer, from :meth:`prepare` to the last of these layers."""
        steps = []
        for layer in self.layers:
            if isinstance(layer, ResidualBlock):
                steps += [_branch, *(step for part in layer.residual for step in part), _join]
            else:
                steps += list(layer)
        stages, scale, begun, norms = [], 1, [], self.norms()
        for step in steps:
            if step in norms:
                stages.append(Stage(begun, step, scale))
                begun = []
            begun.append(step)
            scale = _scale_after(step, scale)
        return stages


@dataclass
class Stage:
    """The steps of a network from one normalisation layer up to, and without, the next."""

    steps: list[Callable]  # layers, and the two ends of a residual block
    norm: nn.Module  # the layer that comes next
    scale: int  # pixels of the picture to one pixel there, in each direction

    def __call__(self, x: torch.Tensor, shortcut: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features, and those that a residual block has still to add, after these steps."""
        for step in self.steps:
            x, shortcut = step(x, shortcut) if step in (_branch, _join) else (step(x), shortcut)
        return x, shortcut


# Layers whose output depends on a neighbourhood alone; batch norm does so in eval mode.
_LOCAL = (
    TransformerNet | nn.Sequential | ResidualBlock | nn.Conv2d | ReflectionConvTranspose2d | nn.Upsample
    | nn.BatchNorm2d | nn.ReLU | nn.Identity
)  # fmt: skip


def _branch(x, shortcut):
    return x, x


def _join(x, shortcut):
    return shortcut + x, None


def _scale_after(step, scale: int) -> int:
    if isinstance(step, nn.Conv2d):
        return scale * step.stride[0]
    if isinstance(step, ReflectionConvTranspose2d):
        return scale // step.stride[0]
    return scale // int(step.scale_factor) if isinstance(step, nn.Upsample) else scale
