"""Animated pictures, GIF, WebP, APNG and AVIF, frame by frame, by Pillow alone."""

import contextlib
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageSequence

from config import MAX_PIXELS
from imaging.films import Frame, as_time
from imaging.formats import in_words
from imaging.icc import to_srgb
from imaging.reading import faults_of, opened, read_image, to_rgb
from imaging.writing import encoder_options
from utils.errors import ImageError

ANIMATION_ENDINGS = (".gif", ".webp", ".png", ".apng", ".avif", ".avifs")
_USUAL = 100  # milliseconds of a frame that says nothing of its own, as browsers have it


def is_animation(path: str | Path) -> bool:
    """Whether a file is an animated picture, by its name and its header."""
    if Path(path).suffix.lower() in ANIMATION_ENDINGS:
        with contextlib.suppress(Exception), opened(Path(path), still=False) as image:
            return bool(getattr(image, "is_animated", False))
    return False  # reading it will say what is wrong with it


class AnimationReader(contextlib.ExitStack):
    """An animated picture; arguments, attributes and errors are those of :class:`imaging.films.FilmReader`.

    ``info`` is Pillow's, of the file; ``loop`` counts.
    """

    converted = seconds = total = None

    def __init__(
        self, path: str | Path, start: float | None = None, end: float | None = None, max_pixels: int = MAX_PIXELS
    ):
        super().__init__()
        self.path, self.start, self.end = Path(path), as_time(start or 0), math.inf if end is None else as_time(end)
        self.remarks: list[str] = []
        self._max_pixels = max_pixels
        with faults_of(self.path, max_pixels):
            self._image = self.enter_context(opened(self.path, max_pixels, still=False))
        self.size, self.info = self._image.size, dict(self._image.info)
        if not start and end is None:
            with contextlib.suppress(Exception):  # of many kinds, where its end is missing
                self.total = self._image.n_frames
        self.rate = Fraction(1000, max(1, round(self.info.get("duration") or _USUAL)))

    def frames(self) -> Iterator[Frame]:
        """The frames, once, with transparency where the picture has any."""
        time, found = Fraction(0), False
        first = int(self.info.get("default_image", 0))  # of an APNG: what programs show that do not know of motion
        try:
            for image in itertools.islice(ImageSequence.Iterator(self._image), first, None):
                image.load()
                duration = Fraction(image.info.get("duration") or _USUAL) / 1000
                if self.start <= time < self.end:
                    found = True
                    yield Frame(np.array(to_srgb(to_rgb(image.copy()))), time - self.start, duration)
                time += duration
        except Exception as error:  # of many kinds, as for a single picture
            with faults_of(self.path, self._max_pixels):
                if isinstance(error, MemoryError | ImageError | Image.DecompressionBombError):
                    raise
                if not found:  # viewers show the first picture of an animation that is damaged
                    found, image = True, read_image(self.path, max_pixels=self._max_pixels)
                    yield Frame(np.array(to_srgb(image)), Fraction(0), Fraction(_USUAL, 1000))
            self.remarks.append(f"{self.path} is damaged ({in_words(error)}): what can be read of it is taken")
        if not found:
            raise ImageError(f"{self.path} has no frame in that part: give another --start or --end")

    def first_picture(self) -> np.ndarray:
        """The first frame. Instead of the frames."""
        return next(self.frames()).pixels


class AnimationWriter(contextlib.AbstractContextManager):
    """An animated picture that is written at the end of a block; its frames stay in memory until then.

    Methods and attributes are those of :class:`imaging.film_writing.FilmWriter`; ``size`` comes with the first frame.
    The ending is .gif, .webp, .png or .avif; it is shown ``loop`` times, 0 for ever, ``None`` once.
    """

    def __init__(self, file: BinaryIO, ending: str, loop: int | None = 0, quality: int | None = None):
        self._file, self._format = file, Image.registered_extensions()[ending]
        # WebP's kmax has each frame whole: differences lose transparency.
        self._options = encoder_options(ending, quality) | {"save_all": True, "kmax": 1}
        if loop is not None:
            self._options["loop"] = loop
        self._frames, self._durations = [], []
        self.remarks: list[str] = []

    def __exit__(self, kind, *exception):
        if kind is None and self._frames:
            durations = self._durations if len(self._frames) > 1 else self._durations[0]
            first, *others = self._frames
            if any("transparency" in frame.info for frame in self._frames):
                self._options["disposal"] = 2  # of a GIF: each frame begins with nothing
            first.save(self._file, self._format, append_images=others, duration=durations, **self._options)

    def write(self, frame: Frame) -> None:
        image = Image.fromarray(frame.pixels)
        self.size = image.size
        self._frames.append(_with_palette(image) if self._format == "GIF" else image)
        self._durations.append(max(1, round(frame.duration * 1000)))

    def write_rest(self) -> None:
        """An animated picture has no sound."""


def _with_palette(image: Image.Image) -> Image.Image:
    """A picture in 256 colours; one of them for what is more transparent than not."""
    if image.mode == "RGB":
        return image.quantize(256)
    result = image.convert("RGB").quantize(255)
    result.paste(255, mask=image.getchannel("A").point([255] * 128 + [0] * 128))
    result.info["transparency"] = 255
    return result
