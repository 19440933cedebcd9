"""Pictures to files."""

from pathlib import Path
from typing import BinaryIO

from PIL import Image

_JPEG_ENDINGS = (".jpg", ".jpeg", ".jfif")


def result_ending(photograph: Path) -> str:
    """``.jpg`` for what is named as a JPEG, ``.png`` for all else."""
    return ".jpg" if photograph.suffix.lower() in _JPEG_ENDINGS else ".png"


def save_picture(image: Image.Image, file: BinaryIO, ending: str) -> None:
    """Encode a picture in the format of an ending."""
    if ending == ".jpg":
        image.save(file, "JPEG", quality=95, subsampling=0)
    else:
        image.save(file, "PNG")
