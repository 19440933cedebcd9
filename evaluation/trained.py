"""Trained styles with their paintings, and the objective that each was trained for."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from config import BEFORE, MAX_PIXELS, OBJECTIVE, TrainingConfig
from data.dataset import list_photographs
from evaluation.contrast import judge_tones
from evaluation.objective import style_batch
from evaluation.pictures import read_whole
from imaging.tensors import flatten, image_to_tensor
from inference.named_styles import choose_styles
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint
from utils.device import resolve_compute
from utils.errors import UserError
from utils.settings import validate

_LARGEST_PAINTING = 2048  # longest side, pixels, at which its tones are measured


@dataclass
class Style:
    """A style of a model, and its painting.

    Attributes:
        name: of the model, or of its style where it has several.
        path, style_image: its file, and that of its style image.
        checkpoint: the model of this style alone.
        painting: the style image at its own size.
        stylizer: paints with it.
    """

    name: str
    path: str
    style_image: str
    checkpoint: Checkpoint
    painting: Image.Image
    stylizer: Stylizer

    def paint(self, photographs: list[torch.Tensor], bar: tqdm) -> list[torch.Tensor]:
        """Photographs, 1 x 3 x H x W each, uint8, as begin_inference.py would write them."""
        pictures = []
        for photograph in photographs:
            pictures.append(self.stylizer.stylize_tensor(photograph, output=torch.empty_like(photograph)))
            bar.update()
        return pictures

    def judge_tones(self, pictures: list[torch.Tensor], photographs: list[torch.Tensor]) -> dict[str, float]:
        """See :func:`evaluation.contrast.judge_tones`."""
        painting = self.painting.copy()
        painting.thumbnail((_LARGEST_PAINTING,) * 2, Image.Resampling.LANCZOS)
        return judge_tones(self.stylizer, pictures, photographs, image_to_tensor(flatten(painting))[None])


@dataclass
class Model(Style):
    """A style, and what it was trained for.

    Attributes:
        settings: of the objective, the level included in ``style_weight``.
        level: of the style term at the end of its training, 1 where the file does not say.
        scales: of its training; ``None`` where the file does not say, or flags make it another objective.
        style_pixels: the style image, 1 x 3 x H x W, RGB in [0, 255], at the size that it was trained with.
    """

    settings: TrainingConfig
    level: float
    scales: dict | None
    style_pixels: torch.Tensor


def read_styles(
    model_path: Sequence[str],
    style: Sequence[str] | None,
    style_image: Sequence[str],
    device: str,
    max_pixels: int = MAX_PIXELS,
) -> list[Style]:
    """The styles that ``--model_path`` and ``--style`` name, with their paintings.

    Args:
        style_image: a picture for each style in their order, one for all, or a folder of paintings with their names.

    Raises:
        UserError: naming the flag and the file at fault.
    """
    chosen = choose_styles(model_path, style, print)
    paths = model_path if style is None else [*model_path] * len(chosen)
    compute = resolve_compute(device, "auto")  # as begin_inference.py would
    styles = []
    for (name, checkpoint), path, picture in zip(chosen, paths, _style_images(style_image, chosen), strict=True):
        painting = read_whole(picture, "--style_image", max_pixels)
        styles.append(Style(name, path, picture, checkpoint, painting, Stylizer(checkpoint.network, compute=compute)))
    return styles


def _style_images(given: Sequence[str], chosen: list[tuple[str, Checkpoint]]) -> list[str]:
    """The path of each style's painting: in a folder, the picture with the name that the model says, or the style's."""
    if len(given) == 1 and Path(given[0]).is_dir():
        pictures = {path.stem: str(path) for path in list_photographs(given[0], "--style_image")}
        found = []
        for name, checkpoint in chosen:
            trained_on = checkpoint.provenance.get("style")
            wanted = [Path(trained_on).stem] if isinstance(trained_on, str) else []
            path = next((pictures[stem] for stem in (*wanted, Path(name).name) if stem in pictures), None)
            if path is None:
                raise UserError(f"--style_image {given[0]} holds no painting named {name}: add it, or name the file")
            found.append(path)
        return found
    if not given:
        raise UserError("--style_image needs a value: the painting of each model, in their order, or their folder")
    if len(given) not in (1, len(chosen)):
        raise UserError(
            f"--style_image names {len(given)} pictures for {len(chosen)} models or styles: give one "
            "for each, in their order, one for all, or a folder of paintings with the styles' names"
        )
    return list(given) * (len(chosen) if len(given) == 1 else 1)


def as_trained(style: Style, given: dict, device: torch.device) -> Model:
    """A style with the objective that it was trained for, except for the settings in ``given``.

    Raises:
        UserError: if its file does not say what the objective was, or says what cannot be.
    """
    checkpoint, path = style.checkpoint, style.path
    settings, level = settings_of(checkpoint, given, path)
    others = {"content_layer", "style_layers", "style_octaves", "loss_scale", "style_size", "style_smoothing"}
    scales = scales_of(checkpoint) if others.isdisjoint(given) else None
    trained_on = checkpoint.provenance.get("style")
    is_known = isinstance(trained_on, str) and ":" not in trained_on  # a mixture has no picture of its own
    if is_known and Path(trained_on).stem != Path(style.style_image).stem:
        warnings.warn(f"{path} was trained on {trained_on}, and --style_image is {style.style_image}", stacklevel=2)
        scales = None
    pixels = style_batch(style.painting, settings).to(device)
    return Model(**vars(style), settings=settings, level=level, scales=scales, style_pixels=pixels)


def settings_of(checkpoint: Checkpoint, given: dict, path: str) -> tuple[TrainingConfig, float]:
    """The objective that a model was trained for, except for the settings in ``given``.

    Returns:
        ``(settings, level)``: with the style term's level at the end of the training included in ``style_weight``,
        unless that was given. A final model may not say the level; then it is 1.

    Raises:
        UserError: if the file does not say what the objective was.
    """
    stored, level = checkpoint.provenance.get("settings"), checkpoint.provenance.get("style_level", 1.0)
    teacher = checkpoint.provenance.get("taught_by")
    if isinstance(teacher, dict) and isinstance(stored, dict) and not stored.get("style_image"):
        stored = teacher.get("settings")  # a student learnt the teacher's objective
    if not isinstance(stored, dict):
        raise UserError(f"{path} does not say what it was trained for: give another model, or --tones_only")
    try:
        stored = {name: value for name, value in (BEFORE | stored).items() if name in (*OBJECTIVE, "image_size")}
        stored = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        settings = TrainingConfig(**{**stored, **given})
        validate(settings)
        if type(level) is not float or not 0 < level <= 1:
            raise UserError(f"the level of the style term is {level!r}")
    except (TypeError, UserError) as error:
        raise UserError(f"{path} holds settings that no training has ({error}): give another file") from None
    if "style_weight" in given:
        return settings, 1.0
    return dataclasses.replace(settings, style_weight=settings.style_weight * level), level


def scales_of(checkpoint: Checkpoint) -> dict | None:
    """The scales of a model's training, unchecked; ``None`` where its file does not say."""
    scales = checkpoint.provenance.get("loss_scales")
    return scales if scales is None or isinstance(scales, dict) else {}
