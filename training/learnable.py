"""Whether there is anything to learn: what is said before the first step of a training that would learn nothing."""

import warnings

import torch

from config import TrainingConfig
from imaging.tensors import picture_batch
from training.state import TrainingState
from utils.errors import UserError

PLAIN = 8.0
"""Grey levels between darkest and lightest in every channel, up to which a picture is of one colour."""


def check_weights(config: TrainingConfig) -> None:
    """Refuse an objective without content and style; warn of one that lacks one of them.

    Raises:
        UserError: naming the flags.
    """
    if not config.content_weight and not config.style_weight:
        raise UserError("--content_weight 0 and --style_weight 0 leave nothing to learn: give one of them a weight")
    if not config.style_weight:
        warnings.warn("with --style_weight 0 the model learns no style: it copies photographs", stacklevel=2)
    if not config.content_weight:
        warnings.warn("with --content_weight 0 the model learns to ignore the photographs", stacklevel=2)


def check_pictures(state: TrainingState) -> None:
    """Refuse a painting, or photographs, of one colour; warn where most photographs are.

    Args:
        state: of the training, before its first step.

    Raises:
        UserError: naming the flag, and the painting.
    """
    config = state.config
    for path, image in zip(config.style_image, state.style_images):
        if _is_plain(picture_batch(image)).all():
            raise UserError(f"--style_image {path} is of one colour, which is no style: give a painting")
    plain = torch.cat([_is_plain(batch) for batch in state.calibration])
    if plain.all():
        raise UserError(
            f"--dataset_dir {config.dataset_dir} holds pictures of one colour, from which nothing can be learnt: give "
            "a folder of photographs"
        )
    if plain.float().mean() > 0.5:
        warnings.warn(
            f"{plain.sum()} of {len(plain)} crops of the photographs are of one colour: the model will be poor",
            stacklevel=2,
        )


def _is_plain(images: torch.Tensor) -> torch.Tensor:
    """For each of N x 3 x H x W, in [0, 255], whether it is of next to one colour."""
    values = images.float().flatten(2)
    return ((values.amax(2) - values.amin(2)) <= PLAIN).all(1)
