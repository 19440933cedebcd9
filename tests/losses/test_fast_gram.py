"""The fast Gram matrix is the plain one, and so is its gradient."""

import pytest
import torch

from losses.functional import gram_matrix
from tests.noise import random


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 4e-3)])
def test_value_and_gradient_are_the_plain_ones(dtype, tolerance, layout):
    """Against autograd of the plain formula in float64, from the same features; dG is asymmetric."""
    features = random(2, 8, 9, 7, seed=1, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    reference = features.detach().double().requires_grad_()
    weights = random(2, 8, 8, seed=2)
    gram = gram_matrix(features)
    expected = torch.einsum("nchw,ndhw->ncd", reference, reference) / reference[0].numel()
    assert gram.dtype == torch.float32
    assert (gram - expected).abs().max() < 1e-5 * expected.abs().max()  # bfloat16's own digits end at 4e-3
    (gram * weights.float()).sum().backward()
    (expected * weights).sum().backward()
    assert features.grad.dtype == dtype
    assert (features.grad.double() - reference.grad).norm() < tolerance * reference.grad.norm()


def test_it_stays_float32_under_autocast():
    """Autocast takes matrix products to half precision, where long sums lose their digits."""
    features = random(1, 8, 40, 40, dtype=torch.bfloat16).requires_grad_()
    plain = gram_matrix(features)
    (gradient,) = torch.autograd.grad(plain.square().sum(), features)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = gram_matrix(features)
        (gradient_under_autocast,) = torch.autograd.grad(under_autocast.square().sum(), features)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, plain)
    assert torch.equal(gradient_under_autocast, gradient)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-3), (torch.bfloat16, 2e-2), (torch.float16, 4e-3)])
def test_value_and_gradient_on_a_gpu(dtype, tolerance):
    features = random(2, 16, 20, 24, dtype=dtype).cuda().requires_grad_()
    reference = features.detach().cpu().double().requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        gram = gram_matrix(features)
    expected = torch.einsum("nchw,ndhw->ncd", reference, reference) / reference[0].numel()
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram.cpu().double(), expected, rtol=2e-3, atol=2e-3)
    gram.square().sum().backward()
    expected.square().sum().backward()
    assert (features.grad.cpu().double() - reference.grad).norm() < tolerance * reference.grad.norm()
