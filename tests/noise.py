"""Random numbers and pictures, the same in every run."""

import torch


def random(*shape, seed=0, dtype=torch.float64):
    """Normal numbers, drawn in float64 whatever their type."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pictures(count, height=32, width=None, seed=0):
    """count x 3 x height x width, float32 in [0, 255]; square if no width is given."""
    return torch.rand(count, 3, height, width or height, generator=torch.Generator().manual_seed(seed)) * 255
