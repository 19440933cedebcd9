"""Each measure against its formula written out again, on pictures whose answer is known."""

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.measures import palette_distance, tones
from losses.functional import luminance
from tests.noise import pictures


def test_lightness_is_pillows():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)
    found = luminance(torch.from_numpy(pixels).double().permute(2, 0, 1)[None])[0, 0].numpy()
    assert np.abs(found - expected).max() <= 0.51  # Pillow rounds


def test_tones_of_a_slope_and_of_noise():
    slope = torch.arange(101.0).view(1, 1, 1, 101).expand(1, 3, 40, 101)
    assert tones(slope)[0].tolist() == pytest.approx([98, np.sqrt((101**2 - 1) / 12), 1])
    assert tones(slope + 2 * torch.arange(40.0)[:, None])[0, 2].item() == pytest.approx(5**0.5)
    noise = pictures(1, 40, seed=4)
    grey = luminance(noise.double())[0, 0].numpy()
    dx, dy = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    expected = [np.diff(np.percentile(grey, [1, 99])).item(), grey.std(), np.sqrt(dx**2 + dy**2).mean()]
    assert tones(noise)[0].tolist() == pytest.approx(expected)


def test_palette_distance():
    """Of palettes that are apart by one vector: its length over root three, the mean over all directions."""
    first = pictures(1, 128, seed=5) * 0.5
    shift = torch.tensor([30.0, 60.0, 20.0]).view(1, 3, 1, 1)
    moved = first.flip(-1).transpose(-1, -2) + shift  # pixels elsewhere, in a picture of another shape
    assert palette_distance([first], [moved[..., :64], moved[..., 64:]]) == pytest.approx(70 / 3**0.5, rel=0.03)
    assert palette_distance([first], [first.flip(-1)]) < 1
    # Two colours in other shares: along a line, half of the pixels move from one to the other.
    black, half = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    half[..., 4:] = 90
    assert palette_distance([black], [half]) == pytest.approx((0.5 * 3 * 90**2 / 3) ** 0.5, rel=0.03)
