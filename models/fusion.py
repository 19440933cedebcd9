"""Layers merged for inference: batch norm into convolutions, and on a CPU all that stands between two convolutions."""

import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.cpu_kernels import moments
from models.transformer_net import (
    PictureNorm,
    ReflectionConvTranspose2d,
    ResidualBlock,
    TransformerNet,
    scale_and_shift,
)

_BLOCKS = {3: (4, 2), 4: (1, 2), 8: (1, 2)}
"""Rows and columns that a 9 x 9 convolution to so few channels gives at once: one pixel's leave most lanes idle."""

_TINY = 1e-12


def fuse_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, each convolution followed by a batch norm merged with it into one convolution.

    With running mean m, variance v, and affine g, b, the convolution w, c becomes w g / sqrt(v + eps) and
    (c - m) g / sqrt(v + eps) + b (Jacob et al., 2018, section 3.2): the same function, to rounding. Instance norm
    depends on the picture and stays.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            convolution, norm = module[index], module[index + 1]
            if not isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
                continue
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            if transposed or isinstance(convolution, nn.Conv2d):
                module[index] = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
                module[index + 1] = nn.Identity()
    for module in network.modules():
        if isinstance(module, ReflectionConvTranspose2d):
            module.weight, module.is_balanced = nn.Parameter(module.balanced_weight()), True
    return network.requires_grad_(False)


@dataclass
class _Step:
    """A convolution and what follows it.

    Attributes:
        resize: whether the features are doubled in size first.
        begins_block, ends_block: whether it is the first or the second convolution of a residual block.
    """

    convolution: nn.Module
    norm: nn.Module | None
    relu: bool
    resize: bool
    begins_block: bool = False
    ends_block: bool = False

    @property
    def padding(self) -> int:
        """Pixels that the input is padded by on each side."""
        return 1 if isinstance(self.convolution, nn.ConvTranspose2d) else self.convolution.kernel_size[0] // 2

    @functools.cached_property
    def sums(self) -> torch.Tensor:
        """What the convolution makes of a constant in each of its inputs; D x C."""
        weight = self.convolution.weight.detach()
        # A transposed convolution of stride 2 applies a quarter of its kernel to each pixel, all with the same sums.
        return weight.sum((2, 3)).T / 4 if self.convolution.transposed else weight.sum((2, 3))

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of pixels that it gives at once."""
        return _BLOCKS.get(self.convolution.out_channels, (1, 1)) if self.convolution.kernel_size == (9, 9) else (1, 1)

    @functools.cached_property
    def kernels(self) -> torch.Tensor:
        """The weight, or that of a block."""
        weight = self.convolution.weight.detach()
        return weight if self.block == (1, 1) else block_kernels(weight, *self.block)


def block_kernels(weight: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """A convolution's weight for a block of pixels at once, with a stride of the block's size.

    Returns:
        The weight, D x C x H x W, once for each pixel of the block, at its place: rows x columns x D kernels.
    """
    channels, _, height, width = weight.shape
    kernels = weight.new_zeros(rows, columns, channels, weight.shape[1], height + rows - 1, width + columns - 1)
    for row in range(rows):
        for column in range(columns):
            kernels[row, column, :, :, row : row + height, column : column + width] = weight
    return kernels.flatten(0, 2).contiguous(memory_format=torch.channels_last)


def _steps(network: TransformerNet) -> Iterator[_Step]:
    for layer in network.layers:
        if isinstance(layer, ResidualBlock):
            first, second = layer.residual
            yield _step(first, begins_block=True)
            yield _step(second, ends_block=True)
        else:
            yield _step(layer)


def _step(layers: nn.Sequential, **place) -> _Step:
    kinds = nn.Upsample, nn.Conv2d | nn.ConvTranspose2d, PictureNorm, nn.ReLU
    found = [layer for layer in layers if not isinstance(layer, nn.Identity)]
    resize, convolution, norm, relu = (found.pop(0) if found and isinstance(found[0], kind) else None for kind in kinds)
    if found or convolution is None:
        raise TypeError(f"fused inference does not know {layers}")
    return _Step(convolution, norm, relu is not None, resize is not None, **place)


def fused_pass(network: TransformerNet, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """What computes a network's forward pass on a CPU: a :class:`FusedNetwork`, or the network itself if that fails.

    Args:
        network: see :class:`FusedNetwork`.
    """
    try:
        return FusedNetwork(network, dtype)
    except TypeError:
        return network.to(dtype)


class FusedNetwork:
    """A network's forward pass on a CPU, without gradients: the same to rounding, in fewer passes over memory.

    Between two convolutions stand a normalisation and a ReLU: max(0, s x + t) for each channel, where s and t come from
    the picture's own mean and variance. That equals s clamp(x, low, high) + t, where -t / s is the lower bound if s is
    positive and the upper one if it is negative. The next convolution takes s into its weights and t into its bias,
    because reflection padding keeps constants. What is left is one pass for the statistics, and one that clamps and
    writes straight to the middle of the next convolution's padded input. A residual sum is one such pass as well.

    Args:
        network: as :func:`fuse_batch_norm` gives it, float32 on the CPU.
        dtype: of the features.

    Raises:
        TypeError: where the network has layers of other kinds than ``TransformerNet`` builds.
    """

    def __init__(self, network: TransformerNet, dtype: torch.dtype):
        self.network, self.dtype = network, dtype
        self.steps = list(_steps(network))
        if any(step.norm is not None and step.norm.weight.dim() > 1 for step in self.steps):
            raise TypeError("fused inference is of one style")
        if any(step.relu == step.ends_block for step in self.steps[:-1]):
            raise TypeError("fused inference takes a ReLU after every convolution but the second of a block")

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """See :meth:`models.transformer_net.TransformerNet.forward`."""
        results = [self._stylized(image) for image in images.split(1)]
        return torch.cat(results) if len(results) > 1 else results[0]

    def _stylized(self, image: torch.Tensor) -> torch.Tensor:
        x = self._prepared(image)
        scale, shift, shortcut, shortcut_shift = None, None, None, None  # the features are scale x + shift
        for step, following in zip(self.steps, self.steps[1:]):
            y = _convolve(step, x, scale, shift)
            scale, shift = _statistics(step.norm, y)
            padding = 0 if following.resize else following.padding
            x, inside = _room(y.shape, y.dtype, padding) if padding else (y, y)
            if step.ends_block:
                torch.addcmul(shortcut, y, _per_channel(scale, y), out=inside)
                scale, shift = None, shortcut_shift + shift
            elif following.begins_block:  # whose sum needs the features themselves
                torch.addcmul(_per_channel(shift, y), y, _per_channel(scale, y), out=inside).clamp_min_(0)
                scale, shift = None, torch.zeros_like(shift)
            else:
                scale = torch.where(scale.abs() < _TINY, _TINY, scale)
                bound = -shift / scale
                low, high = torch.where(scale > 0, bound, -torch.inf), torch.where(scale > 0, torch.inf, bound)
                _clamp(y, low, high, inside)
            if following.begins_block:
                shortcut, shortcut_shift = inside, shift
            _reflect_border(x, padding)
        return self.network.finish(_convolve(self.steps[-1], x, scale, shift), image)

    def _prepared(self, image: torch.Tensor) -> torch.Tensor:
        """See :meth:`models.transformer_net.TransformerNet.prepare`; with the first convolution's padding."""
        (_, right, _, below), (height, width) = self.network.missing(image), image.shape[2:]
        padding = self.steps[0].padding
        x, inside = _room((1, 3, height + below, width + right), self.dtype, padding)
        torch.add(torch.tensor(-1.0), image, alpha=1 / 127.5, out=inside[..., :height, :width])
        inside[..., :height, width:] = inside[..., :height, width - 1 : width]
        inside[..., height:, :] = inside[..., height - 1 : height, :]
        _reflect_border(x, padding)
        return x


