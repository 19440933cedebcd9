"""Whether a training is sound."""

import itertools
import warnings

import torch

from imaging.tensors import picture_batch
from losses.functional import is_flat
from models.multi_style import MultiStyleNet
from training.state import TrainingState
from utils.errors import UserError


class Unsound(UserError):
    """A training cannot go on; the message says why, and at which step."""


def check_pictures(state: TrainingState) -> None:
    """Refuse a painting, or photographs, of one colour; warn where most photographs are."""
    config = state.config
    for path, image in zip(config.style_image, state.style_images):
        if is_flat(picture_batch(image)).all():
            raise UserError(f"--style_image {path} is of one colour, which is no style: give a painting")
    plain = torch.cat([is_flat(batch.float()) for batch in state.calibration])
    if plain.all():
        raise UserError(
            f"--dataset_dir {config.dataset_dir} holds pictures of one colour, from which nothing can be learnt: give "
            "a folder of photographs"
        )
    if plain.float().mean() > 0.5:
        poor = f"{plain.sum()} of {len(plain)} crops of the photographs are of one colour: the model will be poor"
        warnings.warn(poor, stacklevel=2)


def check_numbers(state: TrainingState) -> None:
    """Refuse weights, statistics and moments of the optimiser that are not finite: raises Unsound.

    A finite loss can have a gradient that is not, and finite weights can have statistics or a second moment that are
    not: a checkpoint of them would be refused when it is needed.
    """
    moments = (value for parameter in state.optimizer.state.values() for value in parameter.values())
    values = (*state.network.state_dict().values(), *moments, *state.objective.state_dict().values())
    finite = [value.to(state.compute.device).isfinite().all() for value in values]
    if not torch.stack(finite).all():
        raise Unsound(f"the weights are not finite after step {state.step}")


@torch.no_grad()
def check_network(state: TrainingState) -> None:
    """Refuse a network that gives every photograph the same picture, or black and white alone: raises Unsound."""
    photographs = torch.cat(list(itertools.islice(state.calibration_batches(), 2)))
    inputs = (photographs, 0) if isinstance(state.network, MultiStyleNet) else (photographs,)
    with state.compute.autocast():
        stylized = state.network.eval()(*inputs).float()
    state.network.train()
    before, after = ((images.amax(0) - images.amin(0)).mean() for images in (photographs, stylized))
    saturated = ((stylized - 127.5).abs() > 127).float().mean()
    # With random weights outputs differ 0.07 times as much as inputs, and more from the first steps on. At learning
    # rates of 1 to 10,000 it was 0 to 0.002, or nearly all values lay at either end of [0, 255], without a gradient.
    if after < 0.01 * before or saturated > 0.99:
        raise Unsound(f"the network has collapsed by step {state.step}: it paints the same for every photograph")
