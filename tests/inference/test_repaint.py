"""Films from file to file: sound, subtitles, time stamps, rotation, colours, parts, what is broken."""

import hashlib
import itertools
import os
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

av = pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")

from imaging.films import FilmReader  # noqa: E402
from inference.batch import parse_time  # noqa: E402
from inference.options import StyleOptions, StylizeError  # noqa: E402
from inference.repaint import repaint_film  # noqa: E402
from inference.stylizer import Stylizer  # noqa: E402
from utils.errors import ImageError, UserError  # noqa: E402

AS_IT_IS = StyleOptions(strength=0)


@pytest.fixture(scope="module")
def stylizer(trained_like):
    return Stylizer(trained_like("instance", width=0.25), device="cpu", precision="float32")


@pytest.fixture
def copy(stylizer, tmp_path):
    """``copy(film, ending, ...)``: the film through everything but the network; the path of the result, and what the
    function returned."""

    def run(film, ending=".mp4", **settings):
        target = tmp_path / f"result{ending}"
        return target, repaint_film(stylizer, film, target, AS_IT_IS, **settings)

    return run


def stamps(path):
    with av.open(str(path)) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


def pixels(path):
    with FilmReader(path) as film:
        return [frame.pixels for frame in film.frames()]


def packets(path, kind):
    """Fingerprint and time of each packet of the first stream of a kind."""
    with av.open(str(path)) as film:
        stream = next(stream for stream in film.streams if stream.type == kind)
        return [
            (hashlib.sha256(bytes(packet)).hexdigest(), float(packet.pts * packet.time_base))
            for packet in film.demux(stream) if packet.size
        ]  # fmt: skip


def codec_of(path, kind):
    with av.open(str(path)) as film:
        return next(stream.codec_context for stream in film.streams if stream.type == kind)


# -- pictures -------------------------------------------------------------------------------------------------------


def test_each_frame_is_what_the_engine_makes_of_it(stylizer, make_film, tmp_path):
    film, target = make_film(frames=3), tmp_path / "result.mp4"
    seen = []
    result = repaint_film(stylizer, film, target, on_frame=lambda *counts: seen.append(counts), quality=1)
    assert seen == [(1, 3), (2, 3), (3, 3)] and result.frames == 3 and result.size == (64, 48) and result.seconds > 0
    for before, after in zip(pixels(film), pixels(target), strict=True):
        tensor = torch.from_numpy(before.copy()).permute(2, 0, 1)[None]
        expected = stylizer.stylize_tensor(tensor)[0].permute(1, 2, 0).numpy()
        low = expected.reshape(12, 4, 16, 4, 3).mean((1, 3)) - after.reshape(12, 4, 16, 4, 3).mean((1, 3))
        assert np.abs(low).mean() < 4  # but for what 4:2:0 leaves out of a painting's colours
        assert np.abs(expected.astype(float) - before).mean() > 20


@pytest.mark.parametrize("times", [[0, 40, 47, 200, 233, 900, 933, 1000], [500, 540, 580]])
def test_time_stamps_of_a_variable_frame_rate_and_of_a_late_first_frame(copy, make_film, times):
    film = make_film(times=times)
    target, result = copy(film)
    assert stamps(target) == stamps(film) == [Fraction(time, 1000) for time in times]
    assert result.frames == len(times)


def test_mpeg_ts_begins_at_nothing(copy, make_film):
    """Broadcast counts from anywhere, pictures and sound alike."""
    film = make_film("film.ts", sound="aac", times=[5000 + 40 * number for number in range(8)])
    assert stamps(film)[0] > 1
    target, result = copy(film)
    assert 0 <= stamps(target)[0] < 0.2 and list(np.diff(stamps(target))) == list(np.diff(stamps(film)))
    offset = [float(stamps(path)[0]) - packets(path, "audio")[0][1] for path in (film, target)]
    assert offset[0] == pytest.approx(offset[1], abs=0.002)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0),
     (0, -1, -1, 0)],
)  # fmt: skip
def test_the_display_matrix_is_applied_once(copy, make_film, matrix):
    """Column p and row q go to column a p + c q and row b p + d q, as far as they are not negative then."""
    drawn, (a, b, c, d) = pixels(make_film())[0], matrix
    rows, columns = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
    to_columns, to_rows = a * columns + c * rows, b * columns + d * rows
    to_columns, to_rows = to_columns - to_columns.min(), to_rows - to_rows.min()
    expected = np.zeros((to_rows.max() + 1, to_columns.max() + 1, 3), int)
    expected[to_rows, to_columns] = drawn
    target, result = copy(make_film(matrix=matrix))
    assert result.size == (expected.shape[1], expected.shape[0])
    with av.open(str(target)) as container:
        assert "DISPLAYMATRIX" not in next(container.decode(video=0)).side_data
    assert np.abs(pixels(target)[0] - expected).mean() < 2


