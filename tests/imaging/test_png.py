"""PNGs that Pillow refuses for what is beside their pixels, and damaged APNGs, come out as viewers show them."""

import struct
import zlib

import numpy as np
import pytest

from imaging.animations import AnimationReader, is_animation
from imaging.reading import read_image
from tests.drawing_png import chunk, png

RED, GREEN = (255, 0, 0), (0, 255, 0)


def rows(colour) -> bytes:
    """Eight by six pixels."""
    return zlib.compress((b"\0" + bytes(colour) * 8) * 6)


PIXELS = chunk(b"IDAT", rows(RED))
NOISE = np.random.default_rng(0).integers(65, 90, 3_000_000).astype(np.uint8).tobytes()
BESIDE = {
    "international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(NOISE)),
    "plain text": chunk(b"tEXt", b"Comment\0" + NOISE),
    "a text of 50 MB": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000))),
    "100 texts of a megabyte": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20))) * 100,
    "a profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(NOISE)),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_what_is_beside_the_pixels_may_be_large(tmp_path, name, order):
    parts = (BESIDE[name], PIXELS) if order == "before" else (PIXELS, BESIDE[name])
    (tmp_path / "p.png").write_bytes(png(8, 6, *parts))
    image = read_image(tmp_path / "p.png")
    assert image.getcolors() == [(48, RED)] and image.info["remarks"] == []
    if name == "a profile" and order == "before":
        assert image.info["icc_profile"] == NOISE


def control(count: int) -> bytes:
    return chunk(b"acTL", struct.pack(">II", count, 0))


def frame(number: int, width: int = 8) -> bytes:
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, 6, 0, 0, 1, 10, 0, 0))


def data(number: int) -> bytes:
    return chunk(b"fdAT", struct.pack(">I", number) + rows(GREEN))


ANIMATIONS = {
    "sound": (control(2) + frame(0) + PIXELS + frame(1) + data(2), [RED, GREEN]),
    "the picture is no frame": (control(1) + PIXELS + frame(0) + data(1), [GREEN]),
    "one frame": (control(1) + frame(0) + PIXELS, [RED]),
    "fewer frames than promised": (control(3) + frame(0) + PIXELS + frame(1) + data(2), [RED, GREEN]),
    "a gap in the numbers": (control(2) + frame(0) + PIXELS + frame(2) + data(3), [RED]),
    "numbers from 1": (control(2) + frame(1) + PIXELS + frame(2) + data(3), [RED]),
    "no frame at all": (control(2) + PIXELS, [RED]),
    "a first frame of another size": (control(2) + frame(0, 4) + PIXELS + frame(1) + data(2), [RED]),
    "a control chunk cut short": (chunk(b"acTL", b"\0\0") + frame(0) + PIXELS + frame(1) + data(2), [RED]),
    "a frame chunk cut short": (control(2) + chunk(b"fcTL", bytes(4)) + PIXELS + frame(1) + data(2), [RED]),
    "a wrong checksum": (control(2) + frame(0)[:-1] + b"\0" + PIXELS + frame(1) + data(2), [RED]),
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_an_animation_shows_what_can_be_read_of_it(tmp_path, name):
    chunks, expected = ANIMATIONS[name]
    path = tmp_path / "p.png"
    path.write_bytes(png(8, 6, chunks))
    image = read_image(path)
    assert image.getcolors() == [(48, RED)]
    remarks = image.info["remarks"]
    assert [f"{path} is animated: its first frame alone is taken"] == remarks or b"fdAT" not in chunks
    if is_animation(path):
        with AnimationReader(path) as reader:
            assert [tuple(frame.pixels[0, 0]) for frame in reader.frames()] == expected
        remarks = reader.remarks
    else:
        assert expected == [RED]
    assert not any("APNG" in remark or "tile" in remark for remark in remarks)
