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


def select_photographs(values: tuple[str, ...], names_file: str | None = None) -> tuple[list[Path], Path | None]:
    """The photographs that ``--photographs`` and ``--names`` mean, in the order of the list of names, and that list.

    Without ``names_file``, :data:`HELD_OUT` is the list, or there is none where that names no photograph.

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
    try:
        lines = names_path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--names {names_path} cannot be read as text ({error}): give one name a line") from None
    places = {line.strip(): place for place, line in enumerate(lines) if not line.startswith("#")}
    named = sorted((path for path in every if path.stem in places), key=lambda path: places[path.stem])
    if named:
        return named, names_path
    if names_file:
        raise UserError(
            f"--names {names_file} names none of the {len(every)} photographs: it needs one name a line, without ending"
        )
    return every, None


def read_square(path: Path, size: int, max_pixels: int) -> torch.Tensor:
    """The square in a photograph's middle, its side ``size`` pixels: 1 x 3 x size x size, uint8, RGB."""
    image = flatten(read_image(path, max_pixels=max_pixels))
    return image_to_tensor(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))[None]


def read_whole(path: str, flag: str, max_pixels: int) -> Image.Image:
    """A picture that can be resized by its short side. Raises UserError, naming the flag, if it is too narrow."""
    image = read_image(path, max_pixels=max_pixels)
    if max(image.size) > 64 * min(image.size):
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
