"""Films: their frames as RGB, upright, with their time stamps, and their sound; needs the package ``av`` (PyAV)."""

import collections
import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from config import MAX_PIXELS
from imaging.film_colours import is_converted, to_bt709
from imaging.formats import in_words
from imaging.reading import faults_of
from utils.errors import ImageError, optional
from utils.file_kinds import refuse_url

FILM_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".vob", ".wmv", ".asf", ".flv",
    ".f4v", ".ogv", ".ogm", ".3gp", ".3g2", ".mxf", ".y4m", ".qt", ".divx", ".dv", ".mpe", ".m1v", ".m2v", ".rm",
    ".rmvb", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".nut", ".wtv", ".tod", ".trp",
)  # fmt: skip
"""Endings of film files, in lower case; any other is read as well if it is named. Not ``.ts``: most such files are
TypeScript; their first bytes tell."""


def pyav(path: str | Path):
    """The package ``av``, for a film; see :func:`optional`."""
    return optional("av", f"{path}: films need packages, pip install -r requirements-video.txt")


def as_time(seconds: float) -> Fraction:
    """Seconds as the fraction that was meant: 7/5 of 1.4."""
    return Fraction(seconds).limit_denominator(10**6)


def in_seconds(seconds: float) -> str:
    """A time for people, such as ``1:23.4``."""
    minutes, rest = divmod(round(float(seconds), 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


@dataclass
class Frame:
    """A picture of a film."""

    pixels: np.ndarray  # H x W x 3, uint8, RGB; or x 4, with transparency
    time: Fraction  # seconds from the beginning of the film, or of the part of it that was asked for
    duration: Fraction  # seconds, 0 where the film does not say


class FilmReader(contextlib.ExitStack):
    """A film that is read frame by frame, in a block.

    Args:
        start, end: seconds; frames from ``start`` on and before ``end`` are read.
        max_pixels: refuse larger frames.
        sound: read sound and subtitles as well.

    Attributes:
        container, stream: of ``av``; the stream of the pictures.
        size, pixel_aspect: (width, height) of the frames, and width of a pixel over its height, upright.
        rate: frames a second, on average.
        total, seconds: of the part that was asked for, frames and length, if the file tells; or ``None``.

    Raises:
        UserError: where ``av`` is not installed.
        ImageError: naming the file, if it is no film that can be read, or has nothing between start and end.
    """

    def __init__(
        self,
        path: str | Path,
        start: float | None = None,
        end: float | None = None,
        max_pixels: int = MAX_PIXELS,
        sound: bool = False,
    ):
        super().__init__()
        refuse_url(path)
        self.path, self.start, self.end = Path(path), as_time(start or 0), math.inf if end is None else as_time(end)
        self._remarks: dict[str, str] = {}
        self.packets = collections.deque()  # of ``others``, read on the way to the frames; whoever takes one removes it
        self.av = pyav(path)
        with faults_of(path, max_pixels, "film"):
            # A list of other files or addresses is not followed.
            options = {"protocol_whitelist": "file"}
            self.container = self.av.open(f"file:{path}", options=options, metadata_errors="replace")
        self.callback(self.container.close)
        try:
            self._open(max_pixels, sound)
        except BaseException:
            self.close()
            raise

    def _open(self, max_pixels: int, with_sound: bool) -> None:
        path, streams = self.path, self.container.streams
        pictures = [stream for stream in streams.video if not stream.disposition.value & 0x400]  # which is a cover
        best = streams.best("video")
        self.stream = best if best in pictures else next(iter(pictures), None)
        if self.stream is None or self.stream.codec_context is None:
            raise ImageError(f"{path} has no moving pictures that can be read here: give a film")
        if (pixels := self.stream.width * self.stream.height) > max_pixels:
            raise ImageError(
                f"{path} has {pixels} pixels a frame, more than --max_pixels {max_pixels}: reduce it, or give a larger "
                "--max_pixels"
            )
        # FFmpeg's usual threads, a frame each, lose all the frames that they hold when one of these is damaged.
        self.stream.thread_type = "SLICE"
        others = [*streams.audio, *streams.subtitles] if with_sound else []
        self.others = [stream for stream in others if stream.codec_context is not None]  # that are read
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        flags = self.av.format.Flags
        if flags.no_timestamps.value & self.container.format.flags:  # a codec's stream alone, which says
            self.rate = self.stream.codec_context.framerate or self.rate
        # The file's time of the film's beginning, seconds. Elsewhere than in broadcast a late start is meant.
        discontinuous = flags.ts_discont.value & self.container.format.flags
        self.origin = Fraction(self.container.start_time or 0, 10**6) if discontinuous else Fraction(0)
        length = self.container.duration and Fraction(self.container.duration, 10**6)
        if length and self.start >= length:
            raise ImageError(f"{path} ends at {in_seconds(length)}, before --start {in_seconds(self.start)}")
        self.seconds = length and min(length, self.end) - self.start
        in_part = self.start or self.end < math.inf
        self.total = None if in_part else self.stream.frames or None
        if not self.total and self.seconds:
            self.total = max(1, round(self.seconds * self.rate))
        if self.start:
            with contextlib.suppress(self.av.FFmpegError):  # read from the beginning then
                self.container.seek(int((self.start + self.origin) * 10**6))
        self._decoded = self.enter_context(contextlib.closing(self._decode()))
        self.first, self._coded = next(self._decoded, (None, None))
        if self.first is None:
            where = " in that part" if in_part else ""
            raise ImageError(f"{path} has no picture that can be read{where}: give another film")
        self.converted = is_converted(self.first)  # in words: how the film's colours differ from its frames'
        self.size, self.pixel_aspect = self._coded[:2], self.stream.sample_aspect_ratio or Fraction(1)
        if _display_matrix(self.first)[0]:
            self.size, self.pixel_aspect = self.size[::-1], 1 / self.pixel_aspect

    @property
    def remarks(self) -> list[str]:
        """Sentences on what could not be read, once the frames were."""
        return list(self._remarks.values())

    def frames(self) -> Iterator[Frame]:
        """The frames, once."""
        before, usual = None, 1 / self.rate
        picture, coded = self.first, self._coded
        while picture is not None:
            time = self.time_of(picture.pts, picture.time_base)
            if time is None or (before is not None and time <= before):  # damaged, or a stream without time stamps
                time = Fraction(0) if before is None else before + usual
            before, duration = time, (picture.duration or 0) * (picture.time_base or Fraction(0))
            if picture.pts is None and duration:
                usual = duration
            if picture.interlaced_frame:
                self._remark(
                    "fields", "is interlaced: each frame is painted with both of its fields; deinterlace it first"
                )
            yield Frame(self._upright(picture, coded), time, duration)
            picture, coded = next(self._decoded, (None, None))
        own = self.stream.duration
        length = min(own * self.stream.time_base, self.end) - self.start if own else self.seconds
        if self.seconds and before + 1 + 2 / self.rate < length and "damage" not in self._remarks:
            part = f"{in_seconds(before)} of {in_seconds(self.seconds)}"
            self._remark("end", f"ends at {part}: the rest of it is missing")

    def _upright(self, picture, coded: tuple[int, int, Fraction]) -> np.ndarray:
        """H x W x 3, uint8, of the film's size, as players show a picture."""
        pixels = to_bt709(picture) if coded == self._coded else self._fitted(picture, coded)  # as broadcast may change
        transposed, mirrored, flipped = _display_matrix(self.first)
        if transposed:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if flipped else 1, :: -1 if mirrored else 1]

    def _fitted(self, picture, coded: tuple[int, int, Fraction]) -> np.ndarray:
        """A picture of another size, at its own proportions, on black."""
        (width, height, aspect), (own_width, own_height, own_aspect) = self._coded, coded
        self._remark(
            "size", f"changes its size: frames of {own_width} x {own_height} are fitted into {width} x {height}"
        )
        wide = own_width * own_aspect / aspect
        scale = min(width / wide, Fraction(height, own_height))
        size = max(1, round(wide * scale)), max(1, round(own_height * scale))
        pixels = np.zeros((height, width, 3), np.uint8)
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        pixels[top : top + size[1], left : left + size[0]] = to_bt709(picture, size)
        return pixels

    def first_picture(self) -> np.ndarray:
        """The first frame that is more than one plain colour, of the first 250; or the first. Instead of the frames."""
        first = None
        for frame in itertools.islice(self.frames(), 250):
            first = frame.pixels if first is None else first
            if frame.pixels[::8, ::8].std() > 8:
                return frame.pixels
        return first

    def time_of(self, stamp: int | None, time_base: Fraction | None) -> Fraction | None:
        """Seconds since the beginning of the part that was asked for, of a time stamp of the file, if there is one."""
        return None if stamp is None or not time_base else stamp * time_base - self.origin - self.start

    def _decode(self):
        """Decoded pictures of the part that was asked for; what is read of other streams goes to ``packets``.

        Each with width, height, and width of a pixel over its height, as the codec says.
        """
        usual_aspect, aspects = None, {}  # by time stamp, for pictures where it is another one
        end, ended = self.end - self.start, False
        sound = {stream for stream in self.others if stream.type == "audio"}  # that has not come to the end yet
        for packet in self._read():
            time = packet and self.time_of(packet.dts, packet.time_base)
            if packet is not None and packet.stream is not self.stream:
                if time is not None:
                    self.packets.append(packet)
                    if time >= end:
                        sound.discard(packet.stream)
                continue
            if ended:  # but sound of the part may come later in the file, by seconds
                if not sound or (time or 0) >= end + 10:
                    return
                continue
            pictures = self.decoded(packet, self.stream.decode)
            aspect = self.stream.codec_context.sample_aspect_ratio or Fraction(1)
            usual_aspect = usual_aspect or aspect
            if packet is not None and packet.pts is not None and aspect != usual_aspect:
                aspects[packet.pts] = aspect
            for picture in pictures:
                if picture.is_corrupt:
                    self.note_damage("a picture is incomplete")
                time = self.time_of(picture.pts, picture.time_base)
                if time is not None and time < 0 and self.start:
                    continue
                if time is not None and time >= end:
                    ended = True
                    break
                yield picture, (picture.width, picture.height, aspects.pop(picture.pts, usual_aspect))

    def _read(self) -> Iterator:
        """Packets of the streams; after damage, ``None``, with which the decoder gives what it holds back."""
        try:
            yield from self.container.demux([self.stream, *self.others])
        except (self.av.FFmpegError, OSError) as error:
            self.note_damage(in_words(error))
            yield None

    def decoded(self, packet, decode: Callable) -> Sequence:
        """What a packet, or at the end ``None``, decodes to; nothing, with a remark, where it is damaged."""
        try:
            return decode(packet)
        except self.av.FFmpegError as error:
            self.note_damage(in_words(error))
            return ()

    def note_damage(self, reason: str) -> None:
        """Remark, once, that something of the film cannot be read."""
        self._remark("damage", f"is damaged ({reason}): what can be read of it is taken")

    def _remark(self, subject: str, text: str) -> None:
        self._remarks.setdefault(subject, f"{self.path} {text}")


def _display_matrix(picture) -> tuple[bool, bool, bool]:
    """How players show a picture: transposed, then mirrored from left to right, then flipped from top to bottom.

    The matrix (ISO/IEC 14496-12, section 8.3.2) takes column p and row q to column a p + c q and row b p + d q. It is
    rounded to the nearest of the eight that need no resampling.
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float)
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    column, row = (c, b) if transposed else (a, d)
    return transposed, column < 0, row < 0
