"""Films to files: frames encoded, with the sound and subtitles of the film that they were made of."""

import collections
import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from imaging.film_colours import BT709, EXACT, FULL, LIMITED, tags
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

_METADATA_OF_FILES = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "DURATION")


def largest_quality(ending: str) -> int:
    return _FORMATS[ending][1][2]


class FilmWriter(contextlib.AbstractContextManager):
    """A film that is written frame by frame, in a block: H.264 in MP4, QuickTime or Matroska; VP9 in WebM.

    4:2:0, BT.709, limited range; odd sides get a row or column more, a copy of the last. The file is whole once the
    block is left. :class:`OSError` is raised if it cannot be written, by the methods too.

    Args:
        ending: one of :data:`FILM_FORMATS`.
        rate: frames a second, on average; times are those of the frames, multiples of ``time_base``, in seconds.
        film: what sound, subtitles, chapters, metadata and tags of colour are taken from.
        quality: constant-rate factor, 0 to 51, of VP9 to 63, less is better; left out, 18 and 24.

    Attributes:
        size: (width, height) of the file.
        remarks: sentences on what of the film is not, or not unchanged, in the file.
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
                    target.metadata.update({key: text for key, text in source.items() if key not in _METADATA_OF_FILES})
                self._others = _CopiedStreams(film, self._container, sound, text)
                if not film.start and film.end == math.inf:
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
        pixels = frame.pixels
        height, width, channels = pixels.shape
        if channels == 4:  # on white
            alpha = pixels[..., 3:].astype(np.float32) / 255
            pixels = (pixels[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # 4:2:0 needs even sides
        planes = self._av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
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
                self._others.write(self._film.end - self._film.start)

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


_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layouts that encoders know, by their number of channels: some films say no more."""

_TEXT_SUBTITLES = ("subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text")
_KINDS = {
    "video": "further pictures", "data": "data such as time codes", "attachment": "attached files", "audio": "sound",
    "subtitle": "subtitles",
}  # fmt: skip


