"""What makes the networks fast on a CPU: gradients written out, and work that oneDNN does along with a convolution.

oneDNN's own gradients of some convolutions are several times slower than need be, and torch's instance norm turns
channels last into channels first. :func:`accelerate` puts the layers of this file in the place of those of
``models.transformer_net`` and ``models.vgg19``; each is the same function, to rounding, in any floating-point type.
"""

import torch
from torch import nn
from torch.nn import functional as F

from models.multi_style import ConditionalInstanceNorm2d, mixed
from models.transformer_net import ReflectionConv2d, ReflectionConvTranspose2d, TransformerNet
from models.vgg19 import VGG19

_ONES = [1, 1]


def onednn_computes(x: torch.Tensor) -> bool:
    """Whether oneDNN computes a tensor's convolutions, and torch lets it do what comes after them as well."""
    if torch.compiler.is_compiling():  # the compiler fuses by itself
        return False
    if x.device.type != "cpu" or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return x.dtype == torch.float32 or x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _convolution_backward(grad, x, weight, *, stride=1, padding=0, of_input=False, of_weight=False):
    """Gradients of ``F.conv2d`` by its input and its weight; ``None`` for one that is not asked for."""
    mask = [of_input, of_weight, False]
    where = [stride] * 2, [padding] * 2, _ONES
    results = torch.ops.aten.convolution_backward(grad, x, weight, None, *where, False, [0, 0], 1, mask)
    return results[:2]


def _unfolded_weight_gradient(grad, x, kernel, stride=1):
    """Gradient of ``F.conv2d(x, weight, stride=stride)`` by its weight, as a product with all windows of the input.

    Args:
        grad: of the result, N x D x H' x W'.
        x: N x C x H x W.
        kernel: side of the weight's kernels.

    Returns:
        D x C x kernel x kernel.
    """
    channels, out_channels = x.shape[1], grad.shape[1]
    total = x.new_zeros(out_channels, kernel * kernel * channels)
    for picture, by_place in zip(x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)):  # one by one: less memory
        windows = picture.unfold(0, kernel, stride).unfold(1, kernel, stride)  # H' x W' x C x row x column
        total.addmm_(by_place.flatten(0, 1).T, windows.permute(0, 1, 3, 4, 2).flatten(2).flatten(0, 1))
    return total.view(out_channels, kernel, kernel, channels).permute(0, 3, 1, 2)


def _unfolding_pays(x: torch.Tensor) -> bool:
    """Whether :func:`_unfolded_weight_gradient` takes half the time that oneDNN takes, of an input N x C x H x W.

    So it is in float32 on processors without AVX-512, where there are channels enough to fill a window's rows.
    """
    return x.shape[1] >= 32 and x.dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _autocast_inputs(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Tensors in the type of ``torch.autocast`` where that is on, as it does for torch's own convolutions."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


def _reflect(x: torch.Tensor, padding: int) -> torch.Tensor:
    """Reflection padding in the type of ``x``; autocast has it done in float32: two conversions of every feature."""
    with torch.autocast("cpu", enabled=False):
        return F.pad(x, (padding,) * 4, mode="reflect")


class FrozenConvReLU(torch.autograd.Function):
    """max(0, w * x + b), 3x3 with zero padding, for weights that need no gradient: one pass over memory, not two.

    The result alone says where the ReLU let through, so that nothing from before it is kept for the gradient.
    """

    @staticmethod
    def forward(ctx, x, weight, bias):
        y = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, _ONES, _ONES, _ONES, 1, "relu", [], "")
        ctx.save_for_backward(y, weight)
        ctx.input_shape = x.shape
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        y, weight = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grad, y, 0)
        x = grad.new_empty(1).expand(ctx.input_shape)  # of the input the formula needs the shape alone
        return _convolution_backward(grad, x, weight, padding=1, of_input=True)[0], None, None


class DoublingConvTranspose(torch.autograd.Function):
    """``F.conv_transpose2d(x, weight, stride=2, padding=3)`` with a 4x4 kernel, with a faster gradient of the weight.

    An output pixel of even or odd row and column is a sum over a 2x2 window of the input, each kind with its own four
    taps of the kernel. The layer is therefore one 2x2 convolution to four times the channels, whose results are put in
    turns; and the gradient of the weight is that convolution's, for a tenth of the time.

    Shapes: x is N x C x (H + 2) x (W + 2), the weight C x D x 4 x 4, the result N x D x 2H x 2W.
    """

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, stride=2, padding=3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(grad, weight, stride=2, padding=3)  # the transpose of a transposed convolution
        if ctx.needs_input_grad[1]:
            grad_weight = _doubling_weight_gradient(x, weight, grad)
        return grad_x, grad_weight


def _doubling_weight_gradient(x, weight, grad):
    n, channels, rows, columns = x.shape  # rows = H + 2
    out_channels = weight.shape[1]
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
        taps = weight.new_empty(4 * out_channels, channels, 2, 2)  # only its shape counts
        taps = _convolution_backward(by_window, x, taps, of_weight=True)[1]
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
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _convolution_backward(grad, x, weight, stride=ctx.stride, of_input=True)[0]
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
        reach = weight.shape[-1] - 1
        padded = F.pad(grad, (reach,) * 4)
        turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(padded, turned)
        if ctx.needs_input_grad[1]:
            grad_weight = _convolution_backward(x, padded, turned, of_weight=True)[1].transpose(0, 1).flip(2, 3)
        return grad_x, grad_weight