def test_a_change_of_size_keeps_proportions(copy, make_film, tmp_path):
    """Broadcast: the second half is wider, then its pixels are; both are shown with bars above and below."""
    parts = [
        make_film("a.ts", frames=3),
        make_film("b.ts", frames=3, size=(96, 48), times=[120, 160, 200]),
        make_film("c.ts", frames=3, times=[240, 280, 320], colours={"sample_aspect_ratio": Fraction(3, 2)}),
    ]
    film = tmp_path / "film.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    target, result = copy(film)
    assert len(result.remarks) == 1 and "frames of 96 x 48 are fitted into 64 x 48" in result.remarks[0]
    found = pixels(target)
    assert len(found) == 9
    for frame, part in ((found[4], parts[1]), (found[-1], parts[2])):
        expected = np.asarray(Image.fromarray(pixels(part)[-1]).resize((64, 32), Image.Resampling.BICUBIC)).astype(int)
        assert frame[:7].max() < 20 and frame[-7:].max() < 20
        assert np.abs(frame[8:40] - expected).mean() < 6


@pytest.mark.parametrize("size", [(64, 47), (63, 47), (1, 1)])
def test_odd_sides_get_a_row_or_column_more(stylizer, tmp_path, size):
    """Drawn as a GIF, for H.264 has no odd sides."""
    film, target = tmp_path / "odd.gif", tmp_path / "odd.mp4"
    image = Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 50).convert("RGB")
    image.save(film, save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)], duration=[40, 60])
    result = repaint_film(stylizer, film, target, AS_IT_IS, quality=1)
    found = pixels(target)
    height, width = found[0].shape[:2]
    assert result.size == (width, height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert result.source_size == size
    if size[0] % 2:
        assert np.abs(found[0][:, -1].astype(int) - found[0][:, -2]).mean() < 8
    assert np.abs(found[0][: size[1], : size[0]].astype(int) - np.asarray(image)).mean() < 4


@pytest.mark.parametrize(
    "colours, pix_fmt",
    [
        ({}, "yuv420p"),
        ({"colorspace": 6, "color_range": 1, "color_primaries": 6, "color_trc": 6}, "yuv420p"),
        ({"colorspace": 1, "color_range": 2}, "yuv444p"),
        ({"colorspace": 1, "color_range": 1}, "yuv420p10le"),
    ],
)
def test_colours_are_read_right_and_tagged_right(copy, make_film, draw_scene, colours, pix_fmt):
    film = make_film(frames=2, colours=colours, pix_fmt=pix_fmt)
    drawn = draw_scene(64 + 4, 48 + 2, 1)[:48, :64].astype(int)
    target, result = copy(film)
    before, after = pixels(film)[0].astype(int), pixels(target)[0]
    # The film that was drawn is off by swscale's own, in full range, and has its chroma half a pixel to the right.
    for one, other, mean, bias in ((before, drawn, 2, 1.8), (after, before, 1.5, 0.8)):
        assert np.abs(one - other).mean() < mean and np.abs((one - other).mean((0, 1))).max() < bias
    context = codec_of(target, "video")
    assert (context.colorspace, context.color_range, context.pix_fmt) == (1, 1, "yuv420p")
    assert context.color_primaries == colours.get("color_primaries", 1) and not result.notes


def test_pixels_that_are_not_square_and_metadata(copy, make_film):
    place = "+48.1000+011.5000/"
    about = {
        "title": "a walk", "creation_time": "2021-10-26T21:02:20.000000Z", "location": place, "make": "Maker",
        "com.apple.quicktime.model": "Phone", "comment": "ü",
    }  # fmt: skip
    target, _ = copy(make_film(metadata=about, colours={"sample_aspect_ratio": Fraction(4, 3)}))
    with av.open(str(target)) as container:
        assert {key: container.metadata.get(key) for key in about} == about
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_a_mask(stylizer, make_film, tmp_path):
    film, target = make_film(frames=2), tmp_path / "result.mp4"
    mask = Image.new("L", (64, 48))
    mask.paste(255, (32, 0, 64, 48))
    repaint_film(stylizer, film, target, StyleOptions(mask=mask), quality=1)
    change = np.abs(pixels(target)[1].astype(int) - pixels(film)[1])
    assert change[:, :24].mean() < 3 < 15 < change[:, 40:].mean()
    with pytest.raises(StylizeError, match="mask is 10 x 48"):
        repaint_film(stylizer, film, tmp_path / "other.mp4", StyleOptions(mask=Image.new("L", (10, 48))))
    assert not (tmp_path / "other.mp4").exists()


# -- sound and subtitles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, codec, ending",
    [("film.mp4", "aac", ".mp4"), ("film.mkv", "libopus", ".webm"), ("film.avi", "libmp3lame", ".mp4"),
     ("film.mkv", "pcm_s16le", ".mkv")],
)  # fmt: skip
def test_sound_is_copied_bit_for_bit(copy, make_film, name, codec, ending):
    film = make_film(name, frames=20, sound=codec)
    target, result = copy(film, ending)
    before, after = packets(film, "audio"), packets(target, "audio")
    assert [fingerprint for fingerprint, _ in after] == [fingerprint for fingerprint, _ in before] and before
    assert np.allclose([time for _, time in after], [time for _, time in before], atol=0.002)
    assert not result.notes