class _CopiedStreams:
    """Sound and subtitles of a film, copied or converted into another container of ``av``.

    ``sound`` and ``text`` encode what the container does not take as it is; ``remarks`` are sentences on what was
    converted or left out.
    """

    def __init__(self, film: FilmReader, container, sound: str, text: str):
        self._film, self._container, self._sound, self._text = film, container, sound, text
        self.remarks: list[str] = []
        self._copies, self._encoders, self._heard, self._waiting = {}, {}, {}, []
        for stream in film.others:
            target = self._target(stream)
            if target is not None:
                target.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
                target.disposition = stream.disposition.value
        others = [stream for stream in film.container.streams if stream not in (film.stream, *film.others)]
        if film.container.chapters():  # which are copied as such; in MP4 their text is a stream as well
            others = [stream for stream in others if (stream.type, stream.name) != ("data", "bin_data")]
        if others:
            counts = sorted(collections.Counter(stream.type for stream in others).items())
            what = ", ".join(f"{_KINDS.get(kind, kind)} ({count})" for kind, count in counts)
            self._remark(f"left out: {what}")

    def _remark(self, text: str) -> None:
        self.remarks.append(f"{self._film.path}: {text}")

    def _target(self, stream):
        """A stream of the container, which takes packets as they are or those of an encoder; ``None`` for neither."""
        name = stream.codec_context.name
        if stream.type == "audio" and not (stream.rate and stream.channels):
            return self._remark("left out: sound of which nothing could be read")
        # Players that do not know PCM in MP4, which is newer than they are, play it as noise; few know TrueHD there.
        if not (self._container.format.name == "mp4" and name.startswith(("pcm_", "truehd", "mlp"))):
            with contextlib.suppress(ValueError):  # not in this container
                self._copies[stream] = self._container.add_stream_from_template(stream, opaque=True)
                return self._copies[stream]
        if stream.type == "audio":
            layout = _LAYOUTS.get(stream.channels)
            if layout is None:
                return self._remark(f"left out: sound of {stream.channels} channels, which {self._sound} does not take")
            # The next rate that the encoder takes; the highest if all are lower.
            rates = self._film.av.codec.Codec(self._sound, "w").audio_rates
            rate = min(rates, key=lambda rate: (rate < stream.rate, abs(rate - stream.rate)))
            target = self._container.add_stream(self._sound, rate=rate, layout=layout)
            target.bit_rate = 96000 * stream.channels
            self._remark(f"sound, {name}, which not every player reads in this format, is converted to {self._sound}")
        elif name in _TEXT_SUBTITLES:
            target = self._container.add_stream(self._text)
            stream.codec_context.open(strict=False)
            # FFmpeg reads up to a zero, which PyAV leaves out.
            target.codec_context.subtitle_header = (stream.codec_context.subtitle_header or b"") + b"\0"
            target.codec_context.time_base = Fraction(1, 1000)
            self._remark(f"subtitles, {name}, which the format does not hold, are converted to {self._text}")
        else:
            return self._remark(f"left out: subtitles, {name}, which the format does not hold")
        self._encoders[stream] = target
        return target

    def write(self, until: float) -> None:
        """Write what was read so far and begins before a time, in seconds of the result."""
        while self._film.packets:
            self._waiting.append(self._film.packets.popleft())
        packets, self._waiting = self._waiting, []
        for packet in packets:
            time = self._film.time_of(packet.dts if packet.pts is None else packet.pts, packet.time_base)
            if time >= until:
                self._waiting.append(packet)
            elif time >= 0 or not self._film.start:
                try:
                    self._write(packet)
                except self._film.av.FFmpegError as error:
                    # The system's errors are of the file that is written, such as a full disk; all but EINVAL, by which
                    # FFmpeg refuses a packet as well. FFmpeg's own have larger numbers.
                    if error.errno < 2**16 and not isinstance(error, self._film.av.error.ArgumentError):
                        raise
                    self._film.note_damage(error.strerror)

    def finish(self) -> None:
        """Write what decoders and encoders of sound hold back."""
        for stream, target in self._encoders.items():
            if stream.type == "audio":
                self._convert_sound(None, stream)
                self._container.mux(target.encode())

    def _write(self, packet) -> None:
        stream, shift = packet.stream, round((self._film.origin + self._film.start) / packet.time_base)
        if stream in self._copies:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts -= shift
            packet.stream = self._copies[stream]
            self._container.mux(packet)
        elif stream not in self._encoders:
            return
        elif stream.type == "audio":
            self._convert_sound(packet, stream)
        elif subtitle := self._film.decoded(packet, stream.codec_context.decode2):
            encoded = self._encoders[stream].codec_context.encode_subtitle(subtitle)
            encoded.stream, encoded.time_base = self._encoders[stream], packet.time_base
            encoded.pts = encoded.dts = packet.pts - shift
            encoded.duration = packet.duration
            self._container.mux(encoded)

    def _convert_sound(self, packet, stream) -> None:
        for sound in self._film.decoded(packet, stream.decode):
            # Time stamps of packets may be rounded, or absent: samples are counted, until a gap of more than 0.1 s.
            time, expected = self._film.time_of(sound.pts, sound.time_base), self._heard.get(stream, 0)
            if time is None or (stream in self._heard and abs(time - expected) < 0.1):
                time = expected
            sound.time_base, sound.pts = Fraction(1, sound.sample_rate), round(time * sound.sample_rate)
            self._heard[stream] = time + Fraction(sound.samples, sound.sample_rate)
            self._container.mux(self._encoders[stream].encode(_with_layout(sound)))


def _with_layout(sound):
    """Sound that says which of its channels is which, as encoders want to know."""
    count = sound.layout.nb_channels
    if sound.layout.name != f"{count} channels" or count not in _LAYOUTS:
        return sound
    named = type(sound).from_ndarray(sound.to_ndarray(), format=sound.format.name, layout=_LAYOUTS[count])
    named.sample_rate, named.pts, named.time_base = sound.sample_rate, sound.pts, sound.time_base
    return named
