"""Settings that these commands share with training and inference. Standard library alone, as config.py."""

import dataclasses

from config import InferenceConfig, TrainingConfig


def training_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """A dataclass field like the one of this name in ``config.TrainingConfig``, with its bounds.

    Args:
        default, help, heading: in place of its own; a heading begins a group of settings in ``--help``.
    """
    return _setting_of(TrainingConfig, name, default, help, heading)


def inference_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """The same for ``config.InferenceConfig``."""
    return _setting_of(InferenceConfig, name, default, help, heading)


def _setting_of(config_class: type, name: str, default, help: str | None, heading: str | None):
    (original,) = (field for field in dataclasses.fields(config_class) if field.name == name)
    metadata = {**original.metadata, "help": help or original.metadata["help"], "heading": heading}
    return dataclasses.field(default=original.default if default is ... else default, metadata=metadata)