@pytest.mark.parametrize(
    "codec, ending, becomes", [("aac", ".webm", "opus"), ("wmav2", ".mp4", "aac"), ("pcm_s24le", ".mp4", "aac")]
)
def test_sound_that_not_every_player_reads_is_converted(copy, make_film, codec, ending, becomes):
    film = make_film("film.avi", frames=25, sound=codec)
    target, result = copy(film, ending)
    assert codec_of(target, "audio").name == becomes
    assert [note for note in result.notes if "sound" in note and "is converted to" in note]
    lengths = []
    for path in (film, target):
        with av.open(str(path)) as container:
            heard = np.concatenate(
                [frame.to_ndarray().reshape(-1, frame.samples)[0] for frame in container.decode(audio=0)]
            )
            lengths.append(len(heard))
    spectrum = np.abs(np.fft.rfft(heard[4800:43200]))
    assert spectrum.argmax() * 48000 / 38400 == pytest.approx(440, abs=3)
    assert 0 <= lengths[1] - lengths[0] < 2048  # to its end, in whole packets


@pytest.mark.parametrize(
    "rate, layout, ending, becomes",
    [(192_000, "stereo", ".mp4", (96_000, 2)), (5_000, "mono", ".mp4", (7_350, 1)),
     (48_000, "quad", ".webm", (48_000, 4)), (48_000, "22.2", ".mp4", None)],
)  # fmt: skip
def test_sound_that_no_encoder_takes_as_it_is(copy, make_film, rate, layout, ending, becomes):
    """The next rate, or no sound: it never costs the film."""
    target, result = copy(make_film("film.mkv", sound="pcm_s16le", rate=rate, layout=layout), ending)
    with av.open(str(target)) as container:
        assert [(stream.rate, stream.channels) for stream in container.streams.audio] == [becomes] * bool(becomes)
    assert ("is converted to" if becomes else "left out: sound of 24 channels") in result.notes[0]


@pytest.mark.parametrize(
    "name, codec, ending, becomes",
    [("film.mkv", "ass", ".mp4", "mov_text"), ("film.mkv", "subrip", ".webm", "webvtt"),
     ("film.mp4", "mov_text", ".mp4", "mov_text")],
)  # fmt: skip
def test_subtitles(copy, make_film, name, codec, ending, becomes):
    film = make_film(name, subtitles=codec)
    target, result = copy(film, ending)
    name = codec_of(target, "subtitle").name
    assert {"srt": "subrip", "ssa": "ass"}.get(name, name) == becomes
    assert bool(result.notes) == (codec != becomes)
    with av.open(str(target)) as container:
        stream = container.streams.subtitles[0]
        said = [
            (float(packet.pts * packet.time_base), bytes(packet)) for packet in container.demux(stream)
            if b"line" in bytes(packet)
        ]  # fmt: skip
    assert [time for time, _ in said] == pytest.approx([0, 0.1]) and b"line 1" in said[1][1]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_chapters(copy, make_film, ending):
    """The text of an MP4's chapters is a stream, which is no further one."""
    target, result = copy(make_film(chapters=[(0, 160, "one"), (160, 320, "two")]), ending)
    with av.open(str(target)) as container:
        chapters = [(one["metadata"]["title"], float(one["start"] * one["time_base"])) for one in container.chapters()]
    assert chapters == [("one", 0), ("two", 0.16)] and not result.notes


# -- parts ----------------------------------------------------------------------------------------------------------


def test_a_part_with_its_sound(copy, make_film):
    film = make_film(frames=50, sound="aac")
    target, result = copy(film, start=0.6, end=1.4)
    assert result.frames == 20 and result.length == Fraction(8, 10)
    assert stamps(target) == [Fraction(40 * number, 1000) for number in range(20)]
    assert np.abs(pixels(target)[0].astype(int) - pixels(film)[15]).mean() < 2
    whole, part = dict(packets(film, "audio")), packets(target, "audio")
    assert all(whole[fingerprint] - 0.6 == pytest.approx(time, abs=0.001) for fingerprint, time in part)
    assert part[0][1] < 0.022 and 0.75 < part[-1][1] < 0.8


