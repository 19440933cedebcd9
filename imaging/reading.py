"""Picture files: decoded once, for training and inference alike, to what a viewer would show."""

import contextlib
import io
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
from PIL import Image, ImageOps, PngImagePlugin

from config import MAX_PIXELS
from imaging.formats import HEIC, NOT_DECODED, in_words, no_picture, reads_heic, refused_tiff
from imaging.icc import through_own_profile
from utils.errors import ImageError
from utils.file_kinds import HEAD_BYTES, known_kind, open_without_waiting, refuse_url

_SEVERAL = dict.fromkeys(("AVIF", "FLI", "GIF", "PNG", "WEBP"), "is animated: its first frame")
_SEVERAL["TIFF"] = "has several pages: the first"

PngImagePlugin.MAX_TEXT_CHUNK = 2**26  # bytes, of colour profiles as well; Pillow's own megabyte is too little
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it logs what it raises, which Python would print


def read_image(
    path: str | Path, draft_size: int | None = None, max_pixels: int = MAX_PIXELS, partial: bool = False
) -> Image.Image:
    """Decode a picture, the first frame of an animated one, upright by its EXIF orientation.

    Args:
        path: a file of any format that Pillow decodes, or HEIC where the package pillow-heif is installed.
        draft_size: a JPEG may be decoded at a reduced scale, as long as both sides stay at least this many pixels.
        max_pixels: refuse a picture of more by its header, before anything is decoded.
        partial: read a picture that is cut short or damaged as far as it goes; what is missing is black.

    Returns:
        A loaded image in mode ``RGB``, or ``RGBA`` where the file has transparency; what is wholly transparent is
        white. ``info`` has the metadata, and in ``info["remarks"]`` a list of sentences on what was left out.

    Raises:
        ImageError: naming the file and the reason.
    """
    refuse_url(path)
    path, remarks = Path(path), []
    with faults_of(path, max_pixels), opened(path, max_pixels) as image:
        scans = 1
        # Each scan of a JPEG passes over all pixels: 100 of the largest size take a minute, and ten are usual.
        if image.format in ("BLP", "JPEG", "MPO"):
            with open(path, "rb") as file:
                scans = sum(block.count(b"\xff\xda") for block in iter(lambda: file.read(2**20), b""))
        if scans * image.width * image.height > 100 * max_pixels:
            raise ImageError(f"{path} has {scans} scans, which would take minutes to decode: save it anew")
        with contextlib.suppress(Exception):  # whether the first frame is sound is another question
            if image.info.pop("stilled") or (image.format in _SEVERAL and image.is_animated):
                remarks.append(f"{path} {_SEVERAL[image.format]} alone is taken")
        if draft_size is not None:
            image.draft(None, (draft_size, draft_size))
        try:
            image.load()
        except Exception as error:
            if not partial or isinstance(error, MemoryError | Image.DecompressionBombError):
                raise
            image = _as_far_as_it_goes(path, image, error)
            remarks.append(f"{path} is damaged ({in_words(error)}): what can be read of it is taken")
        _turn_upright(image)
        result = to_rgb(image)
        result.info["remarks"] = remarks
        return result


@contextlib.contextmanager
def faults_of(path: str | Path, max_pixels: int, kind: str = "picture") -> Iterator[None]:
    """What goes wrong while a file is read, as an :class:`ImageError` that names it and the reason."""
    try:
        yield
        return
    except ImageError:
        raise
    except FileNotFoundError:
        fault = f"does not exist: give the path of a {kind}"
    except IsADirectoryError:
        fault = f"is a folder: give the path of a {kind}"
    except Image.DecompressionBombError as error:
        number = re.search(r"\d+", str(error))[0]
        fault = f"has {number} pixels, more than --max_pixels {max_pixels}: reduce it, or give a larger --max_pixels"
    except MemoryError:
        fault = "needs more memory than there is to be read: reduce it first"
    # Decoders meet hostile and damaged files with nearly every built-in exception, from struct.error to RecursionError.
    except Exception as error:
        fault = f"cannot be read as a {kind} ({in_words(error)}): give another file"
    raise ImageError(f"{path} {fault}")


def picture_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height by the file's header, the rest unread; (0, 0) where :func:`read_image` will refuse that."""
    with contextlib.suppress(Exception), opened(Path(path), max_pixels) as image:
        return image.size
    return 0, 0


@contextlib.contextmanager
def opened(path: Path, max_pixels: int = MAX_PIXELS, still: bool = True) -> Iterator[Image.Image]:
    """A picture whose header is harmless, with Pillow set up to decode it; without an APNG's motion if ``still``."""
    with open(path, "rb", opener=open_without_waiting) as file, _pillow_prepared(max_pixels):
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a file but a pipe or a device: give the path of a picture")
        # Some decoders read the whole file into memory.
        if status.st_size > largest_file(max_pixels):
            raise ImageError(
                f"{path} has {status.st_size} bytes, more than a picture of --max_pixels {max_pixels} needs: give "
                "a smaller file or a larger --max_pixels"
            )
        head = file.read(HEAD_BYTES)
        if kind := known_kind(head) or refused_tiff(path, head, file):
            raise ImageError(f"{path} is {kind}")
        if HEIC.match(head) and not reads_heic():
            raise ImageError(f"{path} is HEIC, which needs a package: pip install pillow-heif, or export it as JPEG")
        file.seek(0)
        content, stilled = _plain_png(file, still) if head.startswith(b"\x89PNG\r\n\x1a\n") else (file, False)
        try:
            image = Image.open(content)
        except (Image.DecompressionBombError, MemoryError):
            raise
        except Exception as error:
            raise no_picture(path, head, error) from None
        with image:
            if image.format in NOT_DECODED:
                raise ImageError(f"{path} is {image.format}, which is not read here: save it in another format")
            image.info["stilled"] = stilled
            _correct_transparency(image)
            yield image


