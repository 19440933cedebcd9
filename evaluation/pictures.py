"""Which photographs are judged, how pictures are read, and how results are written."""

import os
from pathlib import Path

import torch
from PIL import Image, ImageOps

from data.dataset import list_photographs
from imaging.reading import read_image
from imaging.tensors import flatten, image_to_tensor
from imaging.writing import save_picture
from utils.errors import UserError
from utils.files import atomic_write

HELD_OUT = Path(__file__).with_name("held_out.txt")
"""Names of the photographs that are never trained on."""

ENDINGS = (".png", ".jpg", ".webp", ".tif")
"""Of the pictures that :func:`write_picture` writes."""

_NARROWEST = 64  # long side over short side


def select_photographs(values: tuple[str, ...], names_file: str | None = None) -> tuple[list[Path], Path | None]:
    """The photographs that files and folders hold, or those of them that a list names.

    Args:
        values: files, and folders with their subfolders, as ``--photographs``.
        names_file: as ``--names``: a name without ending a line; ``None`` for :data:`HELD_OUT` where it names any of
            the photographs, and no list otherwise.

    Returns:
        ``(photographs, list)``: in the order of the list, or without one of ``values``, folders sorted; and the list.

    Raises:
        UserError: if there is no such file, or none that the list names.
    """
    found: dict[str, Path] = {}
    for value in values:
        if not os.path.exists(value):
            raise UserError(f"--photographs {value} does not exist: give photographs, or a folder of them")
        paths = list_photographs(value, "--photographs") if os.path.isdir(value) else [Path(value)]
        for path in paths:
            found.setdefault(os.path.realpath(path), path)
    every, names_path = list(found.values()), Path(names_file or HELD_OUT)
    names = _names(names_path)
    named = sorted((path for path in every if path.stem in names), key=lambda path: names[path.stem])
    if named:
        return named, names_path
    if names_file:
        raise UserError(
            f"--names {names_file} names none of the {len(every)} photographs: it needs one name a line, without ending"
        )
    return every, None


def _names(path: Path) -> dict[str, int]:
    """The names in a list, with their places."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"--names {path} is no text in UTF-8: give a file with one name a line") from None
    except OSError as error:
        raise UserError(f"--names {path} cannot be read ({error.strerror}): give a file with one name a line") from None
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return {name: place for place, name in enumerate(names)}


def read_square(path: Path, size: int, max_pixels: int) -> torch.Tensor:
    """A photograph, its short side resized to ``size`` pixels, and the square in its middle.

    Returns:
        1 x 3 x size x size, uint8, RGB.

    Raises:
        ImageError: if it cannot be read.
    """
    image = flatten(read_image(path, max_pixels=max_pixels))
    return image_to_tensor(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))[None]


def read_whole(path: str, flag: str, max_pixels: int) -> Image.Image:
    """A picture that can be resized by its short side, as :func:`imaging.reading.read_image` gives it.

    Args:
        flag: that named it, for errors.

    Raises:
        UserError: if it cannot be read, or is too narrow.
    """
    image = read_image(path, max_pixels=max_pixels)
    if max(image.size) > _NARROWEST * min(image.size):
        width, height = image.size
        raise UserError(f"{flag} {path} is {width} x {height} pixels, too narrow to be looked at: crop it")
    return image


def write_picture(path: str | Path, image: Image.Image, info: dict) -> None:
    """Write a picture, see ``save_picture``, in the format of its ending, of :data:`ENDINGS`, whole or not at all."""
    try:
        with atomic_write(path) as file:
            save_picture(image, file, Path(path).suffix.lower(), info)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be written ({error}): give another ending") from None
