"""Settings that these commands share with training and inference. Standard library alone, as config.py."""

import dataclasses
import typing

from config import OBJECTIVE, InferenceConfig, TrainingConfig


def shared_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """A dataclass field like inference's setting of this name, or else training's, with its bounds.

    Args:
        default, help, heading: in place of its own; a heading begins a group of settings in ``--help``.
    """
    known = (*dataclasses.fields(InferenceConfig), *dataclasses.fields(TrainingConfig))
    original = next(field for field in known if field.name == name)
    metadata = {**original.metadata, "help": help or original.metadata["help"], "heading": heading}
    return dataclasses.field(default=original.default if default is ... else default, metadata=metadata)


def with_objective(config_class: type, as_trained: bool = False) -> type:
    """A class of settings with the objective's in addition.

    Args:
        as_trained: a setting that is left out is ``None``, for the one that a model was trained with.
    """
    hints, fields = typing.get_type_hints(TrainingConfig), []
    for name in OBJECTIVE:
        field = shared_setting(name, heading=None if fields else "The objective")
        hint = hints[name]
        if as_trained:
            text = f"{field.metadata['help']}; left out, as the model was trained"
            field = shared_setting(name, None, text, field.metadata["heading"])
            hint |= None
        fields.append((name, hint, field))
    return dataclasses.make_dataclass(config_class.__name__, fields, bases=(config_class,), frozen=True)
