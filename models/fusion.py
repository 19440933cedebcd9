"""Layers merged for inference: batch normalisation folded into convolutions, ReLU and sums done by them on a CPU."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.cpu_kernels import onednn_computes
from models.transformer_net import ReflectionConvTranspose2d, ResidualBlock, reflect


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


class OneDNNConvolution(nn.Module):
    """A reflecting convolution that oneDNN computes along with what follows it, a ReLU or the addition of a tensor.

    The same values, to rounding, for less than the convolution and a pass over memory together.

    Args:
        convolution: ``ReflectionConv2d`` or ``ReflectionConvTranspose2d`` on a CPU, float32 or bfloat16.
        relu: whether a ReLU follows.
    """

    def __init__(self, convolution: nn.Module, relu: bool):
        super().__init__()
        self.convolution, self.activation = convolution, "relu" if relu else "none"
        self.transposed = isinstance(convolution, ReflectionConvTranspose2d)

    def forward(self, x: torch.Tensor, addend: torch.Tensor | None = None) -> torch.Tensor:
        layer = self.convolution
        x = reflect(x, 1 if self.transposed else layer.kernel_size[0] // 2)
        # What follows the bias in oneDNN's own order: padding, (output padding,) stride, dilation, groups.
        if self.transposed:
            onednn = torch.ops.mkldnn._convolution_transpose_pointwise
            where = list(layer.padding), [0, 0], list(layer.stride), [1, 1], 1
        else:
            onednn = torch.ops.mkldnn._convolution_pointwise
            where = [0, 0], list(layer.stride), [1, 1], 1
        if addend is None:
            return onednn(x, layer.weight, layer.bias, *where, self.activation, [], "")
        return onednn.binary(x, addend, layer.weight, layer.bias, *where, "add", 1.0, None, [], None)


class _OneDNNResidualBlock(nn.Module):
    def __init__(self, first: OneDNNConvolution, second: OneDNNConvolution):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.second(self.first(x), addend=x)


def merge_pointwise(network: nn.Module) -> nn.Module:
    """Have oneDNN compute ReLUs and residual sums along with the convolutions, in place, where it computes those.

    Args:
        network: a ``TransformerNet`` for inference, after :func:`fuse_batch_norm`, in its final type and device.

    Returns:
        The same network; unchanged on other devices and in other types.
    """
    if not onednn_computes(next(network.parameters())):
        return network
    for index, layer in enumerate(network.layers):
        if isinstance(layer, ResidualBlock):
            first, second = (_merge_layer(part) for part in layer.residual)
            if isinstance(first, OneDNNConvolution) and isinstance(second, OneDNNConvolution):
                network.layers[index] = _OneDNNResidualBlock(first, second)
        else:
            network.layers[index] = _merge_layer(layer)
    return network


def _merge_layer(layer: nn.Sequential) -> nn.Module:
    """The convolution with its ReLU; the layer as it is where a normalisation stands between them."""
    *before, convolution = [part for part in layer if not isinstance(part, nn.Identity | nn.ReLU)]
    if any(not isinstance(part, nn.Upsample) for part in before):
        return layer
    merged = OneDNNConvolution(convolution, relu=isinstance(layer[-1], nn.ReLU))
    return nn.Sequential(*before, merged) if before else merged
