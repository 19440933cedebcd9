"""Films: their frames as RGB, upright, with their time stamps; needs the package ``av`` (PyAV)."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from config import MAX_PIXELS
from utils.errors import ImageError, UserError
from utils.file_kinds import refuse_url

_INSTALL = "pip install -r requirements-video.txt"

_BT709, _BT2020, _BT601 = 1, 9, 5
_MATRICES = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}
"""Of ISO/IEC 23091-2's numbers for the matrix of a film, those that swscale knows, by its own numbers."""


def pyav():
    """The package ``av``.

    Raises:
        UserError: where it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UserError(f"films need a package: {_INSTALL}") from None
    av.logging.set_level(None)  # it says of damaged films what exceptions say as well
    return av


@dataclass
class Frame:
    """A picture of a film.

    Attributes:
        pixels: H x W x 3, uint8, RGB.
        time: seconds from the beginning of the film.
        duration: seconds, 0 where the film does not say.
    """

    pixels: np.ndarray
    time: Fraction
    duration: Fraction


class FilmReader:
    """A film that is read frame by frame, in a block.

    >>> with FilmReader("film.mp4") as film:
    ...     for frame in film.frames():
    ...         frame.pixels

    Args:
        path: a file of any container and codec that FFmpeg reads.
        max_pixels: refuse larger frames.

    Attributes:
        size: (width, height) of the frames, upright.
        rate: frames a second, on average.
        count: of frames, as far as the file tells.
        remarks: sentences on what could not be read, once the frames were.

    Raises:
        UserError: where ``av`` is not installed.
        ImageError: naming the file, if it is no film that can be read.
    """

    def __init__(self, path: str | Path, max_pixels: int = MAX_PIXELS):
        refuse_url(path)
        self.path = Path(path)
        self.remarks: list[str] = []
        self._av = pyav()
        try:
            # No playlist may have other files or addresses read.
            options = {"protocol_whitelist": "file"}
            self.container = self._av.open(f"file:{path}", options=options, metadata_errors="replace")
        except FileNotFoundError:
            raise ImageError(f"{path} does not exist: give the path of a film") from None
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        self.stream = self.container.streams.best("video")
        if self.stream is None:
            self.container.close()
            raise ImageError(f"{path} has no pictures, sound at most: give a film")
        self.stream.thread_type = "AUTO"
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.count = self.stream.frames or None

    def _unreadable(self, error: Exception) -> ImageError:
        return ImageError(f"{self.path} cannot be read as a film ({getattr(error, 'strerror', error)}): give another")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.container.close()

    def frames(self) -> Iterator[Frame]:
        for picture in self.container.decode(self.stream):
            yield Frame(_to_rgb(picture), (picture.pts or 0) * picture.time_base, Fraction(0))


def _to_rgb(picture) -> np.ndarray:
    """H x W x 3, uint8, upright, of a decoded picture."""
    matrix = _MATRICES.get(picture.colorspace)
    if matrix is None:  # what players guess where a film does not say
        matrix = _BT601 if max(picture.width * 9, picture.height * 16) < 1280 * 9 else _BT709
    pixels = picture.reformat(
        format="rgb24", src_colorspace=matrix, interpolation="BICUBIC", dst_color_range="JPEG"
    ).to_ndarray()
    return np.rot90(pixels, picture.rotation // 90)
