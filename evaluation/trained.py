"""Trained styles with their paintings, and the objective that each was trained for."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from config import BEFORE, OBJECTIVE, TrainingConfig
from data.dataset import list_photographs
from evaluation.pictures import read_whole
from inference.named_styles import choose_styles
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint
from utils.device import resolve_compute
from utils.errors import UserError
from utils.settings import validate


@dataclass
class Style:
    """A style of a model, and its painting."""

    name: str  # of the model, or of its style where it has several
    path: str
    style_image: str  # path of the painting
    checkpoint: Checkpoint  # of this style alone
    painting: Image.Image  # at its own size
    stylizer: Stylizer


@dataclass
class Objective:
    """What a style was trained for."""

    settings: TrainingConfig  # with the level in ``style_weight``, unless that weight was given
    level: float  # of the style term at the end of the training; 1 where the file does not say
    scales: dict | None  # of the training, unchecked; None where the file does not say, or it is another objective


def read_styles(config) -> list[Style]:
    """The styles that the settings of evaluation.compare name. Raises UserError, naming flag and file at fault."""
    chosen = choose_styles(config.model_path, config.style, print)
    paths = config.model_path if config.style is None else [*config.model_path] * len(chosen)
    pictures = _style_images(config.style_image, chosen)
    compute = resolve_compute(config.device, "auto")  # as begin_inference.py would
    styles = []
    for (name, checkpoint), path, picture in zip(chosen, paths, pictures, strict=True):
        painting = read_whole(picture, "--style_image", config.max_pixels)
        styles.append(Style(name, path, picture, checkpoint, painting, Stylizer(checkpoint.network, compute=compute)))
    return styles


def _style_images(given: Sequence[str], chosen: list[tuple[str, Checkpoint]]) -> list[str]:
    """The path of each style's painting: in a folder, the picture with the name that the model says, or the style's."""
    if len(given) == 1 and Path(given[0]).is_dir():
        pictures = {path.stem: str(path) for path in list_photographs(given[0], "--style_image")}
        found = []
        for name, checkpoint in chosen:
            stems = Path(str(checkpoint.provenance.get("style"))).stem, Path(name).name
            path = next((pictures[stem] for stem in stems if stem in pictures), None)
            if path is None:
                raise UserError(f"--style_image {given[0]} holds no painting named {name}: add it, or name the file")
            found.append(path)
        return found
    if len(given) not in (1, len(chosen)):
        raise UserError(
            f"--style_image names {len(given)} pictures for {len(chosen)} models or styles: give one "
            "for each, in their order, one for all, or a folder of paintings with the styles' names"
        )
    return list(given) * (len(chosen) if len(given) == 1 else 1)


def objective_of(style: Style, given: dict, loss_network: str) -> Objective:
    """The objective that a style was trained for, except for the settings in ``given``.

    Args:
        loss_network: fingerprint of the weights that judge.

    Raises:
        UserError: if its file does not say what the objective was, or says what cannot be.
    """
    provenance, path = style.checkpoint.provenance, style.path
    stored, teacher = provenance.get("settings"), provenance.get("taught_by")
    if isinstance(teacher, dict) and isinstance(stored, dict) and not stored.get("style_image"):
        stored = teacher.get("settings")  # a student learnt the teacher's objective
    if not isinstance(stored, dict):
        raise UserError(f"{path} does not say what it was trained for: give another model, or --tones_only")
    stored = {name: value for name, value in (BEFORE | stored).items() if name in (*OBJECTIVE, "image_size")}
    level = 1.0 if "style_weight" in given else provenance.get("style_level", 1.0)
    others = {"content_layer", "style_layers", "style_octaves", "loss_scale", "style_size", "style_smoothing"}
    scales = provenance.get("loss_scales") if others.isdisjoint(given) else None
    try:
        settings = validate(TrainingConfig(**(stored | given)))
        if type(level) is not float or not 0 < level <= 1 or not isinstance(scales, dict | None):
            raise UserError(f"the level of the style term is {level!r}, and its scales are {scales!r}")
    except UserError as error:
        raise UserError(f"{path} holds settings that no training has ({error}): give another file") from None
    trained_on, trained_with = provenance.get("style"), provenance.get("loss_network")
    is_known = isinstance(trained_on, str) and ":" not in trained_on  # a mixture has no picture of its own
    if is_known and Path(trained_on).stem != Path(style.style_image).stem:
        warnings.warn(f"{path} was trained on {trained_on}, and --style_image is {style.style_image}", stacklevel=2)
        scales = None
    if isinstance(trained_with, str) and not trained_with.endswith(loss_network):
        warnings.warn(f"{path} was trained with other VGG-19 weights ({trained_with})", stacklevel=2)
        scales = None
    return Objective(dataclasses.replace(settings, style_weight=settings.style_weight * level), level, scales)
