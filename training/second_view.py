"""Photographs as films show them: some out of focus, each with a second view, moved as the next frame might be."""

import math
import random
from collections.abc import Sequence

import torch
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from losses.temporal import warp

# The furthest that a second view goes.
SHIFT = 0.05  # of the middle, in sides of the picture: 13 pixels of 256
ZOOM = 0.05  # change of size
ROTATION = math.radians(3)  # about the middle
PERSPECTIVE = 0.02  # change of size between the middle and an edge
EXPOSURE = 0.05  # change of brightness, as a camera's automatic exposure makes
NOISE = 6.0  # standard deviation of its noise, grey levels

SOFT = 0.4  # share of the photographs that are softened
BLUR = (1.5, 6.0)  # standard deviation of the blur, pixels
STRENGTH = (0.7, 1.0)  # part of the detail that it takes
EVERYWHERE = 0.3  # share of those that are soft everywhere, not in places alone


def soften(photographs: torch.Tensor, seeds: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put some photographs out of focus, as much of most films is.

    Most of the detail of a soft area is the camera's noise. Normalisation layers amplify it, and a network that has not
    met such areas makes strokes of it, other ones in each frame.

    Args:
        photographs: N x 3 x H x W, RGB in [0, 255], H and W of 20 or more.
        seeds: N, one for each photograph.

    Returns:
        The photographs, and N, true for those that are softened.
    """
    results, soft = [], []
    for photograph, seed in zip(photographs.split(1), seeds):
        rng = random.Random(f"soft {seed}")
        soft.append(rng.random() < SOFT)
        if soft[-1]:
            deviation, strength = rng.uniform(*BLUR), rng.uniform(*STRENGTH)
            if rng.random() >= EVERYWHERE:
                places = torch.tensor([[[[rng.gauss(0.4, 1) for _ in range(3)] for _ in range(3)]]])
                places = places.to(photograph.device, non_blocking=True)
                places = F.interpolate(places, photograph.shape[-2:], mode="bicubic", align_corners=True)
                strength = strength * (4 * places).sigmoid()
            blurred = gaussian_blur(photograph, [2 * math.ceil(3 * deviation) + 1] * 2, [deviation] * 2)
            photograph = torch.lerp(photograph, blurred, strength)
        results.append(photograph)
    return torch.cat(results), torch.tensor(soft).to(photographs.device, non_blocking=True)


def second_views(photographs: torch.Tensor, seeds: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Photographs moved at random, with another exposure and new noise.

    Small motions are as frequent as large ones: a camera may stand still.

    Args:
        photographs: N x 3 x H x W, RGB in [0, 255].
        seeds: N, one for each photograph; it gives the same view in any batch, on the same kind of device.

    Returns:
        The views, with what lies beyond the edge mirrored in; and N x H x W x 2, the motion as
        :func:`losses.temporal.warp` takes it.
    """
    chances, device = [random.Random(seed) for seed in seeds], photographs.device
    matrices = torch.tensor([random_homography(rng) for rng in chances]).to(device, non_blocking=True)
    motion = grid(matrices, *photographs.shape[-2:])
    drawn = [(1 + rng.uniform(-EXPOSURE, EXPOSURE), rng.uniform(0, NOISE)) for rng in chances]
    exposure, deviation = torch.tensor(drawn).to(device, non_blocking=True).T[..., None, None, None]
    generators = [torch.Generator(device).manual_seed(rng.getrandbits(62)) for rng in chances]
    noise = torch.stack([torch.randn(photographs.shape[1:], generator=one, device=device) for one in generators])
    views = warp(photographs, motion) * exposure + noise * deviation
    return views.clamp(0, 255), motion


def random_homography(rng: random.Random) -> list[list[float]]:
    """3 x 3, from places in the second view to places in the first, -1 and 1 being the edges of a square picture."""
    size = rng.random()

    def drawn(most: float) -> float:
        return size * rng.uniform(-most, most)

    angle, zoom = drawn(ROTATION), 1 + drawn(ZOOM)
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    # The picture is two units wide.
    return [
        [cosine, -sine, drawn(2 * SHIFT)],
        [sine, cosine, drawn(2 * SHIFT)],
        [drawn(PERSPECTIVE), drawn(PERSPECTIVE), 1.0],
    ]


def grid(matrices: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """N x 3 x 3 homographies as N x height x width x 2 places (x, y), for the centre of every pixel."""
    x, y = ((2 * torch.arange(side, device=matrices.device) + 1) / side - 1 for side in (width, height))
    y, x = torch.meshgrid(y, x, indexing="ij")
    places = torch.einsum("nij,jhw->nhwi", matrices, torch.stack([x, y, torch.ones_like(x)]))
    return places[..., :2] / places[..., 2:]
