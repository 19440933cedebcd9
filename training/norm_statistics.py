"""The running statistics of batch and mixed norm, estimated anew."""

from collections.abc import Iterable

import torch
from torch import nn

from models.multi_style import MultiStyleNet
from models.transformer_net import MixedNorm2d


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Estimate the running mean and variance of every batch or mixed norm over given batches.

    The running averages that training keeps lag behind the weights, which shows as dark patches in stylized pictures;
    training with batch norm never reads them. Nothing else of the network changes.

    Args:
        network: a TransformerNet, in either mode.
        batches: N x 3 x H x W each, RGB in [0, 255], of the size and number that the network is trained on.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.SyncBatchNorm | MixedNorm2d)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], network.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
    network.train()
    for batch in batches:
        styles = ()
        if isinstance(network, MultiStyleNet):  # all of them, mixed
            styles = (batch.new_full((len(batch), len(network.styles)), 1 / len(network.styles)),)
        network(batch, *styles)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    network.train(training)
