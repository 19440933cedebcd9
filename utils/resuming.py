"""What a training checkpoint must hold, checked before a training is built on it: the file may come from anywhere."""

import math

import torch

from data.errors import UserError
from losses.perceptual import STYLE_LAYERS
from utils.checkpoints import Checkpoint

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
    unreadable = _entry(training, "unreadable", dict)
    if not all(type(index) is int and type(reason) is str for index, reason in unreadable.items()):
        raise _Unfit("unreadable")

    scales = _entry(training, "loss_scales", dict)
    style = _entry(scales, "style", (tuple, list))
    if scales.keys() != {"content", "style", "total_variation"} or len(style) != len(STYLE_LAYERS):
        raise _Unfit("loss_scales")
    for value in (scales["content"], *style, scales["total_variation"]):
        if type(value) not in _NUMBER or not 0 < value < math.inf:
            raise _Unfit("loss_scales")
    level = _entry(training, "log_level", (float, type(None)))
    if level is not None and not math.isfinite(level):
        raise _Unfit("log_level")

    for name, kind in _SCHEDULE.items():
        _entry(_entry(training, "scheduler", dict), name, kind)
    if not all(type(value) in _NUMBER for name in ("base_lrs", "_last_lr") for value in training["scheduler"][name]):
        raise _Unfit("scheduler")
    for name, kind in _SCALER.items() if _entry(training, "scaler", dict) else ():
        _entry(training["scaler"], name, kind)
    random_state = _entry(training, "random_state", torch.Tensor)
    if random_state.dtype != torch.uint8 or random_state.shape != torch.get_rng_state().shape:
        raise _Unfit("random_state")
    _check_optimizer(_entry(training, "optimizer", dict), list(checkpoint.network.parameters()))


def _check_optimizer(optimizer: dict, parameters: list[torch.nn.Parameter]) -> None:
    groups, state = _entry(optimizer, "param_groups", list), _entry(optimizer, "state", dict)
    if len(groups) != 1 or not isinstance(groups[0], dict):
        raise _Unfit("param_groups")
    for name, kind in _GROUP.items():
        _entry(groups[0], name, kind)
    if groups[0]["params"] != list(range(len(parameters))) or state.keys() != set(range(len(parameters))):
        raise _Unfit("param_groups")
    for index, parameter in enumerate(parameters):
        moments = _entry(state, index, dict)
        for name, shape in {"step": (), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}.items():
            value = _entry(moments, name, torch.Tensor)
            if value.shape != shape or value.dtype != torch.float32 or not value.isfinite().all():
                raise _Unfit(f"{name} of parameter {index}")


def _entry(part: dict, name, kind):
    value = part.get(name, _entry)  # which no entry is
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Unfit(f"{name} is {'missing' if value is _entry else 'odd'}")
    return value
