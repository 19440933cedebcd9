"""Each measure against its formula written out again, on pictures whose answer is known."""

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.measures import luminance, mesh, palette_distance, tones


def pictures(seed, size=48, count=2):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 255


def test_luminance_is_pillows():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)
    found = luminance(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].numpy()
    assert np.abs(found - expected).max() <= 0.51  # Pillow rounds


def slow_mesh(grey, period):
    height, width = grey.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    best = 0
    for u, v in ((height // period, 0), (0, width // period), (height // period, width // period)):
        at = {(i, j): power[(u + i) % height, (v + j) % width] for i in range(-6, 7) for j in range(-6, 7)}
        peak = max(value for (i, j), value in at.items() if max(abs(i), abs(j)) <= 1)
        best = max(best, peak / np.median([value for (i, j), value in at.items() if max(abs(i), abs(j)) > 2]))
    return best


@pytest.mark.parametrize("period", [2, 4])
def test_mesh_of_a_planted_grid(period):
    """Noise, then a grid along rows, columns or both, at an amplitude that is known."""
    noise = 4 * torch.randn(12, 1, 64, 64, generator=torch.Generator().manual_seed(0)).expand(12, 3, 64, 64)
    i = torch.arange(64)
    grids = [torch.cos(2 * np.pi * steps / period) for steps in (i[:, None], i[None], i[:, None] + i)]
    for grid in grids:
        measured = {}
        for amplitude in (0, 5, 10):
            images = 127.5 + noise + amplitude * grid
            measured[amplitude] = mesh(images, period)
            expected = [slow_mesh(grey, period) for grey in luminance(images).numpy()]
            np.testing.assert_allclose(measured[amplitude].numpy(), expected, rtol=1e-9)
        assert measured[0].median() < 15
        # A cosine of amplitude a has the power (a/2 sum w)^2 at its frequency, and noise of variance s^2 in each bin
        # s^2 sum w^2, whose median is ln 2 times that. At period 2 a cosine and its mirror image meet: (a sum w)^2.
        window = np.hanning(64)[:, None] * np.hanning(64)
        height = 10 * window.sum() / (1 if period == 2 else 2)
        expected = height**2 / (np.log(2) * 16 * (window**2).sum())
        assert measured[10].median().item() == pytest.approx(expected, rel=0.25)
        assert (measured[10] / measured[5]).median().item() == pytest.approx(4, rel=0.1)  # power goes with the square
        assert mesh(images, 6 - period).median() < 15  # the other period sees nothing


def test_mesh_of_flat_and_of_small_pictures():
    assert mesh(torch.full((1, 3, 32, 32), 90.0), 4).item() == 0
    for shape in ((1, 3, 28, 64), (1, 3, 64, 66)):
        with pytest.raises(ValueError, match="needs sides of at least 32 that 4 divides"):
            mesh(torch.zeros(shape), 4)


def test_tones_of_a_slope_and_of_noise():
    slope = torch.arange(101.0).view(1, 1, 1, 101).expand(1, 3, 40, 101)
    assert tones(slope)[0].tolist() == pytest.approx([98, np.sqrt((101**2 - 1) / 12), 1])
    assert tones(slope + 2 * torch.arange(40.0)[:, None])[0, 2].item() == pytest.approx(5**0.5)
    noise = pictures(4, 40, count=1)
    grey = luminance(noise)[0].numpy()
    dx, dy = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    expected = [np.diff(np.percentile(grey, [1, 99])).item(), grey.std(), np.sqrt(dx**2 + dy**2).mean()]
    assert tones(noise)[0].tolist() == pytest.approx(expected)


def test_palette_distance():
    """Of palettes that are apart by one vector: its length over root three, the mean over all directions."""
    first = pictures(5, 128, count=1) * 0.5
    shift = torch.tensor([30.0, 60.0, 20.0]).view(1, 3, 1, 1)
    moved = first.flip(-1).transpose(-1, -2) + shift  # pixels elsewhere, in a picture of another shape
    assert palette_distance([first], [moved[..., :64], moved[..., 64:]]) == pytest.approx(70 / 3**0.5, rel=0.03)
    assert palette_distance([first], [first.flip(-1)]) < 1
    # Two colours in other shares: along a line, half of the pixels move from one to the other.
    black, half = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    half[..., 4:] = 90
    assert palette_distance([black], [half]) == pytest.approx((0.5 * 3 * 90**2 / 3) ** 0.5, rel=0.03)
