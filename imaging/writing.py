"""Pictures to files of several formats, with what they keep of the photograph."""

import contextlib
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from imaging.icc import from_srgb
from imaging.tensors import flatten
from utils.files import atomic_write

_OPTIONS = {
    ".jpg": {"quality": 95, "subsampling": 0},  # brush strokes have sharp edges of colour
    ".png": {},
    ".webp": {"quality": 90},
    ".avif": {"quality": 80, "subsampling": "4:4:4"},
    ".tif": {},  # not compressed: Pillow's writer of compressed ones fails at EXIF
}
_LONGEST_SIDE = {".jpg": 65500, ".webp": 16383, ".avif": 65536}


def encoder_options(ending: str, quality: int | None) -> dict:
    """Options of Pillow's ``save``. A quality is 1 to 100, or ``None`` for a good one; a lossless format takes none."""
    options = dict(_OPTIONS.get(ending, {}))
    if quality is not None and "quality" in options:
        options["quality"] = quality
    return options


def has_quality(ending: str) -> bool:
    """Whether a format, named by its ending, takes a quality; a lossless one takes none."""
    return "quality" in _OPTIONS.get(ending, {})


def result_ending(format: str, head: bytes) -> str:
    """The ending of a result; with ``auto``, by the photograph's first bytes, ``.jpg`` for a JPEG, else ``.png``."""
    if format == "auto":
        return ".jpg" if head.startswith(b"\xff\xd8\xff") else ".png"
    return {"jpeg": ".jpg", "tiff": ".tif"}.get(format, f".{format}")


def save_picture(image: Image.Image, file: BinaryIO, ending: str, info: dict, quality: int | None = None) -> None:
    """Encode a picture, ``RGB`` or ``RGBA``, sRGB; transparency becomes white in a JPEG.

    The result keeps the EXIF of the photograph's ``info``, which is Pillow's, and its colours are in its profile.
    The ending is one of :func:`result_ending`; for the quality see :func:`encoder_options`. Raises a
    :class:`ValueError` if the format does not hold so large a picture.
    """
    most = _LONGEST_SIDE.get(ending)
    if most and max(image.size) > most:
        raise ValueError(f"the format holds at most {most} pixels a side, not {max(image.size)}")
    options = encoder_options(ending, quality)
    if ending == ".jpg":
        image = flatten(image)
    exif = info.get("exif") and _carried_exif(info["exif"], image.size)
    if exif and not (ending == ".jpg" and len(exif) > 65533):  # the most that a JPEG holds
        options["exif"] = exif
    if profile := info.get("icc_profile"):
        image, options["icc_profile"] = from_srgb(image, profile), profile
    image.save(file, Image.registered_extensions()[ending], **options)


def save_png(image: Image.Image, path: Path) -> None:
    """Write a picture as PNG, whole or not at all."""
    with atomic_write(path) as file:
        image.save(file, "PNG")


# Of the picture file's own directory: all that Exif 2.3 has for people, nothing of how the pixels are stored.
_KEPT = (
    "ImageDescription", "Make", "Model", "XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime",
    "Artist", "HostComputer", "Rating", "RatingPercent", "Copyright", "XPTitle", "XPComment", "XPAuthor",
    "XPKeywords", "XPSubject",
)  # fmt: skip


def _carried_exif(exif: bytes, size: tuple[int, int]) -> bytes | None:
    """The EXIF of a result, upright and of a size: when, where, by whom and how the photograph was taken.

    Thumbnail and maker notes are left out: they show the old picture, or may, and hold offsets that are wrong in
    another file.
    """
    with contextlib.suppress(Exception):  # as many as there are ways to break it; the picture itself is sound
        old, new, base = Image.Exif(), Image.Exif(), ExifTags.Base
        old.load(exif)
        new.endian = old.endian  # of text in UserComment
        for tag in (base[name] for name in _KEPT):
            if tag in old:
                new[tag] = old[tag]
        new[base.Orientation] = 1
        camera = dict(old.get_ifd(ExifTags.IFD.Exif))
        camera.pop(base.MakerNote, None)
        camera.pop(base.ExifInteroperabilityOffset, None)
        camera[base.ExifImageWidth], camera[base.ExifImageHeight] = size
        new[ExifTags.IFD.Exif] = camera
        if place := dict(old.get_ifd(ExifTags.IFD.GPSInfo)):
            new[ExifTags.IFD.GPSInfo] = place
        return new.tobytes()
    return None
