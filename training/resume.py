"""Resume a training."""

import dataclasses
import math
import warnings
from pathlib import Path

import torch
from torch.optim.lr_scheduler import LambdaLR

from config import BEFORE, TrainingConfig
from data.dataset import PhotographDataset
from models.checkpoints import Checkpoint, find_model, load_checkpoint
from training.folder import checkpoints, training_folder
from training.state import TrainingState
from training.style_images import training_name
from utils.errors import UserError
from utils.processes import Processes
from utils.settings import shown, validate

_FIXED = (
    "recipe", "content_layer", "style_layers", "style_octaves", "loss_scale", "norm", "upsample", "width",
    "blocks", "image_size", "style_size", "style_smoothing", "optimizer", "seed", "start_from", "train",
)  # fmt: skip
"""What a run is made of: a resumed run cannot have another."""

_PARTS = {
    "identity": dict, "step": int, "position": int, "unreadable": dict, "optimizer": dict, "scaler": dict,
    "objective": dict, "random_state": torch.Tensor,
}  # fmt: skip
"""What a checkpoint keeps of a training besides its network, and of which kind."""


def resume_state_of(state: TrainingState, position: int) -> dict:
    """What a checkpoint keeps, where the next step begins at a position in the stream of photographs."""
    return {
        "identity": state.identity,
        "step": state.step,
        "position": position,
        "unreadable": dict(state.photographs.unreadable),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "objective": state.objective.state_dict(),
        "random_state": torch.get_rng_state(),
    }


def restore(state: TrainingState, checkpoint: Checkpoint) -> None:
    """Put a state that has the checkpoint's network where it stood, bit for bit: the opposite of resume_state_of.

    Another length or learning rate may have been asked for: it goes on along the new cosine then.

    Raises:
        UserError: where the checkpoint does not fit.
    """
    before, config = checkpoint.resume_state, state.config
    state.step, state.position = before["step"], before["position"]
    state.started_from = checkpoint.provenance.get("started_from")
    try:
        state.optimizer.load_state_dict(before["optimizer"])
        if before["scaler"] and state.scaler.is_enabled():  # another precision may have been asked for
            state.scaler.load_state_dict(before["scaler"])
        state.objective.load_state_dict(before["objective"])
        torch.set_rng_state(before["random_state"])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        raise _unfit(config.checkpoint_path) from None
    state.optimizer.param_groups[0]["weight_decay"] = config.weight_decay
    state.scheduler = cosine_schedule(state.optimizer, config.lr, state.total_steps, state.step)


