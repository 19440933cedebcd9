"""Taking a training up again: what its checkpoint must hold, for the file may come from anywhere, and what it fixes."""

import dataclasses
import warnings
from pathlib import Path

import torch

from config import TrainingConfig
from models.checkpoints import Checkpoint, load_checkpoint
from training import soap
from training.folder import checkpoints, newest_checkpoint, training_folder
from training.gallery import training_name
from utils.errors import UserError
from utils.processes import Processes
from utils.settings import shown, validate

# What a run is made of: a resumed run cannot have another.
_FIXED = (
    "recipe", "content_layer", "style_layers", "style_octaves", "loss_scale", "norm", "upsample", "width",
    "blocks", "image_size", "style_size", "style_smoothing", "optimizer", "seed", "start_from", "train",
)  # fmt: skip

BEFORE = {
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "style_layer_weights": (1.0,) * 5,
    "style_octaves": 1,
    "style_octave_weights": None, "checkerboard_weight": 0.0, "content_layer": "relu4_2", "temporal_weight": 0.0,
    "palette_weight": 0.0, "tone_weight": 0.0,
    "style_smoothing": 0.0, "width": 1.0, "blocks": 5,
}  # fmt: skip
"""Values for settings that older checkpoints lack."""

# What says how to resume, rather than what to train.
_NOT_RESTORED = ("checkpoint_path", "resume", "overwrite")

_NUMBER = (int, float)

# Name -> kind of what Adam and its schedule say of themselves; other names differ between versions of PyTorch.
_GROUP = {"params": list, "lr": _NUMBER, "betas": (tuple, list), "eps": _NUMBER, "weight_decay": _NUMBER}
_SCHEDULE = {"T_max": int, "eta_min": _NUMBER, "base_lrs": list, "last_epoch": int, "_last_lr": list}
_SCALER = {"scale": _NUMBER, "growth_factor": _NUMBER, "backoff_factor": _NUMBER, "growth_interval": int}


class _Unfit(Exception):
    """What is missing or odd, in words."""


def check_training(checkpoint: Checkpoint, called: str) -> None:
    """Check the ``training`` part of a checkpoint against its network.

    Args:
        called: flag and file, for errors.

    Raises:
        UserError: where a training could not go on from it.
    """
    try:
        _check(checkpoint)
    except _Unfit as error:
        raise UserError(
            f"{called} cannot be resumed, its training part is damaged ({error}): take an earlier checkpoint"
        ) from None


def _check(checkpoint: Checkpoint) -> None:
    training = checkpoint.training
    if _entry(training, "step", int) < 0 or _entry(training, "position", int) < 0:
        raise _Unfit("a step or position below zero")
    identity = _entry(training, "identity", dict)
    for name in ("style", "loss_network", "photograph_names"):
        _entry(identity, name, str)
    _entry(identity, "photographs", int)
    if not 1 <= _entry({"processes": 1, **identity}, "processes", int) < 10**6:
        raise _Unfit("processes")
    unreadable = _entry(training, "unreadable", dict)
    if not all(type(index) is int and type(reason) is str for index, reason in unreadable.items()):
        raise _Unfit("unreadable")

    settings = checkpoint.provenance.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    for name, value in _entry(training, "objective", dict).items():
        if not isinstance(value, torch.Tensor) or not value.isfinite().all():
            raise _Unfit(name)
    for name, kind in _SCHEDULE.items():
        _entry(_entry(training, "scheduler", dict), name, kind)
    if not all(type(value) in _NUMBER for name in ("base_lrs", "_last_lr") for value in training["scheduler"][name]):
        raise _Unfit("scheduler")
    for name, kind in _SCALER.items() if _entry(training, "scaler", dict) else ():
        _entry(training["scaler"], name, kind)
    random_state = _entry(training, "random_state", torch.Tensor)
    if random_state.dtype != torch.uint8 or random_state.shape != torch.get_rng_state().shape:
        raise _Unfit("random_state")
    parameters = list(checkpoint.network.parameters())
    if settings.get("train") == "norms":
        parameters = [parameter for norm in checkpoint.network.norms() for parameter in norm.parameters()]
    _check_optimizer(_entry(training, "optimizer", dict), parameters, settings.get("optimizer", "adam"))


