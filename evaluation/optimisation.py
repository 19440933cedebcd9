"""The training's objective as a measure of single pictures, and pictures that minimise it (Gatys et al., 2016)."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image

from config import TrainingConfig
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, whole_batch
from losses.perceptual import Losses, PerceptualLoss
from models.vgg19 import VGG19
from training.plan import check_style_term
from utils.errors import UserError


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


def starting_picture(start: str, photograph: torch.Tensor, seed: int) -> torch.Tensor:
    """The photograph, 1 x 3 x H x W, itself, or for ``"noise"`` white noise of its size, uniform in [0, 255]."""
    if start == "photograph":
        return photograph
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise on every device
    return torch.rand(photograph.shape, generator=generator).mul_(255).to(photograph.device)


@dataclass(frozen=True)
class Iterate:
    """A picture on the way."""

    picture: torch.Tensor  # 1 x 3 x H x W, float32, RGB in [0, 255]
    losses: Losses  # without a gradient
    objective: float  # their sum, which is minimised
    variable: torch.Tensor  # what L-BFGS works on
    gradient: torch.Tensor  # of the objective, there


def optimize(
    criterion: Callable[[torch.Tensor, torch.Tensor], Losses],
    photograph: torch.Tensor,
    start: torch.Tensor,
    iterations: int,
) -> Iterator[Iterate]:
    """Minimise the objective over the pixels with L-BFGS and a strong-Wolfe line search.

    Pixels stay in [0, 255] as x = 127.5 (1 + sin z), and L-BFGS works on z. Johnson, Alahi and Fei-Fei clip after each
    iteration instead, after which the objective has to be evaluated anew. After 40 iterations (Starry Night, 64 pixels,
    weight 60) the sine had come to 8.70 with 43 evaluations, clipping to 8.51 with 84, pixels without bounds to 8.69.

    Args:
        criterion: gives the objective of a picture and a photograph, as :class:`losses.perceptual.PerceptualLoss`.
        photograph, start: 1 x 3 x H x W, RGB in [0, 255].
        iterations: directions with a search along each, at most: it ends where no step lowers the objective any more.

    Yields:
        The start, then the picture after each iteration. The objective never rises.

    Raises:
        UserError: if the objective becomes infinite or not-a-number.
    """
    sine = (start / 127.5 - 1).clamp(-0.95, 0.95)  # black and white would have no gradient: 6 levels from either
    variable = torch.asin(sine).contiguous().requires_grad_()  # z, contiguous as L-BFGS wants it
    optimizer = torch.optim.LBFGS(  # with 25 evaluations in a line search, as by default
        [variable], max_iter=1, max_eval=26, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )
    known: list[Iterate] = []  # the line search has been wherever an iteration begins: that halves the evaluations

    def evaluate() -> Iterate:
        found = next((iterate for iterate in known if torch.equal(iterate.variable, variable)), None)
        if found is None:
            picture = (torch.sin(variable) + 1) * 127.5
            losses = criterion(picture, photograph)
            (gradient,) = torch.autograd.grad(losses.total, variable)
            losses = dataclasses.replace(losses, total=losses.total.detach())
            found = Iterate(picture.detach(), losses, losses.total.item(), variable.detach().clone(), gradient)
            known.append(found)
        variable.grad = found.gradient.clone()
        return found

    current = None
    for number in range(iterations + 1):
        if number:
            optimizer.step(lambda: evaluate().losses.total)
        before, current = current, evaluate()
        if current is before:
            return
        if not math.isfinite(current.objective):
            raise UserError(
                f"the objective became {current.objective} after {number} iterations: give smaller weights, or "
                "--precision float32"
            )
        known = [current]
        yield current
