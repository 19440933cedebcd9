"""What can be measured on a picture without the loss network, as pure functions of tensors; float64, on the CPU."""

import torch

from losses.functional import luminance, sorted_rows
from losses.tones import half_sphere

PALETTE_PIXELS = 2**16
"""Pixels that are drawn of each of two palettes."""

PALETTE_DIRECTIONS = 32
"""Directions through the colour cube along which two palettes are compared."""


def tones(images: torch.Tensor) -> torch.Tensor:
    """Contrast of a picture's luminance.

    Args:
        images: N x 3 x H x W, RGB in [0, 255]; H and W at least 2.

    Returns:
        N x 3, float64, grey levels: the tonal range from the 1st to the 99th percentile; the standard deviation; and
        the mean gradient, the length of (dx, dy) between each pixel and its neighbours to the right and below.
    """
    grey = luminance(images.cpu().double())[:, 0]  # Apple's MPS has no float64
    low, high = grey.flatten(1).quantile(grey.new_tensor([0.01, 0.99]), dim=1)
    right, down = grey[:, :-1, 1:] - grey[:, :-1, :-1], grey[:, 1:, :-1] - grey[:, :-1, :-1]
    return torch.stack([high - low, grey.std((1, 2), correction=0), right.hypot(down).mean((1, 2))], 1)


def palette_distance(images: list[torch.Tensor], others: list[torch.Tensor], seed: int = 0) -> float:
    """Sliced Wasserstein distance between the colours of two sets of pictures (Rabin et al., 2011).

    Pixels count by their colours alone, wherever they are. :data:`PALETTE_PIXELS` of each set are drawn at random, and
    their positions along each of :data:`PALETTE_DIRECTIONS` directions, spread evenly, are sorted and compared.

    Args:
        images, others: N x 3 x H x W each, RGB in [0, 255], of any sizes.
        seed: of the draw.

    Returns:
        Root mean square of the differences, grey levels; 0 for equal palettes. Two draws of one palette are 1 or less
        apart.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = half_sphere(PALETTE_DIRECTIONS)

    def slices(pictures: list[torch.Tensor]) -> torch.Tensor:  # directions x PALETTE_PIXELS
        colours = torch.cat([picture.cpu().movedim(1, -1).reshape(-1, 3) for picture in pictures])  # pixels x 3
        drawn = colours[torch.randint(len(colours), (PALETTE_PIXELS,), generator=generator)]
        return sorted_rows(directions @ drawn.float().T)

    return (slices(images) - slices(others)).double().square().mean().sqrt().item()


def psnr(images: list[torch.Tensor], references: list[torch.Tensor]) -> float:
    """Peak signal-to-noise ratio in dB, mean over the pictures: 1 x 3 x H x W each, RGB in [0, 255]."""
    errors = [(one.float() - other.float()).square().mean() for one, other in zip(images, references, strict=True)]
    return (10 * (255**2 / torch.stack(errors).clamp_min(1e-3)).log10()).mean().item()
