"""Batch normalisation's population statistics."""

from collections.abc import Iterable

import torch
from torch import nn

from models.multi_style import MultiStyleNet
from models.transformer_net import MixedNorm2d


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Estimate the running mean and variance of every batch-norm layer afresh, over given batches.

    The running averages that training keeps lag behind the weights, which shows as dark patches in stylized pictures;
    training itself never reads them. A network without batch norm is left as it is, and so is everything but those
    statistics.

    Args:
        network: a TransformerNet, in either mode; the mode is restored.
        batches: N x 3 x H x W each, RGB in [0, 255], of the size and number that the network is trained on.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.SyncBatchNorm | MixedNorm2d)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], network.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
    mean_style = ()
    if isinstance(network, MultiStyleNet):
        mean_style = (torch.full((1, len(network.styles)), 1 / len(network.styles), device=layers[0].weight.device),)
    network.train()
    for batch in batches:
        network(batch, *mean_style)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    network.train(training)
