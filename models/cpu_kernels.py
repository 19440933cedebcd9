"""What makes the networks fast on a CPU: gradients written out where autograd's or oneDNN's are slow.

While torch.compile traces a network, the layers here compute as the plain ones do, for the compiler fuses by itself.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from models.multi_style import ConditionalInstanceNorm2d
from models.transformer_net import (
    MixedNorm2d,
    ReflectionConv2d,
    ReflectionConvTranspose2d,
    TransformerNet,
    scale_and_shift,
)
from models.vgg19 import VGG19


def _unfolded_weight_gradient(grad, x, kernel, stride=1):
    """Gradient of ``F.conv2d(x, weight, stride=stride)`` by its weight, as a product with all windows of the input."""
    channels, out_channels = x.shape[1], grad.shape[1]
    total = x.new_zeros(out_channels, kernel * kernel * channels)
    for picture, by_place in zip(x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)):  # one by one: less memory
        windows = picture.unfold(0, kernel, stride).unfold(1, kernel, stride)  # H' x W' x C x row x column
        total.addmm_(by_place.flatten(0, 1).T, windows.permute(0, 1, 3, 4, 2).flatten(2).flatten(0, 1))
    return total.view(out_channels, kernel, kernel, channels).permute(0, 3, 1, 2)


def _unfolding_pays(x: torch.Tensor) -> bool:
    """Whether :func:`_unfolded_weight_gradient` takes half the time that oneDNN takes, as without AVX-512."""
    return x.shape[1] >= 32 and x.dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _autocast_inputs(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Tensors in the type that ``torch.autocast`` gives to convolutions; as they are where it is off."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


def _reflect(x: torch.Tensor, padding: int) -> torch.Tensor:
    """Reflection padding in the type of ``x``. Autocast would convert all features to float32 and back."""
    with torch.autocast("cpu", enabled=False):
        return F.pad(x, (padding,) * 4, mode="reflect")


class FrozenConvReLU(torch.autograd.Function):
    """max(0, w * x + b), 3x3 with zero padding, for weights that need no gradient; the result alone is kept."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        y = F.conv2d(x, weight, bias, padding=1).relu_()
        ctx.save_for_backward(y, weight)
        ctx.input_shape = x.shape
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        y, weight = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grad, y, 0)  # in one pass, for which there is no public call
        return conv2d_input(ctx.input_shape, weight, grad, padding=1), None, None


class DoublingConvTranspose(torch.autograd.Function):
    """``F.conv_transpose2d(x, weight, stride=2, padding=3)`` with a 4x4 kernel, with a faster gradient of the weight.

    An output pixel of even or odd row and column is a sum over a 2x2 window of the input, each kind with its own four
    taps of the kernel. The layer is therefore one 2x2 convolution to four times the channels, whose results are put in
    turns; and the gradient of the weight is that convolution's, for a tenth of the time.
    """

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, stride=2, padding=3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = F.conv2d(grad, weight, stride=2, padding=3)  # the transpose of a transposed convolution
        return grad_x, _doubling_weight_gradient(x, grad) if ctx.needs_input_grad[1] else None


def _doubling_weight_gradient(x, grad):
    """C x D x 4 x 4, for x of N x C x (H + 2) x (W + 2) and the result's gradient, N x D x 2H x 2W."""
    n, channels, rows, columns = x.shape
    out_channels = grad.shape[1]
    # Windows at all H + 1 places; output rows 2i and 2i + 1 look at windows i and i + 1, and so do the columns.
    by_window = grad.new_zeros(n, rows - 1, columns - 1, 2, 2, out_channels)
    parities = grad.permute(0, 2, 3, 1).unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # N, H, row, W, column, D
    for row in range(2):
        for column in range(2):
            place = by_window[:, row : row + rows - 2, column : column + columns - 2, row, column]
            place.copy_(parities[:, :, row, :, column])
    by_window = by_window.flatten(3).permute(0, 3, 1, 2)  # N x 4D x (H + 1) x (W + 1), channels last
    if _unfolding_pays(x):
        taps = _unfolded_weight_gradient(by_window, x, 2)
    else:
        taps = conv2d_weight(x, (4 * out_channels, channels, 2, 2), by_window)
    # Tap a of window i + row meets kernel row 3 - row - 2a: the kernel runs against the window.
    taps = taps.unflatten(0, (2, 2, out_channels)).permute(3, 2, 4, 0, 5, 1)  # C, D, a, row, b, column
    return taps.flip(2, 3, 4, 5).reshape(channels, out_channels, 4, 4)


