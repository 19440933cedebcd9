"""The training's objective as a measure of single pictures: Johnson, Alahi and Fei-Fei (2016), equation 5."""

import torch
from PIL import Image
from torch import nn

from config import TrainingConfig
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch
from losses.perceptual import Losses, PerceptualLoss
from models.vgg19 import VGG19
from training.plan import check_style_term


def style_batch(image: Image.Image, settings) -> torch.Tensor:
    """A painting as a training with these settings learns it: resized, and smoothed where that was asked for.

    Args:
        settings: with ``image_size``, ``style_size`` and ``style_smoothing``, as ``TrainingConfig`` has them.

    Returns:
        1 x 3 x H x W, float32, RGB in [0, 255], on the CPU.
    """
    return smooth_strokes(picture_batch(image, settings.style_size or settings.image_size), settings.style_smoothing)


def criterion_of(
    settings: TrainingConfig,
    vgg: VGG19,
    style_image: torch.Tensor,
    photographs: list[torch.Tensor],
    scales: dict | None = None,
    painting: torch.Tensor | None = None,
) -> PerceptualLoss:
    """The objective of a training with these settings.

    There is no ceiling on the content: multiply ``settings.style_weight`` by the level of the style term.

    Args:
        settings: weights and ``loss_scale``.
        vgg: the loss network.
        style_image: 1 x 3 x H x W, RGB in [0, 255], see :func:`style_batch`.
        photographs: 1 x 3 x H x W each, RGB in [0, 255], of one size, the size of what will be judged.
        scales: of a training. Left out, they are measured on the photographs, if ``loss_scale`` is ``"relative"``.
        painting: see :class:`losses.perceptual.PerceptualLoss`.

    Raises:
        ValueError, TypeError: if ``scales`` cannot be those of this objective.
    """
    check_style_term(settings, min(*style_image.shape[-2:], *photographs[0].shape[-2:]))
    size, paintings = tuple(photographs[0].shape[-2:]), None if painting is None else [painting]
    criterion = PerceptualLoss(settings, _WithMemory(vgg), [style_image], size, paintings=paintings)
    criterion.measure(lambda: photographs)
    if settings.loss_scale == "relative" and scales is not None:
        criterion.set_scales(scales)
    return criterion.eval()


def unweighted(criterion: PerceptualLoss, losses: Losses) -> dict[str, float]:
    """Each term of a single picture before its weight; terms of weight 0 are left out."""
    return {term.name: losses.raw[term.name].item() for term in criterion.terms if term.weight}


class _WithMemory(nn.Module):
    """A loss network that looks at a photograph once, while picture after picture is compared with it.

    That spares optimisation a third of its time.
    """

    def __init__(self, vgg: VGG19):
        super().__init__()
        self.vgg = vgg
        self._asked = self._features = None

    def forward(self, images: torch.Tensor, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        if images.requires_grad:
            return self.vgg(images, names)
        asked = (images, images._version, names)  # holding the tensor itself, so that no other can take its place
        if self._asked is None or not (asked[0] is self._asked[0] and asked[1:] == self._asked[1:]):
            self._features = self.vgg(images, names)
            self._asked = asked
        return self._features
