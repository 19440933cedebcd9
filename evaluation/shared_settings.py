"""Settings that these commands share with training and inference. Standard library alone, as config.py."""

import dataclasses
import typing

from config import OBJECTIVE, InferenceConfig, TrainingConfig


def training_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """A dataclass field like the one of this name in ``config.TrainingConfig``, with its bounds.

    Args:
        default, help, heading: in place of its own; a heading begins a group of settings in ``--help``.
    """
    return _setting_of(TrainingConfig, name, default, help, heading)


def inference_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """The same for ``config.InferenceConfig``."""
    return _setting_of(InferenceConfig, name, default, help, heading)


def with_objective(config_class: type, as_trained: bool = False) -> type:
    """A class of settings with the objective's in addition.

    Args:
        as_trained: a setting that is left out is ``None``, for the one that a model was trained with.
    """
    hints, fields = typing.get_type_hints(TrainingConfig), []
    for name in OBJECTIVE:
        field = training_setting(name, heading=None if fields else "The objective")
        hint = hints[name]
        if as_trained:
            text = f"{field.metadata['help']}; left out, as the model was trained"
            field = training_setting(name, None, text, field.metadata["heading"])
            hint |= None
        fields.append((name, hint, field))
    return dataclasses.make_dataclass(config_class.__name__, fields, bases=(config_class,), frozen=True)


def _setting_of(config_class: type, name: str, default, help: str | None, heading: str | None):
    (original,) = (field for field in dataclasses.fields(config_class) if field.name == name)
    metadata = {**original.metadata, "help": help or original.metadata["help"], "heading": heading}
    return dataclasses.field(default=original.default if default is ... else default, metadata=metadata)
