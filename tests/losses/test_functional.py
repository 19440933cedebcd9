"""The formulas of the paper, against plain loops, and a power against Fourier's."""

import itertools

import numpy as np
import pytest
import torch

from losses.functional import checkerboard_loss, content_loss, gram_matrix, style_loss, total_variation_loss
from tests.noise import random

# -- plain loops: the formulas as they are printed, one number after the other ----------------------


def places(*sizes):
    return itertools.product(*map(range, sizes))


def content_by_loops(features, target):
    n, c, h, w = features.shape
    return sum((features[p] - target[p]).item() ** 2 for p in places(n, c, h, w)) / (c * h * w) / n


def gram_by_loops(features):
    n, c, h, w = features.shape
    gram = torch.zeros(n, c, c, dtype=torch.float64)
    for b, k, m in places(n, c, c):
        gram[b, k, m] = sum(features[b, k, i, j] * features[b, m, i, j] for i, j in places(h, w)) / (c * h * w)
    return gram


def style_by_loops(gram, target):
    return sum((gram[p] - target[p]).item() ** 2 for p in places(*gram.shape)) / len(gram)


def total_variation_by_loops(images):
    n, c, h, w = images.shape
    total = 0.0
    for b, k, i, j in places(n, c, h, w):
        if j + 1 < w:
            total += (images[b, k, i, j + 1] - images[b, k, i, j]).item() ** 2
        if i + 1 < h:
            total += (images[b, k, i + 1, j] - images[b, k, i, j]).item() ** 2
    return total / n


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 5), (3, 5, 1, 7)])
def test_losses_equal_plain_loops(shape):
    a, b = random(*shape, seed=1), random(*shape, seed=2)
    torch.testing.assert_close(content_loss(a, b).mean().item(), content_by_loops(a, b), rtol=1e-12, atol=0)
    grams = gram_matrix(a), gram_matrix(b)
    torch.testing.assert_close(grams[0], gram_by_loops(a), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(style_loss(*grams).mean().item(), style_by_loops(*grams), rtol=1e-12, atol=0)
    torch.testing.assert_close(total_variation_loss(a).item(), total_variation_by_loops(a), rtol=1e-12, atol=1e-15)


# -- precision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_are_float32_before_a_difference_or_product(dtype):
    a, b = random(1, 4, 50, 50, seed=1, dtype=dtype), random(1, 4, 50, 50, seed=2, dtype=dtype)
    for loss in (total_variation_loss, lambda x: content_loss(x, b.to(x.dtype))):
        assert loss(a).dtype == torch.float32 and torch.equal(loss(a), loss(a.float()))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(loss(a), loss(a.float()))


# -- checkerboard ----------------------------------------------------------------------------------


def power_at_the_grid(images, period):
    """The same from numpy's Fourier transform: the power at the multiples of 1/period, without the mean."""
    images = images.double().numpy()
    n, c, height, width = images.shape
    window = [2 * np.hanning(size + 1)[:-1] for size in (height, width)]
    images = (images - images.mean((2, 3), keepdims=True)) * np.outer(*window)
    power = np.abs(np.fft.fft2(images) / (height * width)) ** 2
    grid = power[:, :, :: height // period, :: width // period]
    return period**2 * (grid.sum() - grid[:, :, 0, 0].sum()) / (n * c)


@pytest.mark.parametrize("height, width, period", [(32, 48, 4), (24, 36, 6)])
def test_checkerboard_is_the_power_at_the_grid(height, width, period):
    images = random(2, 3, height, width, seed=4) * 255
    assert checkerboard_loss(images, period).item() == pytest.approx(power_at_the_grid(images, period), rel=1e-6)


def test_checkerboard_leaves_out_what_is_no_whole_period_and_has_a_gradient():
    images = random(1, 3, 19, 22, seed=5)
    torch.testing.assert_close(checkerboard_loss(images), checkerboard_loss(images[..., :16, :20]))
    assert torch.autograd.gradcheck(checkerboard_loss, random(1, 2, 8, 9, seed=6).requires_grad_())