@pytest.mark.parametrize("part, sentence", [({"start": 5}, "ends at 0:00.3"), ({"start": 0.31}, "no picture")])
def test_a_part_that_is_not_there(copy, make_film, tmp_path, part, sentence):
    with pytest.raises(ImageError, match=sentence):
        copy(make_film(), **part)
    assert not (tmp_path / "result.mp4").exists()


def test_times():
    assert [parse_time(text) for text in ("83.4", "1:23.4", "1:02:03", "0")] == [83.4, 83.4, 3723, 0]
    for text in ("", "a", "-1", "1:", ":1", "1:2:3:4", "inf", "nan", "1:-2", " 1"):
        with pytest.raises(ValueError):
            parse_time(text)


def test_stopped_on_the_way_it_plays_so_far_under_another_name(copy, make_film, tmp_path):
    film = make_film(frames=50, sound="aac")
    (tmp_path / "result.mp4").write_bytes(b"earlier")
    for name in ("result_unfinished.mp4", "result_unfinished2.mp4"):
        count = []
        target, result = copy(film, should_stop=lambda: count.append(1) or len(count) == 10)  # noqa: B023
        assert result.stopped and result.frames == 10 and result.length == Fraction(4, 10)
        assert target.read_bytes() == b"earlier" and result.path == tmp_path / name
        assert stamps(result.path) == stamps(film)[:10]
        assert 0.3 < packets(result.path, "audio")[-1][1] < 0.4


# -- what is broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [13, 22])
def test_every_whole_frame_of_a_film_that_is_cut_short_is_done(copy, make_film, whole):
    """Also those that the decoder holds back when it meets the broken one."""
    film = make_film(drawn=np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), np.uint8))
    with av.open(str(film)) as container:
        cut = next(itertools.islice(container.demux(video=0), whole, None))
        cut = cut.pos + cut.size // 2
    film.write_bytes(film.read_bytes()[:cut])
    target, result = copy(film)
    assert len(stamps(target)) == whole and "is damaged" in result.remarks[0]


def test_damage_in_the_middle_is_reported(copy, make_film):
    film = make_film(frames=40, size=(96, 64))
    data = bytearray(film.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes(1000)
    film.write_bytes(data)
    target, result = copy(film)
    assert 30 <= len(stamps(target)) <= 40 and "is damaged" in result.remarks[0]


def test_other_files_are_not_read_through_a_list(stylizer, make_film, tmp_path):
    film = make_film()
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXTINF:1,\n{film}\n")
    with pytest.raises(ImageError):
        repaint_film(stylizer, tmp_path / "list.mp4", tmp_path / "result.mp4")
    with pytest.raises(ImageError, match="--max_pixels 3071"):
        repaint_film(stylizer, film, tmp_path / "result.mp4", max_pixels=3071)


def test_a_fault_leaves_what_was_there(stylizer, make_film, tmp_path, monkeypatch):
    target = tmp_path / "result.mp4"
    target.write_bytes(b"earlier")
    threads = threading.active_count()

    def broken(*arguments):
        raise RuntimeError("broken")

    monkeypatch.setattr(stylizer, "stylize_tensor", broken)
    with pytest.raises(RuntimeError, match="broken"):
        repaint_film(stylizer, make_film(), target)
    assert target.read_bytes() == b"earlier" and [path.name for path in tmp_path.iterdir()] == ["result.mp4"]
    assert threading.active_count() == threads


@pytest.mark.parametrize("plain, is_found", [(2, True), (250, False)])
def test_a_first_picture_that_shows_something(make_film, plain, is_found):
    picture = np.asarray(Image.effect_mandelbrot((64, 48), (-2, -1.5, 1, 1.5), 50).convert("RGB"))
    film = make_film(drawn=[*[picture * 0] * (plain - 1), picture // 100, picture, 255 - picture])
    expected = picture if is_found else picture * 0  # the first of all
    with FilmReader(film) as reader:
        assert np.abs(reader.first_picture().astype(int) - expected).mean() < 8


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("room", [100, 20_000])
def test_a_full_disk_gets_back_its_room(stylizer, make_film, tmp_path, full_disk, room):
    """No file that was removed is still open, however much of it was written."""
    film = make_film(frames=20, size=(160, 120), sound="aac")
    with pytest.raises(UserError, match="result.mp4 cannot be written"), full_disk(room):
        repaint_film(stylizer, film, tmp_path / "result.mp4", AS_IT_IS, quality=1)
    assert not list(tmp_path.iterdir())
    handles = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    assert not [name for handle in handles if handle.is_symlink() and str(tmp_path) in (name := os.readlink(handle))]
