"""HDR and wide gamuts against the formulas of their standards, by hand."""

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")

from imaging.film_colours import is_converted, tags, to_bt709  # noqa: E402

BT2020, PQ, HLG = 9, 16, 18


def plain(luma, blue=512, red=512, transfer=PQ, primaries=BT2020):
    """A picture of one colour, 10 bit, limited range."""
    picture = av.VideoFrame(16, 16, "yuv420p10le")
    for plane, value in zip(picture.planes, (luma, blue, red)):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
    picture.colorspace, picture.color_range, picture.color_trc, picture.color_primaries = 9, 1, transfer, primaries
    return picture


def pq(light):
    """Code in [0, 1] of cd/m²: SMPTE ST 2084, equation 5.2."""
    y = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def shown(light):
    """8-bit grey of light that is 1 at 203 cd/m²."""
    light = light if light < 0.6 else 0.6 + 0.4 * (light - 0.6) / (light - 0.2)
    return 255 * light ** (1 / 2.4)


@pytest.mark.parametrize("light", [0.5, 50, 203, 1000, 4000])
def test_pq(light):
    found = to_bt709(plain(round(64 + 876 * pq(light))))[8, 8]
    assert found == pytest.approx(shown(light / 203), abs=2) and np.ptp(found) <= 1


@pytest.mark.parametrize("signal", [0.1, 0.3, 0.5, 0.75, 1.0])
def test_hlg(signal):
    """On a display of 1000 cd/m²: 75% is 203 of them."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = signal**2 / 3 if signal <= 0.5 else (np.exp((signal - c) / a) + b) / 12
    found = to_bt709(plain(round(64 + 876 * signal), transfer=HLG))[8, 8]
    assert found == pytest.approx(shown(1000 * scene**1.2 / 203), abs=2)
    if signal == 0.75:
        assert found == pytest.approx(shown(1.0), abs=2)


def test_red_of_bt2020_is_beyond_bt709s():
    """A dark red of 50 cd/m² in BT.2020 becomes BT.709's purest, its green and blue cut at nothing."""
    red = pq(50)  # R' = red, G' = B' = 0: by the matrix of BT.2020
    luma, blue, more = 0.2627 * red, -0.2627 * red / 1.8814, (red - 0.2627 * red) / 1.4746
    codes = [round(64 + 876 * luma), round(512 + 896 * blue), round(512 + 896 * more)]
    found = to_bt709(plain(*codes))[8, 8]
    assert found[0] == pytest.approx(shown(50 / 203 * 1.6605), abs=2) and found[1:].max() <= 3


def test_wide_gamut_without_hdr():
    grey = plain(64 + 438, transfer=14)
    assert is_converted(grey) == "BT.2020" and to_bt709(grey)[8, 8] == pytest.approx([127.5] * 3, abs=1)
    p3 = plain(64 + 438, transfer=1, primaries=12)
    assert is_converted(p3) == "Display P3" and to_bt709(p3)[8, 8] == pytest.approx([127.5] * 3, abs=1)


def test_what_is_converted_is_tagged_as_bt709():
    assert is_converted(plain(500)) == "HDR (PQ), BT.2020"
    assert set(tags(plain(500)).values()) == {1}
    usual = av.VideoFrame(16, 16, "yuv420p")
    usual.color_primaries, usual.color_trc = 6, 6
    assert is_converted(usual) is None and tags(usual)["color_primaries"] == 6 and tags(usual)["colorspace"] == 1
    assert set(tags(av.VideoFrame(16, 16, "yuv420p")).values()) == {1}
