"""Picture files: decoded once, for training and inference alike, to what a viewer would show."""

import contextlib
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from config import MAX_PIXELS
from imaging.icc import through_own_profile
from utils.errors import ImageError

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")  # ISO/IEC 23008-12

_NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF")
"""Formats that Pillow recognises and does not decode itself: EPS is a program, which Ghostscript would run, and IPTC a
wrapping of any other format."""

_MOST_SCANS = 100  # of a JPEG of the largest size, ten times the usual number: about a minute


def read_image(path: str | Path, draft_size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture, the first frame of an animated one, upright by its EXIF orientation.

    Args:
        path: a file of any format that Pillow decodes.
        draft_size: where given, a format that can decode at a reduced scale (JPEG) may do so as long as both sides stay
            at least this many pixels.
        max_pixels: refuse a picture of more, by its header, before anything is decoded: a file of a few bytes may
            promise more pixels than fit into memory.

    Returns:
        A loaded image in mode ``RGB``, or ``RGBA`` where the file has transparency. Greyscale, palette, CMYK, 16-bit
        and floating-point pictures are converted; metadata is in ``info``.

    Raises:
        ImageError: naming the file and the reason.
    """
    path = Path(path)
    try:
        with _opened(path, max_pixels) as image:
            _refuse_many_scans(path, image, max_pixels)
            if draft_size is not None:
                image.draft(None, (draft_size, draft_size))
            image.load()
            return to_rgb(_upright(image))
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: give the path of a picture") from None
    except (IsADirectoryError, PermissionError) as error:  # the second for a folder on Windows
        if not os.path.isdir(path):
            raise ImageError(f"{path} cannot be read ({error.strerror}): give a file that you may read") from None
        raise ImageError(f"{path} is a folder: give the path of a picture") from None
    except Image.DecompressionBombError as error:
        number = re.search(r"\d+", str(error))[0]
        raise ImageError(
            f"{path} has {number} pixels, more than --max_pixels {max_pixels}: reduce it, or give a larger --max_pixels"
        ) from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{path} cannot be read as a picture ({_why_unknown(path)}): give another file") from None
    except MemoryError:
        raise ImageError(f"{path} needs more memory than there is to be read: reduce it first") from None
    # Decoders meet hostile and damaged files with nearly every built-in exception, from struct.error to RecursionError.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"{path} cannot be read as a picture ({reason}): give another file") from None


def picture_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height by the file's header, the rest unread; (0, 0) where :func:`read_image` will refuse that."""
    try:
        with _opened(Path(path), max_pixels) as image:
            return image.size
    except Exception:  # see above
        return 0, 0


@contextlib.contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """A picture whose header was read and found harmless, with Pillow set up to decode it."""
    with open(path, "rb", opener=_open_without_waiting) as file, _pillow_prepared(max_pixels):
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a file but a pipe or a device: give the path of a picture")
        # Some decoders read the whole file into memory.
        if status.st_size > largest_file(max_pixels):
            raise ImageError(
                f"{path} has {status.st_size} bytes, more than a picture of --max_pixels {max_pixels} needs: give "
                "a smaller file or a larger --max_pixels"
            )
        with Image.open(file) as image:
            if image.format in _NOT_DECODED:
                raise ImageError(f"{path} is {image.format}, which is not read here: save it in another format")
            yield image


def _why_unknown(path: Path) -> str:
    """What is the matter with a file in which Pillow sees no format."""
    head = b""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return "HEIC, which Pillow does not decode; export it as JPEG"
    return "no format that this Pillow decodes" if head else "it is empty"


def picture_endings() -> tuple[str, ...]:
    """Endings of the files that Pillow reads, in lower case, with their dot."""
    Image.init()
    # Some formats, such as PDF, Pillow writes but does not read; MPO, several JPEGs in a file, is read as JPEG.
    decoded = (Image.OPEN.keys() | {"MPO"}) - set(_NOT_DECODED)
    return tuple(end for end, form in Image.registered_extensions().items() if form in decoded)


def largest_file(max_pixels: int) -> int:
    """Bytes that a file with so many pixels may have: four channels of 32 bits each, and a megabyte of all else."""
    return 16 * max_pixels + 2**20


def _refuse_many_scans(path: Path, image: Image.Image, max_pixels: int) -> None:
    # Each scan of a progressive JPEG passes over all pixels, and takes no more than a few bytes.
    scans = _jpeg_scans(image.fp) if image.format in ("BLP", "JPEG", "MPO") else 1
    if scans * image.width * image.height > _MOST_SCANS * max_pixels:
        raise ImageError(f"{path} has {scans} scans, which would take minutes to decode: save it anew")


def _jpeg_scans(file: BinaryIO) -> int:
    """How often JPEG's start of a scan occurs in a file; in what is not JPEG, once in 65,536 bytes by chance."""
    position = file.tell()
    file.seek(0)
    count, end = 0, b""
    while block := file.read(2**20):
        count += (end + block).count(b"\xff\xda")
        end = block[-1:]
    file.seek(position)
    return count


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would wait for whoever writes to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


_readers = 0
_readers_lock = threading.Lock()
_restore_pillow = contextlib.ExitStack()


@contextlib.contextmanager
def _pillow_prepared(max_pixels: int):
    """Pillow's settings of the whole process, for as long as any thread reads a picture."""
    global _readers
    with _readers_lock:
        if not _readers:
            _restore_pillow.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            # Pillow warns of odd metadata in files that decode well, and of half the number of pixels that it refuses.
            _restore_pillow.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            # It logs what it raises as well, which Python shows where nobody has set up logging.
            log, silent = logging.getLogger("PIL"), logging.NullHandler()
            log.addHandler(silent)
            _restore_pillow.callback(log.removeHandler, silent)
        _readers += 1
        # Its check comes before decoding, for pictures within pictures (ICO, ICNS) as well.
        Image.MAX_IMAGE_PIXELS = max_pixels / 2
    try:
        yield
    finally:
        with _readers_lock:
            _readers -= 1
            if not _readers:
                _restore_pillow.close()


def _upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation, with the EXIF of any format in ``info["exif"]``."""
    try:
        exif = image.getexif()
        if exif and "exif" not in image.info:  # TIFF has it among its own tags
            image.info["exif"] = exif.tobytes()
        return _turned(image)
    except Exception:  # Broken EXIF is no reason to refuse a picture whose pixels are sound;
        image.info.pop("exif", None)
    try:
        return _turned(image)  # and its orientation may be.
    except Exception:
        return image


def _turned(image: Image.Image) -> Image.Image:
    # Where there is nothing to turn, Pillow's function returns a copy: of a large picture, gigabytes.
    straight = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return image if straight else ImageOps.exif_transpose(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode as ``RGB``, or as ``RGBA`` where it has transparency."""
    result = _to_rgb(image)
    if "exif" in image.info:
        result.info["exif"] = image.info["exif"]
    return result


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "RGBA"):
        if image.mode == "RGB" and "transparency" in image.info:
            return image.convert("RGBA")
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_to_8_bit(image).convert("RGB")
    if image.mode in ("CMYK", "LAB") and image.info.get("icc_profile"):
        converted = through_own_profile(image)
        if converted is not None:
            return converted
    transparent = image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA" if transparent else "RGB")


def _grey_to_8_bit(image: Image.Image) -> Image.Image:
    """Integers of more than eight bits and floating-point numbers to [0, 255]; not-a-number becomes black."""
    values = np.asarray(image)
    rows = max(1, 2**20 // image.width)  # at a time: as float64, a large picture would take many times its memory
    bands = [slice(row, row + rows) for row in range(0, image.height, rows)]

    def finite(band):
        with np.errstate(invalid="ignore"):  # numpy warns of signalling not-a-numbers
            return np.nan_to_num(values[band].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)

    top = max(finite(band).max(initial=0.0) for band in bands)
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and top <= 1.0:
        white = 1.0
    else:  # 32-bit containers say nothing of their white: take the smallest of the usual ones that holds the picture.
        white = next((usual for usual in (255.0, 65535.0) if top <= usual), top)
    grey = np.empty(values.shape, np.uint8)
    for band in bands:
        grey[band] = (finite(band) / white * 255.0).round().clip(0, 255)
    return Image.fromarray(grey)
