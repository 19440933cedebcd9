"""The palette and the tone term, against formulas written down anew."""

import numpy as np
import pytest
import torch

from losses.functional import luminance, sliced_wasserstein
from losses.terms import Batch
from losses.tones import Palette, Tone, half_sphere


def batch(stylized, photographs=None, style=0):
    styles = torch.full((len(stylized),), style)
    return Batch(stylized, stylized if photographs is None else photographs, styles, {}, None)


def noise(n, height, width, seed=0, low=0, high=255):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, height, width, generator=generator) * (high - low) + low


def test_sliced_wasserstein_is_the_distance_of_sorted_projections():
    rng = np.random.default_rng(0)
    colours, palette = rng.uniform(0, 255, (60, 3)), rng.normal(100, 30, (60, 3))
    along = half_sphere(5).numpy()
    expected = np.mean([np.mean((np.sort(colours @ d) - np.sort(palette @ d)) ** 2) for d in along])
    target = torch.from_numpy(np.sort(palette @ along.T, axis=0)).float()
    loss = sliced_wasserstein(
        torch.from_numpy(colours).float()[None], torch.from_numpy(colours).float(), target, half_sphere(5)
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_painting_itself_is_next_to_nothing_and_a_veil_is_not():
    painting = noise(1, 96, 160)
    veiled = 127.5 + 0.5 * (painting - 127.5)
    own, other = (Palette([painting])(batch(images)).item() for images in (painting, veiled))
    assert own < 0.01 and other > 10 * own


def test_the_palette_spreads_colours_and_leaves_the_border_alone():
    painting = noise(1, 96, 96)
    veiled = (127.5 + 0.5 * (painting - 127.5)).requires_grad_()
    Palette([painting])(batch(veiled)).sum().backward()
    inside = torch.nn.functional.pad(torch.ones(80, 80), (8,) * 4)
    assert not veiled.grad[..., inside == 0].any() and veiled.grad[..., inside == 1].any()
    assert (veiled - 1e4 * veiled.grad).var() > veiled.var()


def test_each_style_has_its_palette_and_memory():
    paintings = [noise(1, 64, 64, low=0, high=100), noise(1, 64, 64, low=150, high=255)]
    term = Palette(paintings)
    before = term.memory.clone()
    right = term(batch(paintings[1], style=1))
    assert torch.equal(term.memory[0], before[0]) and not torch.equal(term.memory[1], before[1])
    assert term(batch(paintings[1], style=0)) > 100 * right
    kept = term.eval().memory.clone()
    term(batch(paintings[0], style=0))
    assert torch.equal(term.memory, kept)  # judging leaves it alone


def test_the_tone_curve_takes_quantiles_to_quantiles():
    photographs, painting = noise(4, 64, 64, low=0, high=200), noise(1, 64, 64, seed=1, low=60, high=90)
    term = Tone([painting])
    term.measure(lambda: [photographs[:1], photographs[1:]])
    tones = torch.nn.functional.avg_pool2d(luminance(photographs), 8)
    mapped = term.curve(tones, torch.zeros(4, dtype=torch.long)).flatten()
    for rank in (0.05, 0.5, 0.95):
        aim = np.quantile(luminance(painting).numpy(), rank)
        assert np.quantile(mapped.numpy(), rank) == pytest.approx(aim, abs=1.0)
    # Beyond the photographs' own range the curve stays at its ends.
    ends = term.curve(torch.tensor([[[[-50.0, 300.0]]]]), torch.tensor([0])).flatten().tolist()
    assert ends == pytest.approx([luminance(painting).min().item(), luminance(painting).max().item()])


def test_the_tone_loss_is_the_squared_difference_over_the_variance():
    photographs, painting = noise(2, 32, 32), noise(1, 32, 32, seed=1)
    term = Tone([painting])
    term.measure(lambda: [photographs])
    low = torch.nn.functional.avg_pool2d(luminance(photographs), 8)
    aim = term.curve(low, torch.tensor([0, 0])).expand(-1, 3, -1, -1)
    aim = aim.repeat_interleave(8, 2).repeat_interleave(8, 3)
    expected = 49 / luminance(painting).var().item()
    assert term(batch(aim + 7, photographs)).tolist() == pytest.approx([expected] * 2, rel=1e-3)
    assert term(batch(aim, photographs)).tolist() == pytest.approx([0, 0], abs=1e-6)
