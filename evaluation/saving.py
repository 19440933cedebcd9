"""Result files: checked before hours of work, written whole or not at all."""

import json
import os
from pathlib import Path

from PIL import Image

from imaging.writing import save_picture
from utils.errors import UserError
from utils.files import atomic_write

PICTURES = {".png": ".png", ".jpg": ".jpg", ".jpeg": ".jpg", ".webp": ".webp", ".tif": ".tif", ".tiff": ".tif"}
"""Endings of picture files, with the name that :func:`imaging.writing.save_picture` has for each."""

PLOTS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


def check_result(flag: str, path: str | None, endings, overwrite: bool) -> None:
    """Refuse a result file before it is worked for.

    Args:
        flag: that named it.
        path: ``None`` where none was asked for.
        endings: that it may have.
        overwrite: whether it may replace a file.

    Raises:
        UserError: naming the flag and what to do.
    """
    if path is None:
        return
    if Path(path).suffix.lower() not in endings:
        raise UserError(f"{flag} {path} must end in {', '.join(endings)}: give another name")
    if os.path.isdir(path):
        raise UserError(f"{flag} {path} is a folder: give the name of a file")
    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{flag} {path} exists already: give another name, or add --overwrite to replace it")


def write_json(path: str | Path, contents: dict) -> None:
    """Write plain values as JSON."""
    with atomic_write(path) as file:
        file.write((json.dumps(contents, indent=1) + "\n").encode())


def write_picture(
    path: str | Path, image: Image.Image, exif: bytes | None = None, profile: bytes | None = None
) -> None:
    """Write an sRGB picture in the format of its ending, one of :data:`PICTURES`.

    Raises:
        UserError: if it cannot be written.
    """
    ending = PICTURES[Path(path).suffix.lower()]
    try:
        with atomic_write(path) as file:
            save_picture(image, file, ending, exif=exif, profile=profile)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be written ({error}): give another ending") from None
