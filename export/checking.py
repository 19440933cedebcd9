"""Whether an exported network gives what the network itself gives, at every kind of size."""

import copy
import math
from collections.abc import Callable, Sequence

import torch

from models.multi_style import MultiStyleNet
from models.transformer_net import TransformerNet
from utils.errors import UserError

GREY_LEVELS = 0.01  # by how many an exported network may differ: its sums are taken in another order
SIZES = [(1, 1), (1, 6), (7, 3), (4, 4), (5, 8), (16, 13), (18, 32), (35, 21)]  # either side: all remainders of four


def check_export(
    target,
    run: Callable[..., torch.Tensor],
    network: TransformerNet,
    allowed: float = GREY_LEVELS,
    advice: str = "another version of the exporting package",
    size: tuple[int, int] | None = None,
) -> float:
    """The largest difference, see :func:`largest_difference`, at ``SIZES``, or for one picture of ``size`` alone.

    Raises :class:`UserError` if it is more than ``allowed``: ``target`` was not written; ``advice`` says what to try.
    """
    difference = largest_difference(run, network, [size], 1) if size else largest_difference(run, network)
    if difference > allowed:
        raise UserError(
            f"{target} was not written: it would differ from the network by {difference:.3g} grey levels, where "
            f"{allowed} are allowed; try {advice}"
        )
    return difference


def largest_difference(
    run: Callable[..., torch.Tensor], network: TransformerNet, sizes: Sequence[tuple[int, int]] = SIZES, count: int = 2
) -> float:
    """By how much an exported network differs from a network on the CPU, in grey levels.

    ``run``, the exported one, takes the network's arguments: ``count`` pictures of noise of each (height, width); to a
    network of several styles, each with a mixture of its own. Where the network in float32 is further from itself in
    float64 than an export may be from it, the shape alone is compared: instance norm makes much of the rounding of a
    picture of one colour, which a single pixel is. Gives infinity where a shape is wrong, a value is no number, or
    nothing could be compared.
    """
    exact = copy.deepcopy(network).double()
    generator, differences = torch.Generator().manual_seed(0), []
    for size in sizes:
        inputs = [torch.rand(count, 3, *size, generator=generator) * 255]
        if isinstance(network, MultiStyleNet):
            inputs.append(torch.rand(count, len(network.styles), generator=generator).softmax(1))
        with torch.inference_mode():
            expected, result = network(*inputs), run(*inputs)
            if result.shape != expected.shape or not result.isfinite().all():
                return math.inf
            difference = (result - expected).abs().max().item()
            if difference > GREY_LEVELS:
                exactly = exact(*(value.double() for value in inputs))
                if (expected - exactly).abs().max() > GREY_LEVELS:
                    continue
        differences.append(difference)
    return max(differences, default=math.inf)
