"""SOAP against Adam where both must agree, and where it must be better."""

import pytest
import torch

from training.soap import SOAP


def gradients(shape, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(steps)]


def moved(optimizer_class, start, given, **options):
    parameter = torch.nn.Parameter(start.clone())
    optimizer = optimizer_class([parameter], **options)
    for gradient in given:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_vectors_are_moved_as_by_adam(weight_decay):
    start, options = torch.linspace(-1, 1, 7), {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": weight_decay}
    given = gradients((7,), 12)
    torch.testing.assert_close(moved(SOAP, start, given, **options), moved(torch.optim.Adam, start, given, **options))


def test_kernels_are_moved_as_by_adam_in_their_own_basis():
    """Gradients that are diagonal in a rotated basis: rotating back, Adam has one step for each diagonal entry."""
    rotations = [torch.linalg.qr(matrix).Q for matrix in gradients((5, 5), 2, seed=1)]
    scales = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    diagonals = [scales * (1 + 0.1 * noise) for noise in gradients((5,), 9, seed=2)]
    given = [(rotations[0] @ torch.diag(d) @ rotations[1].T).view(5, 5, 1, 1) for d in diagonals]
    options = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-2}  # far above the rounding beside the diagonal
    ours = moved(SOAP, torch.zeros(5, 5, 1, 1), given, **options).view(5, 5)
    # The first gradient is what the bases are measured on, and moves nothing.
    adams = moved(torch.optim.Adam, torch.zeros(5), diagonals[1:], **options)
    torch.testing.assert_close(ours, rotations[0] @ torch.diag(adams) @ rotations[1].T, rtol=1e-3, atol=1e-4)


def test_a_badly_scaled_quadratic_is_descended_further_than_by_adam():
    generator = torch.Generator().manual_seed(3)
    left = torch.randn(8, 8, generator=generator) @ torch.diag(torch.logspace(0, -2, 8))
    right = torch.randn(6, 6, generator=generator) @ torch.diag(torch.logspace(0, -2, 6))
    target = torch.randn(8, 6, 3, 3, generator=generator)
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=generator)).Q @ m.T for n, m in ((8, left), (6, right)))

    def descended(optimizer_class):
        parameter = torch.nn.Parameter(torch.zeros_like(target))
        optimizer = optimizer_class([parameter], lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            loss = torch.einsum("ai,ijkl,bj->abkl", left, parameter - target, right).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert descended(SOAP) < 0.5 * descended(torch.optim.Adam)
