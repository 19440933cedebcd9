"""The training's objective as a measure of single pictures: Johnson, Alahi and Fei-Fei (2016), equation 5."""

import functools

import torch
from PIL import Image

from config import TrainingConfig
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, whole_batch
from losses.perceptual import Losses, PerceptualLoss
from models.vgg19 import VGG19
from training.plan import check_style_term


def style_batch(image: Image.Image, settings) -> torch.Tensor:
    """A painting as a training with these settings learns it: 1 x 3 x H x W, float32, RGB in [0, 255], on the CPU."""
    return smooth_strokes(picture_batch(image, settings.style_size or settings.image_size), settings.style_smoothing)


def criterion_of(
    settings: TrainingConfig,
    vgg: VGG19,
    painting: Image.Image,
    photographs: list[torch.Tensor],
    scales: dict | None = None,
) -> PerceptualLoss:
    """The objective of a training with these settings; ``style_weight`` includes the level of the style term.

    Args:
        photographs: 1 x 3 x H x W each, RGB in [0, 255], of the size and on the device of what will be judged.
        scales: of a training. Left out, they are measured on the photographs, if ``loss_scale`` is ``"relative"``.

    Raises:
        ValueError, TypeError: if ``scales`` cannot be those of this objective.
    """
    # TensorFloat-32 keeps ten bits of a product: too few for the differences of gradients that L-BFGS lives on.
    torch.backends.cudnn.allow_tf32 = False
    device, size = photographs[0].device, tuple(photographs[0].shape[-2:])
    style_image = style_batch(painting, settings).to(device)
    check_style_term(settings, min(*style_image.shape[-2:], *size))
    # A photograph is looked at once while picture after picture is compared with it: a third of optimisation's time.
    remembered = functools.lru_cache(maxsize=1)(vgg)

    def network(images: torch.Tensor, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        return (vgg if images.requires_grad else remembered)(images, names)

    paintings = [whole_batch(painting).to(device)]
    criterion = PerceptualLoss(settings, network, [style_image], size, paintings=paintings)
    criterion.measure(lambda: photographs)
    if settings.loss_scale == "relative" and scales is not None:
        criterion.set_scales(scales)
    return criterion.eval()


def unweighted(criterion: PerceptualLoss, losses: Losses) -> dict[str, float]:
    """Each term of a single picture before its weight; terms of weight 0 are left out."""
    return {term.name: losses.raw[term.name].item() for term in criterion.terms if term.weight}
