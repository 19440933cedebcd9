"""Layers merged for inference: batch norm into convolutions, and on a CPU all that stands between two convolutions."""

import copy
from collections.abc import Callable

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

_BLOCKS = {3: (4, 2), 4: (1, 4), 8: (1, 2)}
"""Rows and columns that a 9 x 9 convolution to so few channels gives at once: one pixel's leave most lanes idle."""

_FEW = 4
"""A transposed convolution to so few channels gives its even rows first, then its odd ones, two pixels at once."""

_TINY = 1e-12


def fuse_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode, each convolution followed by a batch norm merged with it into one convolution.

    The same function, to rounding (Jacob et al., 2018, section 3.2). Instance norm depends on the picture and stays.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        layers = module if isinstance(module, nn.Sequential) else ()
        for index, norm in enumerate(layers):
            if isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):  # after a convolution
                convolution = layers[index - 1]
                layers[index - 1] = fuse_conv_bn_eval(convolution, norm, transpose=convolution.transposed)
                layers[index] = nn.Identity()
    for module in network.modules():
        if isinstance(module, ReflectionConvTranspose2d):
            module.weight, module.is_balanced = nn.Parameter(module.balanced_weight()), True
    return network.requires_grad_(False)


class _Step:
    """A convolution and what follows it; whether the features are doubled in size first, and of a block its place."""

    def __init__(self, layers: nn.Sequential, begins_block: bool = False, ends_block: bool = False):
        kinds = nn.Upsample, nn.Conv2d | nn.ConvTranspose2d, PictureNorm, nn.ReLU
        left = [layer for layer in layers if not isinstance(layer, nn.Identity)]
        resize, convolution, norm, _ = (left.pop(0) if left and isinstance(left[0], kind) else None for kind in kinds)
        if left or convolution is None or (norm is not None and norm.weight.dim() > 1):
            raise TypeError(f"fused inference does not know {layers}, or it is of several styles")
        self.convolution, self.norm, self.resize = convolution, norm, resize is not None
        self.begins_block, self.ends_block = begins_block, ends_block
        self.padding = 1 if convolution.transposed else convolution.kernel_size[0] // 2  # of the input, on each side
        weight = convolution.weight.detach()
        # What the convolution makes of a constant in each of its inputs, D x C. A transposed one of stride 2 applies a
        # quarter of its kernel to each pixel, all with the same sums.
        self.sums = weight.sum((2, 3)).T / 4 if convolution.transposed else weight.sum((2, 3))
        self.block, self.kernels = (1, 1), weight  # rows and columns of pixels that it gives at once
        if convolution.kernel_size == (9, 9) and convolution.out_channels in _BLOCKS:
            self.block = _BLOCKS[convolution.out_channels]
            self.kernels = block_kernels(weight, *self.block)
        if convolution.transposed and convolution.out_channels <= _FEW:
            self.block, self.kernels = (1, 2), row_kernels(weight)


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


def row_kernels(weight: torch.Tensor) -> torch.Tensor:
    """A transposed convolution of stride 2 as two convolutions, for its even and its odd rows, each for two pixels.

    Args:
        weight: C x D x 4 x 4.

    Returns:
        2 x 2D x C x 2 x 3: the kernels of a row's left and right pixels, each with one column of zeros.
    """
    taps = weight.flip(2, 3).unflatten(3, (2, 2)).unflatten(2, (2, 2))  # C, D, a, row, b, column: each turned around
    kernels = weight.new_zeros(2, 2, weight.shape[1], weight.shape[0], 2, 3)
    for column in range(2):
        kernels[:, column, ..., column : column + 2] = taps[..., column].permute(3, 1, 0, 2, 4)
    return kernels.flatten(1, 2).contiguous()


def fused_pass(network: TransformerNet, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """What computes a network's forward pass on a CPU: a :class:`FusedNetwork`, or the network itself if that fails."""
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
        TypeError: where the network has several styles, or layers of other kinds than ``TransformerNet`` builds.
    """

    def __init__(self, network: TransformerNet, dtype: torch.dtype):
        self.network, self.dtype = network, dtype
        self.steps = []
        for layer in network.layers:
            if isinstance(layer, ResidualBlock):
                first, second = layer.residual
                self.steps += [_Step(first, begins_block=True), _Step(second, ends_block=True)]
            else:
                self.steps.append(_Step(layer))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
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
                scale = scale.masked_fill(scale.abs() < _TINY, _TINY)
                bound, rises = -shift / scale, scale > 0
                _clamp(y, bound.masked_fill(~rises, -torch.inf), bound.masked_fill(rises, torch.inf), inside)
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
    low, high = (bound.to(y.dtype).expand(y.shape[3], -1).flatten() for bound in (low, high))
    torch.clamp(rows, low, high, out=out_rows.view(*rows.shape))


def _statistics(norm: nn.Module | None, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift, C each and float32, for the features of one picture."""
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
    whole = step.block == (1, 1)  # else the kernels are of several pixels
    if scale is not None:
        weight = weight * (scale[:, None, None, None] if convolution.transposed and whole else scale[:, None, None])
    (rows, columns), weight = step.block, weight.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype).expand(rows * columns, -1).flatten()
    if step.resize:
        x = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (step.padding,) * 4, mode="reflect")
    if convolution.transposed and not whole:
        return _by_rows(x, weight, bias)
    if convolution.transposed:
        return F.conv_transpose2d(x, weight, bias, convolution.stride, convolution.padding)
    if whole:
        return F.conv2d(x, weight, bias, convolution.stride)
    pixels = F.conv2d(x, weight, bias, step.block).unflatten(1, (rows, columns, -1)).permute(0, 4, 1, 5, 2, 3)
    return pixels.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _by_rows(x: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The transposed convolution of :func:`row_kernels`, for ``x`` with a border of one pixel."""
    number, _, height, width = x.shape
    result = x.new_empty(number, height - 2, 2, width - 2, len(bias))
    for row, kernel in enumerate(kernels):
        result[:, :, row] = F.conv2d(x[:, :, row : row + height - 1], kernel, bias).permute(0, 2, 3, 1)
    return result.view(number, 2 * height - 4, 2 * width - 4, -1).permute(0, 3, 1, 2)
