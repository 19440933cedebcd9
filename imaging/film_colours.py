"""A decoded picture of a film as 8-bit RGB with the meaning of BT.709: matrices, ranges, wide gamuts, HDR."""

import functools

import numpy as np

# Numbers of ISO/IEC 23091-2 (H.273), which containers, codecs and FFmpeg have in common.
BT709, UNKNOWN, BT2020 = 1, 2, 9
LIMITED, FULL = 1, 2  # FFmpeg's own
_DISPLAY_P3, _PQ, _HLG = 12, 16, 18

_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # swscale's numbers by H.273's, of those that it knows

EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000
"""swscale's flags: bicubic, chroma of every pixel, exact rounding. Without them pictures are 1.2 levels too dark."""

_TO_BT709 = {
    BT2020: np.array(  # BT.2087, equation of M2
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
    ),
    _DISPLAY_P3: np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32),
}

_WHITE = 203.0  # cd/m², of a page in an HDR film (BT.2408)
_KNEE = 0.6


def is_converted(picture) -> str | None:
    """In words what :func:`to_bt709` makes of a picture's colours other than to decode them; ``None`` for nothing."""
    transfer = {_PQ: "HDR (PQ)", _HLG: "HDR (HLG)"}.get(picture.color_trc)
    gamut = {BT2020: "BT.2020", _DISPLAY_P3: "Display P3"}.get(picture.color_primaries)
    return ", ".join(filter(None, [transfer, gamut])) or None


def to_bt709(picture, size: tuple[int, int] | None = None) -> np.ndarray:
    """H x W x 3, uint8, of a picture as ``av`` decodes it, resized to (width, height) if that is given.

    PQ and HLG are shown with ``_WHITE`` at 0.8 of the light of an SDR film's white, and what is brighter is compressed
    into the rest, hue kept. Gamuts are clipped to BT.709's. BT.709's numbers are taken for sRGB's, as players do.
    """
    matrix = _MATRICES.get(picture.colorspace)
    if matrix is None:  # what players guess where a film does not say
        standard = picture.width < 1280 and picture.height <= 576
        matrix = BT2020 if picture.color_primaries == BT2020 else 5 if standard else BT709
    width, height = size or (picture.width, picture.height)
    convert = {"width": width, "height": height, "src_colorspace": matrix, "interpolation": EXACT}
    convert["dst_color_range"] = FULL
    if not is_converted(picture):
        return picture.reformat(format="rgb24", **convert).to_ndarray()
    pixels = picture.reformat(format="rgb48le", **convert).to_ndarray()
    light = _light(picture.color_trc)[pixels >> 4]
    if picture.color_trc == _HLG:  # the display's own gamma, 1.2 at 1000 cd/m² (BT.2100, table 5)
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (1000.0 / _WHITE) * np.maximum(luminance, 1e-6)[..., None] ** 0.2
    light = (light @ _TO_BT709.get(picture.color_primaries, np.eye(3, dtype=np.float32)).T).clip(0)
    if picture.color_trc in (_PQ, _HLG):
        brightest = light.max(-1, keepdims=True)
        above = (brightest - _KNEE).clip(0)
        compressed = _KNEE + above * (1 - _KNEE) / (above + 1 - _KNEE)
        light *= np.where(above > 0, compressed / brightest.clip(_KNEE), 1.0)
    return (light.clip(0, 1) ** (1 / 2.4) * 255 + 0.5).astype(np.uint8)


@functools.cache
def _light(transfer: int) -> np.ndarray:
    """Light of the 4096 codes of a transfer, float32: 1 is white; of HLG, the scene's."""
    code = np.linspace(0, 1, 4096)
    if transfer == _PQ:  # SMPTE ST 2084, equation 4.1
        power = code ** (32 / 2523)
        light = ((power - 3424 / 4096).clip(0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
        light *= 10000 / _WHITE
    elif transfer == _HLG:  # BT.2100, table 5, inverse
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:  # BT.1886
        light = code**2.4
    return light.astype(np.float32)


def tags(picture) -> dict[str, int]:
    """How what is made of a picture by :func:`to_bt709`, and encoded as YUV, is to be marked; values by H.273.

    Args:
        picture: as ``av`` decodes it; ``None``, as BT.709.
    """
    kept = None if picture is None or is_converted(picture) else picture
    result = {"colorspace": BT709, "color_range": LIMITED}
    for name in ("color_primaries", "color_trc"):
        value = getattr(kept, name, UNKNOWN)
        result[name] = BT709 if value in (0, UNKNOWN) else value
    return result
