"""What Pillow makes of a file's format, and what is said of a file that it makes nothing of."""

import contextlib
import ctypes
import functools
import re
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from utils.errors import ImageError
from utils.file_kinds import known_kind

HEIC = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|(mif1|msf1).{4}(?!.*avif).*he[iv])", re.DOTALL)  # ISO/IEC 23008-12
HEIC_ENDINGS = (".heic", ".heif", ".hif")

NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
"""Formats that Pillow recognises and does not decode itself: EPS is a program, which Ghostscript would run, and IPTC a
wrapping of any other format."""

_SIGNED = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PSD", "QOI", "DDS")
"""Formats whose first bytes are like no others'."""

_TIFF_COMPRESSIONS = {
    34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP",
    50002: "JPEG XL",
}  # fmt: skip
"""Those that a libtiff, or Pillow, may lack."""

_IN_WORDS = {
    r"truncated|not processed|unexpected end|EOF": "its end is missing",
    r"decoder error|broken|decoding|unrecognized data|create decoder|cannot load this": "its data are damaged",
}
"""What libraries say of a file, and what it means."""


@functools.cache
def reads_heic() -> bool:
    """Whether the package pillow-heif is installed, which is then made known to Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def picture_endings() -> tuple[str, ...]:
    """Endings of the files that Pillow reads, in lower case, with their dot."""
    Image.init()
    # Some formats, such as PDF, Pillow writes but does not read; MPO, several JPEGs in a file, is read as JPEG.
    decoded = (Image.OPEN.keys() | {"MPO"}) - set(NOT_DECODED)
    endings = tuple(end for end, form in Image.registered_extensions().items() if form in decoded)
    return endings + (HEIC_ENDINGS if reads_heic() else ())


@functools.cache
def libtiff() -> ctypes.CDLL | None:
    """The library that Pillow decodes TIFFs with, where the system tells."""
    try:
        library = ctypes.CDLL(Image.core.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            getattr(library, name).restype = ctypes.c_void_p
            getattr(library, name).argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError, TypeError):  # part of another library, as on Windows
        return None
    return library


def lacking_compression(head: bytes, file: BinaryIO) -> str | None:
    """The name of a TIFF's compression if Pillow or its libtiff was built without it."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    scheme = None
    with contextlib.suppress(Exception):  # of a file that is damaged, which decoding will tell
        directory = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
        file.seek(directory.next)
        directory.load(file)
        scheme = directory.get(ExifTags.Base.Compression)
    lacking = scheme not in TiffImagePlugin.COMPRESSION_INFO or (
        libtiff() is not None and not libtiff().TIFFIsCODECConfigured(scheme)
    )
    return _TIFF_COMPRESSIONS.get(scheme) if lacking else None


def no_picture(path: Path, head: bytes, error: Exception) -> ImageError:
    """What is the matter with a file that Pillow does not open."""
    if not head:
        return ImageError(f"{path} cannot be read as a picture (it is empty): give another file")
    Image.init()
    for name in _SIGNED:
        found = Image.OPEN[name][1](head[:16]) if name in Image.OPEN else False
        if isinstance(found, str):
            return ImageError(f"{path} is {name}, which the Pillow installed here does not read: save it as PNG")
        if found:
            return ImageError(f"{path} is a damaged or incomplete {name}: give another copy of it")
    if kind := known_kind(head):
        return ImageError(f"{path} is {kind}")
    reason = "no format that this Pillow decodes" if isinstance(error, Image.UnidentifiedImageError) else None
    return ImageError(f"{path} cannot be read as a picture ({reason or in_words(error)}): give another file")


def in_words(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    for pattern, words in _IN_WORDS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return words
    return text if " " in text else f"its data are damaged, {type(error).__name__}"
