"""Layers merged for inference: batch normalisation becomes part of the convolutions."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.transformer_net import ReflectionConvTranspose2d


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