def _per_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)


def _clamp(y: torch.Tensor, low: torch.Tensor, high: torch.Tensor, out: torch.Tensor) -> None:
    """``y`` between bounds of each channel, by whole rows: pixel by pixel, few channels leave most lanes idle."""
    rows, out_rows = y.permute(0, 2, 3, 1).flatten(2), out.permute(0, 2, 3, 1)
    low, high = (bound.to(y.dtype).repeat(y.shape[3]) for bound in (low, high))
    torch.clamp(rows, low, high, out=out_rows.view(*rows.shape))


def _statistics(norm: nn.Module | None, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift, C each and float32, that a normalisation layer computes for the features of one picture."""
    if norm is None:
        return torch.ones(y.shape[1]), torch.zeros(y.shape[1])
    scale, shift = scale_and_shift(norm, *moments(y))
    return scale[0], shift[0]


def _room(shape: tuple[int, ...], dtype: torch.dtype, padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Memory for features of a shape with a border around them, and the part of it inside the border."""
    number, channels, height, width = shape
    shape = number, channels, height + 2 * padding, width + 2 * padding
    room = torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)
    return room, room[..., padding : padding + height, padding : padding + width]


def _reflect_border(room: torch.Tensor, padding: int) -> None:
    """Reflection padding in place: the border's pixels are set by those inside it."""
    for view in (room, room.transpose(2, 3)):
        for distance in range(1, padding + 1):
            view[:, :, padding - distance] = view[:, :, padding + distance]
            view[:, :, distance - padding - 1] = view[:, :, -distance - padding - 1]


def _convolve(step: _Step, x: torch.Tensor, scale: torch.Tensor | None, shift: torch.Tensor | None) -> torch.Tensor:
    """A step's convolution of ``scale x + shift``; ``x`` is padded already, unless it is to be resized first."""
    convolution, weight, bias = step.convolution, step.kernels, step.convolution.bias
    if shift is not None:
        bias = step.sums @ shift if bias is None else bias + step.sums @ shift
    if scale is not None:
        weight = weight * (scale[:, None, None, None] if convolution.transposed else scale[:, None, None])
    (rows, columns), weight = step.block, weight.to(x.dtype)
    bias = None if bias is None else bias.repeat(rows * columns).to(x.dtype)
    if step.resize:
        x = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (step.padding,) * 4, mode="reflect")
    if convolution.transposed:
        return F.conv_transpose2d(x, weight, bias, convolution.stride, convolution.padding)
    if step.block == (1, 1):
        return F.conv2d(x, weight, bias, convolution.stride)
    pixels = F.conv2d(x, weight, bias, step.block).unflatten(1, (rows, columns, -1)).permute(0, 4, 1, 5, 2, 3)
    return pixels.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