class UnfoldedGradientConv(torch.autograd.Function):
    """``F.conv2d(x, weight, stride=stride)``, with the gradient of the weight by unfolding."""

    @staticmethod
    def forward(ctx, x, weight, stride):
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, stride=stride)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = conv2d_input(x.shape, weight, grad, ctx.stride), None
        if ctx.needs_input_grad[1]:
            grad_weight = _unfolded_weight_gradient(grad, x, weight.shape[-1], ctx.stride)
        return grad_x, grad_weight, None


class FewOutputsConv(torch.autograd.Function):
    """``F.conv2d(x, weight)`` to a handful of channels, such as RGB, with faster gradients.

    The kernels for many channels idle where there are three. The gradient of the input is a convolution *of* three
    channels, which the library does well; and the sum over positions that makes the gradient of the weight is the same
    seen from the other side, with the gradient as the input and the input as the gradient.
    """

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        padded = F.pad(grad, (weight.shape[-1] - 1,) * 4)
        turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        grad_x, grad_weight = F.conv2d(padded, turned), None
        if ctx.needs_input_grad[1]:
            grad_weight = conv2d_weight(padded, turned.shape, x).transpose(0, 1).flip(2, 3)
        return grad_x, grad_weight


class ScaleAndShift(torch.autograd.Function):
    """``scale x + shift``, both computed from mean and variance of each channel of each picture of ``x``.

    Autograd would take seven passes over memory from the gradient of the result to that of ``x``; here it is four.
    ``computed`` is ``(mean, variance, scale, shift)``, N x C each. Scale and shift have gradients by mean, variance and
    ``parameters``; mean and variance have none by ``x``. A tuple, so that autograd sees no way around this.
    """

    @staticmethod
    def forward(ctx, x, computed, *parameters):
        ctx.save_for_backward(x, *parameters)
        ctx.computed = computed
        scale, shift = computed[2:]
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None]).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, *parameters = ctx.saved_tensors
        mean, variance, scale, shift = ctx.computed
        grad, positions = grad.to(scale.dtype), x[0, 0].numel()
        by_scale, by_shift = (grad * x).sum((2, 3)), grad.sum((2, 3))
        by_mean, by_variance, *by_parameters = torch.autograd.grad(
            (scale, shift), (mean, variance, *parameters), (by_scale, by_shift), retain_graph=True
        )
        # A pixel adds 1 / positions to the mean, and 2 (x - mean) / positions to the variance.
        slope = 2 * by_variance / positions
        constant = by_mean / positions - slope * mean
        by_x = torch.addcmul(constant[..., None, None], x, slope[..., None, None])
        by_x.addcmul_(grad, scale[..., None, None])
        return by_x.to(x.dtype), None, *by_parameters


