"""Sound and subtitles of a film on their way into another file: copied packet by packet, or converted."""

import collections
import contextlib
from fractions import Fraction

from imaging.films import FilmReader

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""That encoders know, by the number of channels, which is all that some films say."""

_NOT_IN_MP4 = ("pcm_", "truehd", "mlp")  # as most players have it

_GAP = 0.1  # seconds without sound that are more than a rounded time stamp

_TEXT_SUBTITLES = ("subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text")
_KINDS = {
    "video": "further pictures", "data": "data such as time codes", "attachment": "attached files", "audio": "sound",
    "subtitle": "subtitles",
}  # fmt: skip

_OWN_ERRORS = 2**16
"""FFmpeg's own error numbers, such as that of damaged data, are larger; the system's (errno) are smaller."""


class CopiedStreams:
    """The streams of a film beside its pictures, in another container, of ``av``, which is written.

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
        # Players that do not know PCM in MP4, which is newer than they are, play it as noise.
        if not (self._container.format.name == "mp4" and name.startswith(_NOT_IN_MP4)):
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
                    # FFmpeg refuses a packet as well.
                    if error.errno < _OWN_ERRORS and not isinstance(error, self._film.av.error.ArgumentError):
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
            # Time stamps of packets may be rounded, or absent: samples are counted, until there is a gap.
            time, expected = self._film.time_of(sound.pts, sound.time_base), self._heard.get(stream, 0)
            if time is None or (stream in self._heard and abs(time - expected) < _GAP):
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
