"""Whether a training is sound: its weights are finite, and its network paints something."""

import itertools

import torch

from models.multi_style import MultiStyleNet
from training.state import TrainingState

SAME = 0.01
"""A network has collapsed if its outputs differ by less than 1% of what its inputs do.

One with random weights has 0.07, which grows from the first steps on; at learning rates of 1 to 10,000 it was 0 to
0.002, or all was black and white, see :data:`SATURATED`.
"""

SATURATED = 0.99
"""A network has collapsed if more than this share of its values lies at either end of [0, 255], without a gradient."""


class Unsound(Exception):
    """A training cannot go on; the message says why, and at which step."""


def check_numbers(state: TrainingState) -> None:
    """Refuse weights, statistics and moments of the optimiser that are not finite.

    A finite loss can have a gradient that is not, and finite weights can have statistics or a second moment that are
    not: a checkpoint of them would be refused when it is needed.

    Raises:
        Unsound: at the first of them.
    """
    moments = (value for parameter in state.optimizer.state.values() for value in parameter.values())
    values = (*state.network.state_dict().values(), *moments, *state.objective.state_dict().values())
    finite = [value.to(state.compute.device).isfinite().all() for value in values]
    if not torch.stack(finite).all():
        raise Unsound(f"the weights are not finite after step {state.step}")


@torch.no_grad()
def check_network(state: TrainingState) -> None:
    """Refuse a network that gives every photograph the same picture, or black and white alone.

    Raises:
        Unsound: if it does.
    """
    photographs = torch.cat(list(itertools.islice(state.calibration_batches(), 2)))
    inputs = (photographs, 0) if isinstance(state.network, MultiStyleNet) else (photographs,)
    with state.compute.autocast():
        stylized = state.network.eval()(*inputs).float()
    state.network.train()
    before, after = ((images.amax(0) - images.amin(0)).mean() for images in (photographs, stylized))
    saturated = ((stylized - 127.5).abs() > 127).float().mean()
    if after < SAME * before or saturated > SATURATED:
        raise Unsound(f"the network has collapsed by step {state.step}: it paints the same for every photograph")
