"""The style images of a training: which files, what they are called, and which style each photograph gets."""

import contextlib
import os
import random
from collections.abc import Sequence
from pathlib import Path

from config import TrainingConfig
from data.dataset import list_photographs
from models.multi_style import is_style_name
from utils.errors import UserError
from utils.files import is_pattern, matching


def find_style_images(values: Sequence[str]) -> tuple[str, ...]:
    """The files that ``--style_image`` names: folders with their subfolders, and patterns, in sorted order.

    Raises:
        UserError: if a folder holds no picture, or a pattern matches no file.
    """
    found = []
    for value in values:
        if os.path.isdir(value):
            found += map(str, list_photographs(value, "--style_image"))
        elif is_pattern(value):
            matches = [name for name in matching(value) if os.path.isfile(name)]
            if not matches:
                raise UserError(f"--style_image {value} matches no file: give another pattern")
            found += matches
        else:  # one that is missing is reported when it is read
            found.append(value)
    return tuple(dict.fromkeys(found))


def style_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of styles: those of their files, without ending, and without the characters of ``--style a:0.6,b:0.4``.

    Raises:
        UserError: if two have one name.
    """
    names = {}
    for path in paths:
        name = "".join(c if is_style_name(c) else "_" for c in Path(path).stem)[:100]
        if name in names:
            raise UserError(f"--style_image: {names[name]} and {path} would both be the style {name}: rename one")
        names[name] = path
    return tuple(names)


def training_name(config: TrainingConfig) -> str:
    """What the final model and the training's folder are named after.

    Raises:
        UserError: if ``--name`` is no plain name.
    """
    if config.name is not None:
        if Path(config.name).name != config.name or "\\" in config.name:
            raise UserError(f"--name {config.name} must be a name without folders: --output_dir says where it goes")
        return config.name
    stem = Path(config.style_image[0]).stem
    if len(config.style_image) > 1:
        stem = "styles"
        with contextlib.suppress(ValueError):  # of files on several drives
            folders = [os.path.dirname(os.path.abspath(path)) for path in config.style_image]
            stem = Path(os.path.commonpath(folders)).name or stem
    return f"{Path(config.start_from).stem}_{stem}" if config.train == "norms" and config.start_from else stem


def style_order(seed: int, start: int, count: int, styles: int) -> list[int]:
    """Which style each photograph of a training is given, from number ``start`` on.

    Every style has its turn before one comes again; the seed decides the order of each round.
    """
    order = []
    for turn in range(start // styles, (start + count - 1) // styles + 1):
        numbers = list(range(styles))
        random.Random(f"styles {seed} {turn}").shuffle(numbers)
        order += numbers
    return order[start % styles :][:count]
