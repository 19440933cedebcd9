"""Style transfer by optimisation of the picture itself (Gatys et al., 2016), which the network stands in for."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from losses.perceptual import Losses
from utils.device import Compute, resolve_compute
from utils.errors import UserError

_MOST_EVALUATIONS = 26  # of the objective, in one iteration: one, and 25 of the line search, as in torch.optim.LBFGS
_HISTORY = 100  # pairs of steps and gradients that L-BFGS remembers
_LARGEST_SINE = 0.95  # at the start, where black and white would have no gradient: 6 levels from either


@dataclass(frozen=True)
class Iterate:
    """A picture on the way.

    Attributes:
        picture: 1 x 3 x H x W, float32, RGB in [0, 255].
        losses: the objective of that picture, without a gradient.
        objective: their sum, the number that is minimised.
        variable, gradient: what L-BFGS works on, and the objective's gradient there.
    """

    picture: torch.Tensor
    losses: Losses
    objective: float
    variable: torch.Tensor
    gradient: torch.Tensor


def starting_picture(start: str, photograph: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """What optimisation begins with.

    Args:
        start: ``"photograph"``, or ``"noise"``: white, uniform in [0, 255].
        photograph: 1 x 3 x H x W, RGB in [0, 255].
    """
    if start == "photograph":
        return photograph.clone()
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise on every device
    return torch.rand(photograph.shape, generator=generator).mul_(255).to(photograph.device)


def optimize(
    criterion: Callable[[torch.Tensor, torch.Tensor], Losses],
    photograph: torch.Tensor,
    start: torch.Tensor,
    iterations: int,
) -> Iterator[Iterate]:
    """Minimise the objective over the pixels with L-BFGS and a strong-Wolfe line search.

    An iteration, as in the papers, is one new direction and the search along it: mostly one evaluation of the gradient.

    Pixels stay in [0, 255] as x = 127.5 (1 + sin z), and L-BFGS works on z. Johnson, Alahi and Fei-Fei clip after each
    iteration instead, after which the objective has to be evaluated anew. After 40 iterations (Starry Night, 64 pixels,
    weight 60) the sine had come to 8.70 with 43 evaluations, clipping to 8.51 with 84, pixels without bounds to 8.69.

    Args:
        criterion: gives the objective of a picture and a photograph, as :class:`losses.perceptual.PerceptualLoss`.
        photograph: 1 x 3 x H x W, RGB in [0, 255].
        start: 1 x 3 x H x W, RGB in [0, 255], see :func:`starting_picture`; it stays as it is.
        iterations: of L-BFGS. It ends earlier where no step lowers the objective any more.

    Yields:
        The start, then the picture after each iteration. The objective never rises.

    Raises:
        UserError: if the objective becomes infinite or not-a-number.
    """
    sine = (start / 127.5 - 1).clamp(-_LARGEST_SINE, _LARGEST_SINE)
    variable = torch.asin(sine).contiguous().requires_grad_()  # z, contiguous as L-BFGS wants it
    optimizer = torch.optim.LBFGS(
        [variable], max_iter=1, max_eval=_MOST_EVALUATIONS, history_size=_HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip
    known: list[Iterate] = []  # the line search has been wherever an iteration begins: that halves the evaluations

    def evaluate() -> Iterate:
        for found in known:
            if torch.equal(found.variable, variable):
                return found
        picture = (torch.sin(variable) + 1) * 127.5
        losses = criterion(picture, photograph)
        (gradient,) = torch.autograd.grad(losses.total, variable)
        losses = dataclasses.replace(losses, total=losses.total.detach())
        found = Iterate(picture.detach(), losses, losses.total.item(), variable.detach().clone(), gradient)
        known.append(found)
        return found

    def closure() -> torch.Tensor:
        found = evaluate()
        variable.grad = found.gradient.clone()
        return found.losses.total

    before = None
    for number in range(iterations + 1):
        if number:
            optimizer.step(closure)
        current = evaluate()
        if current is before:
            return
        if not math.isfinite(current.objective):
            raise UserError(
                f"the objective became {current.objective} after {number} iterations: give smaller weights, or "
                "--precision float32"
            )
        known = [current]
        yield current
        before = current


def prepare_machine(device: str, precision: str) -> Compute:
    """Device and precision by their flags, set up for optimisation.

    Raises:
        UserError: if the device or precision does not exist here.
    """
    compute = resolve_compute(device, precision)
    # TensorFloat-32 keeps ten bits of a product: too few for the differences of gradients that L-BFGS lives on.
    torch.backends.cudnn.allow_tf32 = False
    return compute