_FEW = 4  # output channels up to which FewOutputsConv is faster


class _CPUConv2d(ReflectionConv2d):
    def forward(self, x):
        if torch.compiler.is_compiling():  # the compiler fuses by itself
            return super().forward(x)
        x = _reflect(x, self.kernel_size[0] // 2)
        if torch.is_grad_enabled():
            inputs = _autocast_inputs(x, self.weight)
            if self.out_channels <= _FEW and self.bias is not None:  # the last layer
                return FewOutputsConv.apply(*inputs) + self.bias[:, None, None]
            if self.bias is None and _unfolding_pays(inputs[0]):
                return UnfoldedGradientConv.apply(*inputs, self.stride[0])
        return F.conv2d(x, self.weight, self.bias, self.stride)


class _CPUConvTranspose2d(ReflectionConvTranspose2d):
    def forward(self, x):
        if torch.compiler.is_compiling() or not torch.is_grad_enabled() or self.bias is not None:
            return super().forward(x)
        return DoublingConvTranspose.apply(*_autocast_inputs(_reflect(x, 1), self.balanced_weight()))


def _instance_norm(x, scale, shift, eps):
    """Batch norm of each picture alone: the same function as torch's instance norm, and channels stay last.

    torch's own moves all of x into channels first. And of a single picture its gradient is wrong where channels come
    last in the gradient that it is given (torch 2.14): a view that the kernel takes for one of another layout.

    Args:
        x: N x C x H x W.
        scale, shift: N x C.
    """
    norms = [
        F.batch_norm(picture, None, None, own_scale, own_shift, training=True, eps=eps)
        for picture, own_scale, own_shift in zip(x.split(1), scale, shift)
    ]
    return torch.cat(norms) if len(norms) > 1 else norms[0]


class _CPUInstanceNorm2d(nn.InstanceNorm2d):
    def forward(self, x):
        if torch.compiler.is_compiling():
            return super().forward(x)
        return _instance_norm(x, self.weight.expand(len(x), -1), self.bias.expand(len(x), -1), self.eps)


class _CPUConditionalInstanceNorm2d(ConditionalInstanceNorm2d):
    def forward(self, x, style):
        if torch.compiler.is_compiling():
            return super().forward(x, style)
        return _instance_norm(x, mixed(style, self.weight), mixed(style, self.bias), self.eps)


class _FrozenConvReLU2d(nn.Conv2d):
    def forward(self, x):
        if onednn_computes(x) and not self.weight.requires_grad:
            return FrozenConvReLU.apply(x, self.weight, self.bias)
        return F.relu(super().forward(x))


def accelerate(network: TransformerNet | VGG19) -> TransformerNet | VGG19:
    """Put this file's layers into a network, in place, where a CPU computes it: the same function, to rounding.

    A network that is trained gets gradients written out; in the loss network oneDNN computes ReLUs along with the
    convolutions. Inference has a forward pass of its own, :class:`models.fusion.FusedNetwork`.

    Args:
        network: in its final type and on its final device. Parameters keep their names.

    Returns:
        The same network; unchanged on other devices.
    """
    weight = next(network.parameters())
    if isinstance(network, VGG19) and weight.device.type == "cpu":
        for index, layer in enumerate(network.features):
            if isinstance(layer, nn.Conv2d):
                layer.__class__ = _FrozenConvReLU2d
                network.features[index + 1] = nn.Identity()
    elif any(parameter.requires_grad for parameter in network.parameters()):
        for layer in network.modules() if weight.device.type == "cpu" else ():
            layer.__class__ = _TRAINED.get(type(layer), type(layer))
    return network


_TRAINED = {
    ReflectionConv2d: _CPUConv2d,
    ReflectionConvTranspose2d: _CPUConvTranspose2d,
    nn.InstanceNorm2d: _CPUInstanceNorm2d,
    ConditionalInstanceNorm2d: _CPUConditionalInstanceNorm2d,
}


_MOST_POSITIONS = 2**16
"""Of a picture that are summed up in float32."""


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel of each picture, without gradients.

    Args:
        x: N x C x H x W.

    Returns:
        N x C each, float32.
    """
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x.float(), (2, 3), correction=0)
        return mean, variance
    # Where channels come last, torch.var_mean takes ten times as long.
    means, variances = zip(*(_moments_of_picture(picture) for picture in x.split(1)))
    return torch.stack(means), torch.stack(variances)


def _moments_of_picture(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    unused = torch.zeros(x.shape[1])  # running statistics; the result takes their type
    strips = x.split(max(1, _MOST_POSITIONS // x.shape[3]), 2)
    found = [torch.batch_norm_update_stats(strip, unused, unused, 0.0) for strip in strips]
    means, variances = map(torch.stack, zip(*found))
    mean, variance = together(means, variances, [strip.shape[2] for strip in strips])
    return mean.float(), variance.float()


def together(means, variances, sizes) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of K sets of values as one set.

    Args:
        means, variances: K x C, on the CPU.
        sizes: how many values each set has, or numbers in proportion.

    Returns:
        C each, float64.
    """
    share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    mean = share @ means.double()
    return mean, share @ (variances.double() + (means - mean).square())
