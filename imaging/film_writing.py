"""Films to files: frames encoded, with the sound and subtitles of the film that they were made of."""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from imaging.film_colours import BT709, EXACT, FULL, LIMITED, tags
from imaging.film_streams import CopiedStreams
from imaging.films import FilmReader, Frame, pyav

_X264 = ("libx264", 18, 51, {"preset": "fast"})
_VP9 = ("libvpx-vp9", 24, 63, {"row-mt": "1", "cpu-used": "4", "b": "0"})
_FORMATS = {
    ".mp4": ("mp4", _X264, "aac", "mov_text"),
    ".mov": ("mov", _X264, "aac", "mov_text"),
    ".mkv": ("matroska", _X264, "aac", "ass"),
    ".webm": ("webm", _VP9, "libopus", "webvtt"),
}
"""By ending: the container; the encoder of pictures, its usual constant-rate factor, the largest, and its options; the
encoders of sound and of subtitles that the container does not take as they are."""

FILM_FORMATS = tuple(_FORMATS)

_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "DURATION")
"""Metadata that are of the old file rather than of the film."""


def largest_quality(ending: str) -> int:
    """The largest constant-rate factor of a film format."""
    return _FORMATS[ending][1][2]


class FilmWriter(contextlib.AbstractContextManager):
    """A film that is written frame by frame, in a block: H.264 in MP4, QuickTime or Matroska; VP9 in WebM.

    4:2:0, BT.709, limited range; odd sides get a row or column more, a copy of the last. Sound and subtitles are
    copied packet by packet where the container takes them, and converted where it does not. The file is whole once
    the block is left.

    Args:
        ending: one of :data:`FILM_FORMATS`.
        rate: frames a second, on average; times are those of the frames.
        time_base: seconds that times are multiples of.
        film: what sound, subtitles, chapters, metadata and tags of colour are taken from.
        quality: constant-rate factor, 0 to 51, of VP9 to 63, less is better; left out, 18 and 24.

    Attributes:
        size: (width, height) of the file.
        remarks: sentences on what of the film is not, or not unchanged, in the file.

    Raises:
        OSError: if the file cannot be written; so do the methods.
    """

    def __init__(
        self,
        path: str | Path,
        ending: str,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction,
        film: FilmReader | None = None,
        quality: int | None = None,
    ):
        self._av = pyav("the result")
        self._time_base, self._film = time_base, film
        container, (codec, usual, _, options), sound, text = _FORMATS[ending]
        metadata = {} if film is None else dict(film.container.metadata)
        self.size = tuple(side + side % 2 for side in size)
        # PyAV would never close a file for whose first bytes, up to 64 KiB, there is no room.
        Path(path).write_bytes(bytes(2**16))
        # The table of MP4 that has room for a camera's name has none for what players look for in the usual one.
        camera = any(key in ("make", "model") or key.startswith("com.") for key in metadata)
        flags = "faststart+use_metadata_tags" if camera else "faststart"
        options_of_file = {"movflags": flags} if container in ("mp4", "mov") else {}
        with self._faults():
            self._container = self._av.open(f"file:{path}", "w", format=container, options=options_of_file)
            crf = str(usual if quality is None else quality)
            self._stream = self._container.add_stream(codec, rate=rate, options={**options, "crf": crf})
            context = self._stream.codec_context
            context.width, context.height = self.size
            context.pix_fmt, context.time_base = "yuv420p", time_base
            for name, value in tags(None if film is None else film.first).items():
                setattr(context, name, value)
            self._others = None
            if film is not None:
                context.sample_aspect_ratio = film.pixel_aspect
                for target, source in ((self._container, metadata), (self._stream, film.stream.metadata)):
                    target.metadata.update({key: text for key, text in source.items() if key not in _OF_THE_FILE})
                self._others = CopiedStreams(film, self._container, sound, text)
                if not film.start and film.end is None:
                    self._container.set_chapters(film.container.chapters())
        self.remarks = self._others.remarks if self._others else []

    def __exit__(self, kind, *exception):
        try:
            if kind is None:
                with self._faults():
                    self._container.mux(self._stream.encode())
                    if self._others:
                        self._others.finish()
                    self._container.close()
        finally:
            for _ in range(2):  # PyAV closes the file only once what it still has to write has failed
                with contextlib.suppress(self._av.FFmpegError, OSError):
                    self._container.close()

    def write(self, frame: Frame) -> None:
        """Encode a frame, later than the one before, and write the sound up to its end."""
        planes = self._av.VideoFrame.from_ndarray(_even(frame.pixels), format="rgb24").reformat(
            format="yuv444p", src_color_range=FULL, dst_colorspace=BT709, dst_color_range=LIMITED, interpolation=EXACT
        )
        picture = self._av.VideoFrame.from_ndarray(_halved_chroma(planes.to_ndarray()), format="yuv420p")
        picture.time_base, picture.pts = self._time_base, round(frame.time / self._time_base)
        picture.duration = round(frame.duration / self._time_base)
        with self._faults():
            self._container.mux(self._stream.encode(picture))
            if self._others:
                self._others.write(frame.time + (frame.duration or 0))

    def write_rest(self) -> None:
        """Write what there is of sound and subtitles after the last frame, to the end of what was asked for."""
        if self._others:
            with self._faults():
                end = self._film.end
                self._others.write(math.inf if end is None else end - self._film.start)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except self._av.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from None


def _halved_chroma(planes: np.ndarray) -> np.ndarray:
    """3 x H x W, uint8, YUV, as 4:2:0, 3/2 H x W: chroma lies on the left of two pixels, as H.264 has it.

    swscale would put it between the two, and no tag that PyAV can set says so.
    """
    luma, chroma = planes[0], planes[1:].astype(np.uint16)
    rows = chroma[:, ::2] + chroma[:, 1::2]
    before = np.concatenate([rows[..., :1], rows[..., 1:-1:2]], -1)
    halved = (before + 2 * rows[..., ::2] + rows[..., 1::2] + 4) >> 3
    return np.concatenate([luma.ravel(), halved.astype(np.uint8).ravel()]).reshape(-1, luma.shape[1])


def _even(pixels: np.ndarray) -> np.ndarray:
    """H x W x 3 or 4 as H x W x 3, the last row and column doubled where they are odd, as 4:2:0 needs."""
    if pixels.shape[2] == 4:  # on white
        alpha = pixels[..., 3:].astype(np.float32) / 255
        pixels = (pixels[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
