"""Animated pictures: durations, loop, transparency, parts, what is broken."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence

from imaging.animations import AnimationReader, AnimationWriter, is_animation
from utils.errors import ImageError

DURATIONS = [50, 200, 30, 120]


@pytest.fixture
def animation(tmp_path, make_picture):
    """``animation(ending, transparent)``: four frames, shown three times."""

    def make(ending=".gif", transparent=False, **options):
        frames = [make_picture(24, 16, seed) for seed in range(4)]
        for frame in frames if transparent else ():
            frame.putalpha(Image.linear_gradient("L").resize(frame.size).point([0] * 128 + [255] * 128))
        path = tmp_path / f"moving{ending}"
        settings = {"save_all": True, "append_images": frames[1:], "duration": DURATIONS, "loop": 3, **options}
        frames[0].save(path, **settings, **({"lossless": True} if ending == ".webp" else {}))
        return path, frames

    return make


def written(frames, ending, **options) -> Image.Image:
    file = io.BytesIO()
    with AnimationWriter(file, ending, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return Image.open(file)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_read_and_written(animation, ending):
    path, drawn = animation(ending)
    assert is_animation(path)
    with AnimationReader(path) as reader:
        frames = list(reader.frames())
        assert (reader.size, reader.total, reader.info["loop"], reader.remarks) == ((24, 16), 4, 3, [])
    assert [frame.duration * 1000 for frame in frames] == DURATIONS
    assert [frame.time * 1000 for frame in frames] == [0, 50, 250, 280]
    for frame, expected in zip(frames, drawn):
        assert np.abs(frame.pixels[..., :3].astype(int) - np.asarray(expected)).mean() < 12
    with written(frames, ending, loop=3) as result:
        assert result.n_frames == 4 and result.info["loop"] == 3
        for image, frame, duration in zip(ImageSequence.Iterator(result), frames, DURATIONS, strict=True):
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frame.pixels[..., :3]).mean() < 8
            assert image.info["duration"] == duration


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_transparency_is_kept(animation, ending):
    path, drawn = animation(ending, transparent=True)
    with AnimationReader(path) as reader, written(reader.frames(), ending) as result:
        for image, expected in zip(ImageSequence.Iterator(result), drawn, strict=True):
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            assert np.array_equal(alpha, np.asarray(expected)[..., 3]) and 0 < alpha.mean() < 255


def test_a_gif_that_is_shown_once(animation):
    path, _ = animation(loop=None)
    with AnimationReader(path) as reader:
        assert "loop" not in reader.info
        assert "loop" not in written(reader.frames(), ".gif", loop=reader.info.get("loop")).info


def test_a_part(animation):
    with AnimationReader(animation()[0], start=0.05, end=0.28) as reader:
        assert [(frame.time, frame.duration) for frame in reader.frames()] == [
            (0, Fraction(2, 10)), (Fraction(2, 10), Fraction(3, 100)),
        ]  # fmt: skip
    with pytest.raises(ImageError, match="no frame in that part"), AnimationReader(animation()[0], start=5) as reader:
        list(reader.frames())


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png", ".jpg"])
def test_what_does_not_move_is_no_animation(tmp_path, make_picture, ending):
    path = tmp_path / f"still{ending}"
    make_picture(24, 16, 1).save(path)
    assert not is_animation(path)
    path.write_bytes(b"GIF89a")
    assert not is_animation(path) and not is_animation(tmp_path / "none.gif")


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_the_end_is_missing(animation, ending):
    path, _ = animation(ending)
    path.write_bytes(path.read_bytes()[:-200])
    with AnimationReader(path) as reader:
        assert 1 <= len(list(reader.frames())) <= 4
        assert len(reader.remarks) == 1 and f"{path} is damaged" in reader.remarks[0]
