"""Refuse a training that would learn nothing, before its first step."""

import warnings

import torch

from config import TrainingConfig
from imaging.tensors import picture_batch
from losses.functional import is_flat
from training.state import TrainingState
from utils.errors import UserError


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
        if is_flat(picture_batch(image)).all():
            raise UserError(f"--style_image {path} is of one colour, which is no style: give a painting")
    plain = torch.cat([is_flat(batch.float()) for batch in state.calibration])
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
