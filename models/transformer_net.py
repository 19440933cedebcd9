"""The image transformation network f_W of Johnson, Alahi and Fei-Fei (2016), section 3.1 and supplementary table 1."""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F

from models.cpu_kernels import DoublingConvTranspose, FewOutputsConv, autocast_inputs

NORMS = ("batch", "instance")
UPSAMPLES = ("transposed", "resize")

# Output channels up to which a convolution has gradients of its own on a CPU; see models.cpu_kernels.
_FEW = 4

# Two stride-2 convolutions divide the picture by four, and reflection padding needs a side of at least two there.
_STRIDE = 4
_SMALLEST_SIDE = 8

# The output is 127.5 (1 + tanh(z / 8)). One of Adam's first steps can move z by 2.6 where features are uniform (2,592
# inputs x 0.001). Undivided, that drives flat areas into the ends of tanh, where no gradient brings them back: black
# patches. With it, both losses also fall faster.
_TANH_SCALE = 8.0


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {kind!r}")


def reflect(x: torch.Tensor, padding: int) -> torch.Tensor:
    """Reflection padding on all four sides."""
    # torch.autocast has padding done in float32 on a CPU: two conversions of every feature, for nothing.
    kind = x.device.type
    without = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else contextlib.nullcontext()
    with without:
        return F.pad(x, (padding,) * 4, mode="reflect")


def _use_own_gradients(x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling()


class ReflectionConv2d(nn.Conv2d):
    """Convolution with reflection padding by half a kernel."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, bias=True):
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)

    def forward(self, x):
        x = reflect(x, self.kernel_size[0] // 2)
        if self.out_channels > _FEW or not _use_own_gradients(x):
            return super().forward(x)
        x, weight = autocast_inputs(x, self.weight)
        return FewOutputsConv.apply(x, weight) + self.bias[:, None, None]


class ConvLayer(nn.Sequential):
    """Reflection-padded convolution, then normalisation and ReLU where asked for.

    Args:
        in_channels, out_channels, kernel_size, stride: as in ``nn.Conv2d``; the output is ceil(size / stride).
        norm: ``"batch"`` or ``"instance"``; ``None`` leaves out normalisation (and the convolution then has a bias,
            which a normalisation would cancel).
        relu: whether a ReLU follows.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, norm=None, relu=True):
        layers = [ReflectionConv2d(in_channels, out_channels, kernel_size, stride, bias=norm is None)]
        if norm is not None:
            layers.append(_norm(norm, out_channels))
        if relu:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """x + F(x) with two 3x3 convolutions and no ReLU after the sum, as in the paper (after Gross and Wilber, 2016)."""

    def __init__(self, channels, norm):
        super().__init__()
        self.residual = nn.Sequential(
            ConvLayer(channels, channels, 3, norm=norm),
            ConvLayer(channels, channels, 3, norm=norm, relu=False),
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

    Attributes:
        is_balanced: whether the weight's sums are equal already; set where weights do not change any more.
    """

    is_balanced = False

    def __init__(self, in_channels, out_channels, bias):
        # One reflected pixel a side adds two output pixels a side; padding 3 = 1 + 2 crops them off again.
        super().__init__(in_channels, out_channels, kernel_size=4, stride=2, padding=3, bias=bias)

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
        x = reflect(x, 1)
        weight = self.weight if self.is_balanced else self.balanced_weight()
        if self.bias is not None or not _use_own_gradients(x):
            return F.conv_transpose2d(x, weight, self.bias, self.stride, self.padding)
        return DoublingConvTranspose.apply(*autocast_inputs(x, weight))


class UpsampleLayer(nn.Sequential):
    """Twice the size: a transposed convolution, or nearest-neighbour resizing and a 3x3 convolution; norm; ReLU."""

    def __init__(self, in_channels, out_channels, norm, upsample):
        if upsample == "transposed":
            layers = [ReflectionConvTranspose2d(in_channels, out_channels, bias=False)]
        elif upsample == "resize":
            layers = [
                nn.Upsample(scale_factor=2, mode="nearest"),
                ReflectionConv2d(in_channels, out_channels, 3, bias=False),
            ]
        else:
            raise ValueError(f"upsample must be one of {', '.join(UPSAMPLES)}, not {upsample!r}")
        super().__init__(*layers, _norm(norm, out_channels), nn.ReLU())


class TransformerNet(nn.Module):
    """Feed-forward stylisation network: RGB in [0, 255] to RGB in [0, 255], of the same height and width.

    9x9 convolution to 32 channels; two stride-2 3x3 convolutions to 64 and 128; five residual blocks of 128; two
    upsampling layers to 64 and 32; 9x9 convolution to 3; scaled tanh. Every convolution pads by reflection.

    Args:
        norm: ``"batch"`` (the paper) or ``"instance"`` (Ulyanov et al., 2016).
        upsample: ``"transposed"`` (the paper) or ``"resize"`` (nearest neighbour, then 3x3 convolution).

    Raises:
        ValueError: on an unknown ``norm`` or ``upsample``.
    """

    def __init__(self, norm: str = "batch", upsample: str = "transposed"):
        super().__init__()
        self.norm, self.upsample = norm, upsample
        self.layers = nn.Sequential(
            ConvLayer(3, 32, 9, norm=norm),
            ConvLayer(32, 64, 3, stride=2, norm=norm),
            ConvLayer(64, 128, 3, stride=2, norm=norm),
            *(ResidualBlock(128, norm) for _ in range(5)),
            UpsampleLayer(128, 64, norm, upsample),
            UpsampleLayer(64, 32, norm, upsample),
            ConvLayer(32, 3, 9, relu=False),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Stylise a batch.

        Args:
            images: N x 3 x H x W, of any type, RGB in [0, 255], any H and W from 1 up. Not clamped.

        Returns:
            N x 3 x H x W, float32 (float64 for float64 input), in [0, 255] by the tanh.
        """
        height, width = images.shape[-2:]
        x = self.layers(self.prepare(images))
        # In bfloat16 the steps between 128 and 255 are whole grey levels: leave it before scaling.
        x = x if x.dtype == torch.float64 else x.float()
        x = (torch.tanh(x.div_(_TANH_SCALE)) + 1.0).mul_(127.5)
        return x[..., :height, :width]

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """What the first layer is given: values in [-1, 1], of the weights' type, sides that the strides divide."""
        height, width = images.shape[-2:]
        pad_height = max(_SMALLEST_SIDE, -(-height // _STRIDE) * _STRIDE) - height
        pad_width = max(_SMALLEST_SIDE, -(-width // _STRIDE) * _STRIDE) - width
        x = (images / 127.5).sub_(1.0)
        if pad_height or pad_width:
            # Replication, unlike reflection, works from a single pixel up. Padding on the right and below alone keeps
            # every pixel of the picture where the strides would find it in a larger one.
            x = F.pad(x, (0, pad_width, 0, pad_height), mode="replicate")
        return x.to(next(self.parameters()).dtype)