def _as_far_as_it_goes(path: Path, image: Image.Image, error: Exception) -> Image.Image:
    """What a decoder had made of a picture when it failed; ``error`` again if that is nothing."""
    if image.format in ("JPEG", "MPO", "JPEG2000"):  # their decoders make up for what is missing before the end
        image = Image.open(io.BytesIO(path.read_bytes() + b"\xff\xd9"))
        with contextlib.suppress(Exception):
            image.load()
    image.tile = []
    with contextlib.suppress(Exception):
        image.load()
        if image.getbbox():
            return image
    raise error


def _plain_png(file: BinaryIO, still: bool) -> tuple[BinaryIO, bool]:
    """A PNG, perhaps a copy in memory, without long texts, which Pillow refuses, and without motion if ``still``.

    Also whether frames were left out.
    """
    chunks, begin, kind = [], 8, b""
    while kind != b"IEND":
        file.seek(begin)
        head = file.read(8)
        if len(head) < 8:
            break
        kind, size = head[4:], 12 + int.from_bytes(head[:4], "big")
        chunks.append((kind, begin, size))
        begin += size
    texts = (b"iTXt", b"tEXt", b"zTXt")
    length = sum(size for kind, _, size in chunks if kind in texts)
    unwanted = texts if length > 60_000 else ()  # compressed a thousand times, which is the most, they have 60 MB
    unwanted += (b"acTL", b"fcTL", b"fdAT") if still else ()
    found = {kind for kind, _, _ in chunks if kind in unwanted}
    file.seek(0)
    if not found:
        return file, False
    kept = [file.read(8)]
    for kind, begin, size in chunks:
        if kind not in unwanted:
            file.seek(begin)
            kept.append(file.read(size))
    return io.BytesIO(b"".join(kept)), b"fdAT" in found


def _correct_transparency(image: Image.Image) -> None:
    """The transparent colour of a PNG, which is in the file's own depth, in that of the decoded picture."""
    if image.format != "PNG" or not image.tile:
        return
    transparent = image.info.get("transparency")
    depth = {"1": 255, "L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}.get(image.tile[0][3], 1)
    if isinstance(transparent, tuple):
        image.info["transparency"] = tuple(int(value * depth) for value in transparent)
    elif isinstance(transparent, int):
        image.info["transparency"] = int(transparent * depth)


def largest_file(max_pixels: int) -> int:
    """Bytes that a file with so many pixels may have: four channels of 32 bits each, and a megabyte of all else."""
    return 16 * max_pixels + 2**20


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


def _turn_upright(image: Image.Image) -> None:
    """Turn it by its EXIF orientation; the EXIF of any format is in ``info["exif"]`` then."""
    try:
        exif = image.getexif()
        if exif and "exif" not in image.info:  # TIFF has it among its own tags
            image.info["exif"] = exif.tobytes()
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # Broken EXIF is no reason to refuse a picture whose pixels are sound;
        image.info.pop("exif", None)
        with contextlib.suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)  # and its orientation may be.


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode as ``RGB``, or as ``RGBA`` where it has transparency."""
    result = _to_rgb(image)
    if "exif" in image.info:
        result.info["exif"] = image.info["exif"]
    if result.mode == "RGBA":  # no colour that nobody sees may spread into what is seen
        hidden = result.getchannel("A").point([255] + [0] * 255)
        if hidden.getbbox():
            result.paste((255, 255, 255, 0), mask=hidden)
    return result


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _grey_to_8_bit(image)
        if isinstance(image.info.get("transparency"), int):
            opaque = np.asarray(image) != image.info["transparency"]
            return Image.merge("RGBA", [grey, grey, grey, Image.fromarray(opaque.astype(np.uint8) * 255)])
        return grey.convert("RGB")
    if image.mode in ("CMYK", "LAB") and (converted := through_own_profile(image)):
        return converted
    target = "RGBA" if image.mode[-1] in "Aa" or "transparency" in image.info else "RGB"
    if image.mode in ("1", "La"):  # in two steps: Pillow before 10.3 knows of no transparent colour of one bit
        image = image.convert({"1": "L", "La": "LA"}[image.mode])
    return image if image.mode == target else image.convert(target)


def _grey_to_8_bit(image: Image.Image) -> Image.Image:
    """Integers of more than eight bits and floating-point numbers to [0, 255]; not-a-number becomes black."""
    values = np.asarray(image)
    bands = np.array_split(values, 1 + values.size // 2**20)  # whole as float64, it would take much memory

    def finite(band):
        with np.errstate(invalid="ignore"):  # numpy warns of signalling not-a-numbers
            return np.nan_to_num(band.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)

    top = max(finite(band).max(initial=0.0) for band in bands)
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and top <= 1.0:
        white = 1.0
    else:  # 32-bit containers say nothing of their white: take the smallest of the usual ones that holds the picture.
        white = next((usual for usual in (255.0, 65535.0) if top <= usual), top)
    grey = [(finite(band) / white * 255.0).round().clip(0, 255).astype(np.uint8) for band in bands]
    return Image.fromarray(np.concatenate(grey))
