"""What Pillow makes of a file's format, and what is said of a file that it makes nothing of."""

import contextlib
import ctypes
import functools
import re
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from utils.errors import ImageError
from utils.file_kinds import HEIF, OTHER_HEIF, RAW

HEIC = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|(mif1|msf1).{4}(?!.*avif).*he[iv])", re.DOTALL)  # ISO/IEC 23008-12
HEIC_ENDINGS = (".heic", ".heif", ".hif")

RAW_ENDINGS = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
"""Of cameras' raw files, most of which are TIFFs with a small preview for a picture."""

_DNG_VERSION, _SUB_IFDS, _SUBFILE_TYPE, _PHOTOMETRIC = 50706, 330, 254, 262
_MOSAIC = (32803, 34892)  # of a sensor, as it is or made linear

NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
"""Formats that Pillow recognises and does not decode itself: EPS is a program, which Ghostscript would run, and IPTC a
wrapping of any other format."""

_SIGNED = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PSD", "QOI", "DDS")
"""Formats whose first bytes are like no others'."""

try:
    _LIBTIFF = ctypes.CDLL(Image.core.__file__)  # which Pillow decodes TIFFs with
    _LIBTIFF.TIFFSetErrorHandler(None)  # or it writes hundreds of lines on a damaged file, past Python
    _LIBTIFF.TIFFSetWarningHandler(None)
except (OSError, AttributeError, TypeError):  # part of another library, as on Windows
    _LIBTIFF = None


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


def refused_tiff(path: Path, head: bytes, file: BinaryIO) -> str | None:
    """What is said of a TIFF that is a camera's raw file, or whose compression Pillow or its libtiff lacks."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = {}
    with contextlib.suppress(Exception):  # of a file that is damaged, which decoding will tell
        directory = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
        file.seek(directory.next)
        directory.load(file)
        wanted = (_DNG_VERSION, _SUB_IFDS, _SUBFILE_TYPE, _PHOTOMETRIC, ExifTags.Base.Compression)
        tags = {tag: directory[tag] for tag in wanted if tag in directory}
    is_preview = _SUB_IFDS in tags and tags.get(_SUBFILE_TYPE) == 1
    is_named = path.suffix.lower() in RAW_ENDINGS
    if is_named or is_preview or _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _MOSAIC:
        return RAW
    scheme, known = tags.get(ExifTags.Base.Compression, 1), TiffImagePlugin.COMPRESSION_INFO
    if scheme in known and (_LIBTIFF is None or _LIBTIFF.TIFFIsCODECConfigured(scheme)):
        return None
    return (
        f"a TIFF of compression {known.get(scheme, scheme)}, which the Pillow installed here does not decode: save it "
        "with another, such as LZW"
    )


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
    if path.suffix.lower() in RAW_ENDINGS:
        return ImageError(f"{path} is {RAW}")
    if re.match(HEIF, head, re.DOTALL):
        return ImageError(f"{path} is {OTHER_HEIF}")
    reason = "no format that this Pillow decodes" if isinstance(error, Image.UnidentifiedImageError) else None
    return ImageError(f"{path} cannot be read as a picture ({reason or in_words(error)}): give another file")


def in_words(error: Exception) -> str:
    """What is the matter with a file, from what a library or the system says."""
    if strerror := getattr(error, "strerror", None):
        return strerror
    if re.search("truncated|not processed|unexpected end|EOF|no more images", str(error), re.IGNORECASE):
        return "its end is missing"
    if decoder := re.search(r"decoder (\w+) not available", str(error)):
        return f"this Pillow has no decoder {decoder[1]}"
    return "its data are damaged"