def _check_optimizer(optimizer: dict, parameters: list[torch.nn.Parameter], name: str) -> None:
    groups, state = _entry(optimizer, "param_groups", list), _entry(optimizer, "state", dict)
    if len(groups) != 1 or not isinstance(groups[0], dict):
        raise _Unfit("param_groups")
    for key, kind in _GROUP.items():
        _entry(groups[0], key, kind)
    if groups[0]["params"] != list(range(len(parameters))) or state.keys() != set(range(len(parameters))):
        raise _Unfit("param_groups")
    for index, parameter in enumerate(parameters):
        moments = _entry(state, index, dict)
        shapes = {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        if name == "soap":
            shapes = soap.state_shapes(parameter)
        for key, shape in shapes.items():
            value = _entry(moments, key, torch.Tensor)
            if value.shape != shape or value.dtype != torch.float32 or not value.isfinite().all():
                raise _Unfit(f"{key} of parameter {index}")


def _entry(part: dict, name, kind):
    if name not in part:
        raise _Unfit(f"{name} is missing")
    if not isinstance(part[name], kind) or (kind is int and isinstance(part[name], bool)):
        raise _Unfit(f"{name} is odd")
    return part[name]


def take_up(
    config: TrainingConfig, given: frozenset[str]
) -> tuple[TrainingConfig, frozenset[str], Checkpoint | None, Path | None]:
    """The checkpoint that ``--resume`` or ``--checkpoint_path`` goes on from, and the settings that hold then.

    Returns:
        ``(config, given, checkpoint, path)``; the last two are ``None`` for a training from the beginning.

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
    path = newest_checkpoint(Path(config.checkpoint_path))
    checkpoint = load_checkpoint(path, "--checkpoint_path")
    if checkpoint.training is None:
        raise UserError(
            f"--checkpoint_path {path} is a final model, without what resuming needs: give one of the step_NNNNNN.pth "
            "files of its _training folder"
        )
    if "loss_scales" in checkpoint.training:
        raise UserError(
            f"--checkpoint_path {path} is of an earlier version, which alone can resume it: begin a new training from "
            "its weights with --start_from"
        )
    check_training(checkpoint, f"--checkpoint_path {path}")
    config = restore_settings(config, given, checkpoint, path)
    if "batch_size" not in given:
        before = checkpoint.training["identity"].get("processes", 1)  # checkpoints did not always say
        config = share_batch(config, before, Processes.expected())
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
                f"({shown(stored[name])}), "
                "and cannot change on the way: leave it out, or start a new training"
            )
    known = {field.name for field in dataclasses.fields(config)}
    taken = {k: v for k, v in stored.items() if k in known and k not in given and k not in _NOT_RESTORED}
    config = dataclasses.replace(config, **taken)
    config = validate(config)  # earlier checkpoints name their one style image as it is
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


def check_identity(before: dict, now: dict, given: frozenset[str]) -> None:
    """Refuse to resume with another style image, loss network or set of photographs under the old names."""
    if before["style"] != now["style"]:
        raise UserError("--style_image is not what this training began with: give that")
    if before["loss_network"] != now["loss_network"]:
        raise UserError("--vgg_weights are not the weights that this training began with: give those")
    if photographs_of(before) != photographs_of(now):
        change = f"{before['photographs']} photographs then, {now['photographs']} now, or other names"
        if "dataset_dir" not in given:
            raise UserError(
                f"--dataset_dir is not the set of photographs that this training began with ({change}): restore it, or "
                "name the folder with --dataset_dir to go on with it as it is"
            )
        warnings.warn(f"the photographs are not those that this training began with ({change})", stacklevel=2)


def photographs_of(identity: dict) -> tuple:
    return identity["photographs"], identity["photograph_names"]


def state_of(training, position: int) -> dict:
    """What a checkpoint keeps of a ``Training`` besides its network, to go on bit for bit; the opposite of restore.

    Args:
        position: where in the stream of photographs the next step begins.
    """
    return {
        "identity": training.identity,
        "step": training.step,
        "position": position,
        "unreadable": dict(training.photographs.unreadable),
        "optimizer": training.optimizer.state_dict(),
        "scheduler": training.scheduler.state_dict(),
        "scaler": training.scaler.state_dict(),
        "objective": training.objective.state_dict(),
        "random_state": torch.get_rng_state(),
    }


def restore(training, checkpoint: Checkpoint) -> None:
    """Put a ``Training`` that has the checkpoint's network where it stood after the checkpoint's step.

    Another length or learning rate may have been asked for: it goes on along the new cosine then.
    """
    state, config, scheduler = checkpoint.training, training.config, training.scheduler
    training.step, training.position = state["step"], state["position"]
    training.started_from = checkpoint.provenance.get("started_from")
    training.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"] and training.scaler.is_enabled():  # another precision may have been asked for
        training.scaler.load_state_dict(state["scaler"])
    try:
        training.objective.load_state_dict(state["objective"])
    except RuntimeError:
        raise UserError(
            f"--checkpoint_path {config.checkpoint_path} is of another objective: give the settings that it was "
            "trained with"
        ) from None
    torch.set_rng_state(state["random_state"])
    known = scheduler.state_dict().keys()  # it would take any other name for an attribute
    scheduler.load_state_dict({k: v for k, v in state["scheduler"].items() if k in known})
    if scheduler.T_max != training.total_steps or scheduler.base_lrs != [config.lr]:
        scheduler.T_max, scheduler.base_lrs = training.total_steps, [config.lr]
        (lr,) = scheduler._get_closed_form_lr()
        training.optimizer.param_groups[0]["lr"] = scheduler._last_lr[0] = lr
    training.optimizer.param_groups[0]["weight_decay"] = config.weight_decay
