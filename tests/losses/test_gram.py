"""The Gram matrix and its gradient, in every precision."""

import pytest
import torch

from losses.functional import gram_matrix
from tests.noise import random

HALVES = (torch.bfloat16, 2e-2), (torch.float16, 4e-3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "device, dtype, of_values, of_gradient",
    [("cpu", dtype, 1e-5, tolerance) for dtype, tolerance in ((torch.float32, 1e-5), *HALVES)]
    + [
        pytest.param("cuda", dtype, 2e-3, tolerance, marks=pytest.mark.gpu)
        for dtype, tolerance in ((torch.float32, 2e-3), *HALVES)
    ],
)
def test_value_and_gradient_are_those_of_the_formula(device, dtype, of_values, of_gradient, layout):
    """Against autograd of the formula in float64, from the same features; dG is asymmetric."""
    features = random(2, 8, 9, 7, seed=1, dtype=dtype).contiguous(memory_format=layout).to(device).requires_grad_()
    reference = features.detach().cpu().double().requires_grad_()
    weights = random(2, 8, 8, seed=2)
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        gram = gram_matrix(features)
    expected = torch.einsum("nchw,ndhw->ncd", reference, reference) / reference[0].numel()
    assert gram.dtype == torch.float32
    # bfloat16's own digits end at 4e-3.
    assert (gram.cpu() - expected).abs().max() < of_values * expected.abs().max()
    (gram * weights.float().to(device)).sum().backward()
    (expected * weights).sum().backward()
    assert features.grad.dtype == dtype
    assert (features.grad.cpu().double() - reference.grad).norm() < of_gradient * reference.grad.norm()


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
