"""The terms of the objective that look through the loss network, or that measure something before a training.

A term is a function of a :class:`Batch`. It gives N values, one for each photograph, or one for all of them. A term
that keeps something is an ``nn.Module``: its buffers are saved in a checkpoint and restored. One that measures
something before a training has a method ``measure``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from config import TrainingConfig
from losses.functional import content_loss, gram_matrix, octaves, style_loss, total_variation_loss
from losses.temporal import Views

LossNetwork = Callable[[torch.Tensor, tuple[str, ...]], dict[str, torch.Tensor]]
"""Features by name of images, N x 3 x H x W, RGB in [0, 255]; see :meth:`models.vgg19.VGG19.forward`."""

Batches = Callable[[], Iterable[torch.Tensor]]
"""Gives the calibration photographs, batches of N x 3 x H x W, RGB in [0, 255], from the first on at each call."""


class Batch(NamedTuple):
    """What a term looks at."""

    stylized: torch.Tensor  # N x 3 x H x W, RGB in [0, 255], as are photographs and moved
    photographs: torch.Tensor
    style: torch.Tensor  # N whole numbers, the style of each photograph
    features: dict[str, torch.Tensor]  # of stylized, the content layer and the style layers
    target: torch.Tensor  # N x C x H' x W', the content layer of photographs, without a gradient
    moved: torch.Tensor | None = None  # the stylized second views
    views: Views | None = None


class Content(nn.Module):
    """Equation 2, divided by a scale: the squared mean activation of the layer over the calibration photographs.

    Gatys et al. (2016) bring VGG to a mean activation of one. Before :meth:`measure` the scale is 1, as in the paper.
    """

    def __init__(self, network: LossNetwork, layer: str):
        super().__init__()
        self.network, self.layer = network, layer
        self.register_buffer("scale", torch.ones(()))

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.distance(batch.features[self.layer], batch.target)

    def distance(self, features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """N values of features of the layer, both N x C x H' x W'."""
        return content_loss(features, target) / self.scale

    def measure(self, batches: Batches) -> None:
        activations = [self.network(images, (self.layer,))[self.layer].float().mean() for images in batches()]
        self.scale.copy_(_or_one(torch.stack(activations).mean().square()))


class Style(nn.Module):
    """Equation 4 for each layer at each size, divided by a scale: ||G_j(s)||_F^2 times the number of Gram matrices.

    Each size is half of the one before: Gram matrices at half the size see forms twice as large (Snelgrove,
    High-Resolution Multi-Scale Neural Texture Synthesis, 2017). The paper has one size. The weights of layers and of
    sizes have a mean of one. Before :meth:`measure` the scales are 1, as in the paper.

    Args:
        style_images: 1 x 3 x H x W each, RGB in [0, 255], the smallest size no less than 16 x 16.
        config: with the ``style_...`` settings.
    """

    def __init__(self, network: LossNetwork, style_images: Sequence[torch.Tensor], config: TrainingConfig):
        super().__init__()
        self.network, self.layers, self.octaves = network, tuple(config.style_layers), config.style_octaves
        with torch.no_grad():
            grams = [self._grams(image, network(image, self.layers)) for image in style_images]
        self.grams = [torch.cat(of_styles) for of_styles in zip(*grams)]  # S x C x C each
        device = self.grams[0].device
        of_layers = torch.tensor(config.style_layer_weights, dtype=torch.float64)
        of_sizes = torch.tensor(config.style_octave_weights or (1.0,) * self.octaves, dtype=torch.float64)
        weights = torch.outer(of_sizes / of_sizes.mean(), of_layers / of_layers.mean()).flatten().float()
        self.register_buffer("weights", weights.to(device), persistent=False)
        self.register_buffer("scale", torch.ones(len(style_images), len(self.grams), device=device))

    def _grams(self, images: torch.Tensor, features: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """N x C x C each, in the order of the layers, at one size after another; the features are of the first size."""
        smaller = octaves(images, self.octaves)[1:]
        at_sizes = [features, *(self.network(smaller_images, self.layers) for smaller_images in smaller)]
        return [gram_matrix(at_size[name]) for at_size in at_sizes for name in self.layers]

    def forward(self, batch: Batch) -> torch.Tensor:
        found = self._grams(batch.stylized, batch.features)
        losses = [style_loss(gram, target[batch.style]) for gram, target in zip(found, self.grams)]
        losses = ((self.weights / self.scale)[batch.style] * torch.stack(losses, 1)).sum(1)
        if batch.views is not None:  # what is soft need not look painted
            losses = torch.where(batch.views.soft, 0, losses)
        return losses

    def measure(self, batches: Batches) -> None:
        powers = torch.stack([gram.square().sum((1, 2)) for gram in self.grams], 1)  # S x Gram matrices
        self.scale.copy_(_or_one(len(self.grams) * powers))


class TotalVariation(nn.Module):
    """Total variation, divided by a scale: that of the calibration photographs, or 1 before :meth:`measure`."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, batch: Batch) -> torch.Tensor:
        return total_variation_loss(batch.stylized) / self.scale

    def measure(self, batches: Batches) -> None:
        self.scale.copy_(_or_one(torch.stack([total_variation_loss(images) for images in batches()]).mean()))


def _or_one(scale: torch.Tensor) -> torch.Tensor:
    """A scale, or 1 where it is 0: flat pictures have no variation, and a dead loss network has no activation."""
    return torch.where(scale > 0, scale, 1.0)
