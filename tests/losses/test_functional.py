"""The formulas of the paper, against plain loops, hand-computed values and invariants."""

import itertools
import math

import numpy as np
import pytest
import torch

from losses.functional import checkerboard_loss, content_loss, gram_matrix, style_loss, total_variation_loss


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


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
    torch.testing.assert_close(content_loss(a, b).item(), content_by_loops(a, b), rtol=1e-12, atol=0)
    grams = gram_matrix(a), gram_matrix(b)
    torch.testing.assert_close(grams[0], gram_by_loops(a), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(style_loss(*grams).item(), style_by_loops(*grams), rtol=1e-12, atol=0)
    torch.testing.assert_close(total_variation_loss(a).item(), total_variation_by_loops(a), rtol=1e-12, atol=1e-15)


# -- by hand ---------------------------------------------------------------------------------------


def test_gram_by_hand():
    # psi = [[1, 2], [3, 4]], C H W = 4: [[1+4, 3+8], [3+8, 9+16]] / 4
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert gram_matrix(features).tolist() == [[[1.25, 2.75], [2.75, 6.25]]]


def test_style_by_hand():
    gram = torch.tensor([[[1.25, 2.75], [2.75, 6.25]]])
    target = torch.tensor([[[0.25, 0.75], [0.75, 5.25]]])
    assert style_loss(gram, target).item() == 1 + 4 + 4 + 1
    assert style_loss(gram, target[0]).item() == 10  # C x C serves as well as N x C x C


def test_content_by_hand():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 5.0]]]])
    target = torch.tensor([[[[1.0, 0.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 2.0]]]])
    assert content_loss(features, target).item() == (4 + 1 + 9) / 8


def test_total_variation_by_hand():
    # columns: (2-1)^2 + (7-4)^2; rows: (4-1)^2 + (7-2)^2
    assert total_variation_loss(torch.tensor([[[[1.0, 2.0], [4.0, 7.0]]]])).item() == 1 + 9 + 9 + 25


# -- invariants ------------------------------------------------------------------------------------


def test_a_duplicated_batch_has_the_same_loss():
    a, b = random(2, 4, 6, 5, seed=1), random(2, 4, 6, 5, seed=2)
    aa, bb = torch.cat([a, a]), torch.cat([b, b])
    torch.testing.assert_close(content_loss(aa, bb), content_loss(a, b))
    torch.testing.assert_close(style_loss(gram_matrix(aa), gram_matrix(bb)), style_loss(gram_matrix(a), gram_matrix(b)))
    torch.testing.assert_close(total_variation_loss(aa), total_variation_loss(a))


def test_a_picture_against_itself_is_zero():
    a = random(2, 4, 6, 5)
    assert content_loss(a, a).item() == 0
    assert style_loss(gram_matrix(a), gram_matrix(a)).item() == 0
    assert total_variation_loss(torch.full((1, 3, 4, 4), 93.0)).item() == 0


def test_style_does_not_see_where_things_are():
    a = random(1, 4, 6, 5)
    shuffled = a.flatten(2)[..., torch.randperm(30, generator=torch.Generator().manual_seed(3))].view_as(a)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(a))


def test_total_variation_does_not_see_a_shift_within_a_constant_border():
    image, shifted = torch.full((2, 1, 3, 20, 20), 60.0, dtype=torch.float64)
    spot = random(1, 3, 8, 8) * 50
    image[..., 2:10, 3:11] = spot
    shifted[..., 9:17, 6:14] = spot
    torch.testing.assert_close(total_variation_loss(shifted), total_variation_loss(image))


# -- gradients -------------------------------------------------------------------------------------


def test_gradients_in_float64():
    a = random(2, 3, 4, 5, seed=1).requires_grad_()
    b = random(2, 3, 4, 5, seed=2)
    target = gram_matrix(b)
    assert torch.autograd.gradcheck(lambda x: content_loss(x, b), a)
    assert torch.autograd.gradcheck(gram_matrix, a)
    assert torch.autograd.gradcheck(lambda x: style_loss(gram_matrix(x), target), a)
    assert torch.autograd.gradcheck(total_variation_loss, a)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_are_float32_before_a_difference_or_product(dtype):
    a, b = random(1, 4, 50, 50, seed=1, dtype=dtype), random(1, 4, 50, 50, seed=2, dtype=dtype)
    for loss in (gram_matrix, total_variation_loss, lambda x: content_loss(x, b.to(x.dtype))):
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


@pytest.mark.parametrize("period", [2, 4])
def test_a_mesh_counts_far_more_than_anything_as_strong_beside_it(period):
    rows = torch.arange(64, dtype=torch.float64)
    frequencies = (1 / period, 1 / period - 5 / 64)
    mesh, beside = (8 * torch.cos(2 * math.pi * rows * f).expand(1, 1, 64, 64) for f in frequencies)
    assert checkerboard_loss(100 + mesh) > 1000 * checkerboard_loss(100 + beside)
    assert checkerboard_loss(torch.full((1, 3, 64, 64), 90.0)) == 0


def test_checkerboard_leaves_out_what_is_no_whole_period_and_has_a_gradient():
    images = random(1, 3, 19, 22, seed=5)
    torch.testing.assert_close(checkerboard_loss(images), checkerboard_loss(images[..., :16, :20]))
    assert torch.autograd.gradcheck(checkerboard_loss, random(1, 2, 8, 9, seed=6).requires_grad_())
