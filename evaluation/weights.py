"""Settings that the commands here have in common with training and inference. Standard library alone, as config.py."""

import dataclasses

from config import InferenceConfig, TrainingConfig

OBJECTIVE = (
    "content_weight", "style_weight", "tv_weight", "checkerboard_weight", "content_layer", "style_layers",
    "style_layer_weights", "style_octaves", "style_octave_weights", "loss_scale",
)  # fmt: skip
"""The settings of the objective of a single picture; the temporal term takes two."""


def training_setting(name: str, default=..., help: str | None = None):
    """A dataclass field like the one of this name in ``config.TrainingConfig``, with its bounds.

    Args:
        default, help: in place of its own.
    """
    return _setting_of(TrainingConfig, name, default, help)


def inference_setting(name: str, default=..., help: str | None = None):
    """The same of ``config.InferenceConfig``."""
    return _setting_of(InferenceConfig, name, default, help)


def _setting_of(config_class: type, name: str, default, help: str | None):
    (original,) = (field for field in dataclasses.fields(config_class) if field.name == name)
    metadata = {**original.metadata, "help": help or original.metadata["help"]}
    return dataclasses.field(default=original.default if default is ... else default, metadata=metadata)
