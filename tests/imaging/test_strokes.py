"""Smoothing along brush strokes, against formulas for pictures whose strokes are known."""

import math

import pytest
import torch

from imaging.strokes import smooth_strokes, stroke_directions


def stripes(height: int, width: int, angle: float, period: float = 12.0) -> torch.Tensor:
    """1 x 3 x H x W: soft stripes that run along ``angle``, degrees from the x axis towards y."""
    rows, columns = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    across = columns * -math.sin(math.radians(angle)) + rows * math.cos(math.radians(angle))
    wave = torch.sin(across * 2 * math.pi / period)
    return (128 + wave * torch.tensor([60.0, 40.0, 20.0]).view(3, 1, 1)).unsqueeze(0)


def noise(*shape: int, levels: float) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * levels


@pytest.mark.parametrize("angle", [30.0, 90.0])
def test_directions_are_those_of_the_strokes(angle):
    found = stroke_directions(stripes(64, 80, angle) + noise(1, 3, 64, 80, levels=5), 4.0)[..., 16:-16, 16:-16]
    along = found[:, 0] * math.cos(math.radians(angle)) + found[:, 1] * math.sin(math.radians(angle))
    assert torch.allclose(found.norm(dim=1), torch.tensor(1.0)) and along.abs().min() > math.cos(math.radians(5))


def test_a_line_is_averaged_with_gaussian_weights_on_both_sides_twice():
    # Stripes down the picture, and a row that is a little brighter: what remains of the row is the kernel.
    deviation, height, row = 3.0, 81, 40
    plain = stripes(height, 96, 90.0).double()
    marked = plain.clone()
    marked[..., row, :] += 1.0
    kernel = torch.exp(-0.5 * (torch.arange(-6, 7).double() / deviation) ** 2)
    kernel /= kernel.sum()
    twice = torch.nn.functional.conv1d(kernel.view(1, 1, -1), kernel.view(1, 1, -1), padding=12).flatten()
    change = (smooth_strokes(marked, deviation) - smooth_strokes(plain, deviation))[0]
    change = change[:, row - 12 : row + 13, 51]  # on the crest of a stripe
    change = change - change[:, :1] + twice[0]  # mean and contrast are restored, which moves all a little
    assert torch.allclose(change, twice.expand(3, -1), atol=0.004)


def test_grain_goes_and_the_strokes_stay_with_their_contrast():
    clean = stripes(96, 128, 30.0)
    grainy = clean + noise(1, 3, 96, 128, levels=20)
    smooth = smooth_strokes(grainy, 4.0)
    inside = (..., slice(16, -16), slice(16, -16))
    before, after = (grainy - clean)[inside].std(), (smooth - clean)[inside].std()
    assert after < before / 2
    assert torch.corrcoef(torch.stack([smooth[inside].flatten(), clean[inside].flatten()]))[0, 1] > 0.98
    for statistic in (torch.mean, torch.std):
        assert torch.allclose(statistic(smooth, (2, 3)), statistic(grainy, (2, 3)), atol=1e-2)


@pytest.mark.parametrize("shape", [(16, 16), (1, 20)])
def test_flat_and_narrow_pictures(shape):
    picture = torch.full((1, 3, *shape), 200.0)
    assert torch.allclose(smooth_strokes(picture, 4.0), picture, atol=1e-3)
    coloured = noise(1, 3, *shape, levels=200).clamp(0, 255)
    smooth = smooth_strokes(coloured, 4.0)
    assert smooth.shape == coloured.shape and smooth.min() >= 0 and smooth.max() <= 255
