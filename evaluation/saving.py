"""Result files, written whole or not at all."""

import json
from pathlib import Path

from PIL import Image

from imaging.writing import save_picture
from utils.errors import UserError
from utils.files import atomic_write

PICTURES = {".png": ".png", ".jpg": ".jpg", ".jpeg": ".jpg", ".webp": ".webp", ".tif": ".tif", ".tiff": ".tif"}
"""Endings of picture files, with the name that :func:`imaging.writing.save_picture` has for each."""

PLOTS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


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