def cosine_schedule(optimizer: torch.optim.Optimizer, lr: float, total_steps: int, step: int = 0) -> LambdaLR:
    """A learning rate that falls from ``lr`` to zero along a cosine, after ``step`` steps."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = lr
    return LambdaLR(optimizer, lambda done: (1 + math.cos(math.pi * done / total_steps)) / 2, last_epoch=step - 1)


def _unfit(path: object) -> UserError:
    return UserError(
        f"--checkpoint_path {path} cannot be resumed, its resume state is damaged or of another version: take another "
        "checkpoint, or begin a new training from its weights with --start_from"
    )


def take_up(
    config: TrainingConfig, given: frozenset[str]
) -> tuple[TrainingConfig, frozenset[str], Checkpoint | None, Path | None]:
    """The settings that hold with ``--resume`` or ``--checkpoint_path``, and the checkpoint and its file, if any.

    Raises:
        UserError: where the settings contradict each other, or a training could not go on from the file.
    """
    if config.resume:
        for other in ("checkpoint_path", "overwrite"):
            if getattr(config, other):
                raise UserError(f"--resume does not go together with --{other}: leave one of them out")
        if checkpoints(training_folder(config)):
            config = dataclasses.replace(config, checkpoint_path=str(training_folder(config)))
        given = given | {"style_image", "output_dir"}  # they named the folder
    if config.checkpoint_path is None:
        return config, given, None, None
    path = find_model(config.checkpoint_path, "--checkpoint_path")
    checkpoint = load_checkpoint(path, "--checkpoint_path")
    if checkpoint.resume_state is None:
        raise UserError(
            f"--checkpoint_path {path} is a final model, without what resuming needs: give one of the step_NNNNNN.pth "
            "files of its _training folder"
        )
    before = checkpoint.resume_state
    if before.keys() != _PARTS.keys() or not all(isinstance(before[name], kind) for name, kind in _PARTS.items()):
        raise _unfit(path)
    config = restore_settings(config, given, checkpoint, path)
    if "batch_size" not in given:
        processes = before["identity"].get("processes")
        if not isinstance(processes, int) or not 1 <= processes < 10**6:
            raise _unfit(path)
        config = share_batch(config, processes, Processes.expected())
    return config, given, checkpoint, path


def share_batch(config: TrainingConfig, before: int, now: int) -> TrainingConfig:
    """The settings with which ``now`` processes take as many photographs a step as ``before`` processes took."""
    together = config.batch_size * before
    share = max(1, round(together / now))
    if share * now != together:
        warnings.warn(
            f"{before} processes took {together} photographs a step together, {now} take {share * now}", stacklevel=2
        )
    return dataclasses.replace(config, batch_size=share)


def restore_settings(
    config: TrainingConfig, given: frozenset[str], checkpoint: Checkpoint, path: Path
) -> TrainingConfig:
    """The settings of a resumed run: those on the command line, then the checkpoint's."""
    stored = checkpoint.provenance.get("settings")
    kinds = str | int | float | tuple | None
    if not isinstance(stored, dict) or not all(isinstance(value, kinds) for value in stored.values()):
        raise UserError(f"--checkpoint_path {config.checkpoint_path} is damaged (no settings): give another file")
    stored = BEFORE | stored
    for name in _FIXED:
        if name in given and name in stored and getattr(config, name) != stored[name]:
            raise UserError(
                f"--{name} {shown(getattr(config, name))} is not what {config.checkpoint_path} was trained with "
                f"({shown(stored[name])}), and cannot change on the way: leave it out, or start a new training"
            )
    known = {field.name for field in dataclasses.fields(config)}
    left = given | {"checkpoint_path", "resume", "overwrite", "compile"}  # these say how to go on, not what to train
    taken = {name: value for name, value in stored.items() if name in known - left}
    config = validate(dataclasses.replace(config, **taken))  # earlier checkpoints name their one style image as it is
    given |= {"output_dir", "name"} - known  # a student's own place says where
    # A training goes on where its checkpoint lies, whatever the file itself says of that.
    folder = path.parent.resolve() if path.parent.name in ("", "..") else path.parent
    name = folder.name.removesuffix("_training") if folder.name.endswith("_training") else ""
    if not name and "output_dir" not in given:
        raise UserError(
            f"--checkpoint_path {path} lies in no STYLE_training folder: name with --output_dir the folder that is to "
            "receive the training"
        )
    if name and "name" not in given and name != training_name(config):
        config = dataclasses.replace(config, name=name)
    return config if "output_dir" in given else dataclasses.replace(config, output_dir=str(folder.parent))


_CHANGED = {
    "teacher": "--checkpoint_path is of a training with another teacher, or of one with none: give the command that it "
    "began with",
    "style": "--style_image is not what this training began with: give that",
    "loss_network": "--vgg_weights are not the weights that this training began with: give those",
}


def check_identity(checkpoint: Checkpoint, now: dict, photographs: PhotographDataset, given: frozenset[str]) -> None:
    """Refuse to resume with another teacher, style image, loss network or set of photographs under the old names.

    If the photographs are the same, they learn which of their files could not be read.
    """
    before = checkpoint.resume_state["identity"]
    for name, sentence in _CHANGED.items():
        if before.get(name) != now.get(name):
            raise UserError(sentence)
    if all(before.get(name) == now[name] for name in ("photographs", "photograph_names")):
        photographs.unreadable.update(checkpoint.resume_state["unreadable"])
        return
    change = f"{before.get('photographs')} photographs then, {now['photographs']} now, or other names"
    if "dataset_dir" not in given:
        raise UserError(
            f"--dataset_dir is not the set of photographs that this training began with ({change}): restore it, or "
            "name the folder with --dataset_dir to go on with it as it is"
        )
    warnings.warn(f"the photographs are not those that this training began with ({change})", stacklevel=2)