class _CPUConv2d(ReflectionConv2d):
    def forward(self, x):
        if torch.compiler.is_compiling():
            return super().forward(x)
        x = _reflect(x, self.kernel_size[0] // 2)
        if torch.is_grad_enabled():
            inputs = _autocast_inputs(x, self.weight)
            if self.out_channels <= 4 and self.bias is not None:  # the last layer
                return FewOutputsConv.apply(*inputs) + self.bias[:, None, None]
            if self.bias is None and _unfolding_pays(inputs[0]):
                return UnfoldedGradientConv.apply(*inputs, self.stride[0])
        return F.conv2d(x, self.weight, self.bias, self.stride)


class _CPUConvTranspose2d(ReflectionConvTranspose2d):
    def forward(self, x):
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return super().forward(x)
        return DoublingConvTranspose.apply(*_autocast_inputs(_reflect(x, 1), self.balanced_weight()))


class _CPUNorm(nn.Module):
    """The forward pass of a norm of the whole picture, for one style or, by N x S weights, for several."""

    def forward(self, x, *style):
        if torch.compiler.is_compiling():
            return super().forward(x, *style)
        mean, variance = moments(x.detach())
        if isinstance(self, MixedNorm2d) and self.training:
            self.observe(mean, variance, *style)
        if torch.is_grad_enabled():
            mean, variance = mean.requires_grad_(), variance.requires_grad_()
        computed = mean, variance, *scale_and_shift(self, mean, variance, *style)
        return ScaleAndShift.apply(x, computed, self.weight, self.bias)


class _CPUInstanceNorm2d(_CPUNorm, nn.InstanceNorm2d):
    """Torch's own has a wrong gradient for a single picture if channels come last in the gradient of the result."""


class _CPUConditionalInstanceNorm2d(_CPUNorm, ConditionalInstanceNorm2d):
    pass


class _CPUMixedNorm2d(_CPUNorm, MixedNorm2d):
    pass


class _FrozenConvReLU2d(nn.Conv2d):
    def forward(self, x):
        if torch.compiler.is_compiling():
            return F.relu(super().forward(x))
        return FrozenConvReLU.apply(x, self.weight, self.bias)


def accelerate(network: TransformerNet | VGG19) -> TransformerNet | VGG19:
    """Put this file's layers into a network where a CPU computes it: the same function, to rounding.

    Inference has a forward pass of its own, :class:`models.fusion.FusedNetwork`.

    Args:
        network: in its final type and on its final device. The new layers share its parameters, under their names.

    Returns:
        The same network; unchanged on other devices.
    """
    if next(network.parameters()).device.type != "cpu":
        return network
    if isinstance(network, VGG19):
        for index, layer in enumerate(network.features):
            if isinstance(layer, nn.Conv2d):
                network.features[index] = _sharing(layer, _FrozenConvReLU2d, *_sizes(layer), 3, padding=1)
                network.features[index + 1] = nn.Identity()
        return network
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            setattr(parent, name, _accelerated(layer))
    return network


def _accelerated(layer: nn.Module) -> nn.Module:
    """The layer of this file that computes the same; the layer itself if there is none."""
    if type(layer) is ReflectionConv2d:
        kernel, stride, bias = layer.kernel_size[0], layer.stride[0], layer.bias is not None
        return _sharing(layer, _CPUConv2d, *_sizes(layer), kernel, stride, bias)
    if type(layer) is ReflectionConvTranspose2d:
        return _sharing(layer, _CPUConvTranspose2d, *_sizes(layer))
    if type(layer) is nn.InstanceNorm2d:
        return _sharing(layer, _CPUInstanceNorm2d, layer.num_features, affine=True)
    if type(layer) is ConditionalInstanceNorm2d:
        return _sharing(layer, _CPUConditionalInstanceNorm2d, layer.num_features, len(layer.weight))
    if type(layer) is MixedNorm2d:
        return _sharing(layer, _CPUMixedNorm2d, layer.num_features)
    return layer


def _sizes(layer: nn.Module) -> tuple[int, int]:
    return layer.in_channels, layer.out_channels


def _sharing(layer: nn.Module, kind: type[nn.Module], *sizes, **options) -> nn.Module:
    """A layer of this kind and size with the parameters, buffers and mode of another."""
    with torch.device("meta"):  # weights of its own would be drawn for nothing
        new = kind(*sizes, **options)
    for name, value in (*layer.named_parameters(), *layer.named_buffers()):
        setattr(new, name, value)
    return new.train(layer.training)


_MOST_POSITIONS = 2**16  # of a picture that are summed up in float32 at a time
_LANES = 128  # channels that are summed up at a time: of fewer channels, several pixels are taken side by side


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel of each picture, N x C each, float32 (float64 for float64), no gradients."""
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x.to(torch.promote_types(x.dtype, torch.float32)), (2, 3), correction=0)
        return mean, variance
    # Where channels come last, torch.var_mean takes ten times as long.
    means, variances = zip(*(_moments_of_picture(picture) for picture in x.split(1)))
    return torch.stack(means), torch.stack(variances)


def _moments_of_picture(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    dtype = torch.promote_types(x.dtype, torch.float32)
    channels, beside = x.shape[1], 1
    if x.is_contiguous(memory_format=torch.channels_last):
        beside = math.gcd(x.shape[2] * x.shape[3], max(1, _LANES // channels))
        x = x.permute(0, 2, 3, 1).view(1, -1, 1, beside * channels).permute(0, 3, 1, 2)
    unused = torch.zeros(x.shape[1], dtype=dtype)  # running statistics; the result takes their type
    strips = x.split(max(1, _MOST_POSITIONS // x.shape[3]), 2)
    found = [torch.batch_norm_update_stats(strip, unused, unused, 0.0) for strip in strips]
    means, variances = (torch.cat(values).view(-1, channels) for values in zip(*found))
    if len(strips) == 1:  # sets of equal size
        between, mean = torch.var_mean(means, 0, correction=0)
        return mean, variances.mean(0) + between
    mean, variance = together(means, variances, [strip.shape[2] for strip in strips for _ in range(beside)])
    return mean.to(dtype), variance.to(dtype)


def together(means, variances, sizes) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance, C each and float64, of K sets of values as one set.

    Args:
        means, variances: K x C, on the CPU.
        sizes: how many values each set has, or numbers in proportion.
    """
    share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    mean = share @ means.double()
    return mean, share @ (variances.double() + (means - mean).square())
