"""What can be measured on a picture without the loss network."""

import math

import torch
from PIL import Image

from imaging.tensors import image_to_tensor
from inference.stylizer import Stylizer
from losses.functional import luminance, sorted_rows
from losses.tones import half_sphere


def tones(images: torch.Tensor) -> torch.Tensor:
    """Contrast of a picture's luminance.

    Args:
        images: N x 3 x H x W, RGB in [0, 255]; H and W at least 2.

    Returns:
        N x 3, float64, on the CPU, grey levels: the tonal range from the 1st to the 99th percentile; the standard
        deviation; and the mean gradient, the length of (dx, dy) from a pixel to its neighbours to the right and below.
    """
    grey = luminance(images.cpu().double())[:, 0]  # Apple's MPS has no float64
    low, high = grey.flatten(1).quantile(grey.new_tensor([0.01, 0.99]), dim=1)
    right, down = grey[:, :-1, 1:] - grey[:, :-1, :-1], grey[:, 1:, :-1] - grey[:, :-1, :-1]
    return torch.stack([high - low, grey.std((1, 2), correction=0), right.hypot(down).mean((1, 2))], 1)


def palette_distance(images: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """Sliced Wasserstein distance between the colours of two sets of pictures (Rabin et al., 2011).

    65,536 pixels of each set are drawn at random, wherever they are, and their positions along 32 directions through
    the colour cube, spread evenly, are sorted and compared.

    Args:
        images, others: N x 3 x H x W each, RGB in [0, 255], of any sizes.

    Returns:
        Root mean square of the differences, grey levels. Two draws of one palette are 1 or less apart.
    """
    generator, directions = torch.Generator().manual_seed(0), half_sphere(32)

    def slices(pictures: list[torch.Tensor]) -> torch.Tensor:  # directions x pixels
        colours = torch.cat([picture.cpu().movedim(1, -1).reshape(-1, 3) for picture in pictures])  # pixels x 3
        drawn = colours[torch.randint(len(colours), (2**16,), generator=generator)]
        return sorted_rows(directions @ drawn.float().T)

    return (slices(images) - slices(others)).double().square().mean().sqrt().item()


def psnr(images: list[torch.Tensor], references: list[torch.Tensor]) -> float:
    """Peak signal-to-noise ratio in dB, mean over the pictures: 1 x 3 x H x W each, RGB in [0, 255]."""
    errors = [(one.float() - other.float()).square().mean() for one, other in zip(images, references, strict=True)]
    return (10 * (255**2 / torch.stack(errors).clamp_min(1e-3)).log10()).mean().item()


def white_less_black(stylizer: Stylizer, photographs: list[torch.Tensor], plain: float) -> float:
    """How much brighter a style paints a white ground than a black one: means of RGB there, grey levels.

    Each photograph, 1 x 3 x H x W, RGB in [0, 255], is put in an ellipse on a ground, which takes the part ``plain``
    of the picture, 0.22 or more.
    """
    total = 0.0
    for photograph in photographs:
        height, width = photograph.shape[-2:]
        y = (torch.arange(height, dtype=torch.float64) + 0.5) / height - 0.5
        x = (torch.arange(width, dtype=torch.float64) + 0.5) / width - 0.5
        is_ground = y[:, None].square() + x.square() > (1 - plain) / math.pi
        for ground, sign in ((255, 1), (0, -1)):
            picture = photograph.masked_fill(is_ground.to(photograph.device), ground)
            total += sign * stylizer.stylize_tensor(picture)[..., is_ground].mean().item()
    return total / len(photographs)


def tone_figures(
    stylizer: Stylizer, pictures: list[torch.Tensor], photographs: list[torch.Tensor], painting: Image.Image
) -> dict[str, float]:
    """Contrast and colours of a style's pictures, of their photographs, 1 x 3 x H x W each, and of its painting."""
    painting = painting.copy()
    painting.thumbnail((2048, 2048), Image.Resampling.LANCZOS)
    paintings, found = [image_to_tensor(painting)[None]], {}
    for name, images in (("results", pictures), ("painting", paintings), ("photographs", photographs)):
        mean = torch.cat([tones(image) for image in images]).mean(0)
        found |= {f"{name}_{tone}": value for tone, value in zip(("range", "deviation", "gradient"), mean.tolist())}
    found["range_over_paintings"] = found["results_range"] / max(found["painting_range"], 1.0)
    found["palette_distance"] = palette_distance(pictures, paintings)
    found["photographs_palette_distance"] = palette_distance(photographs, paintings)
    for plain in (0.8, 0.95):
        found[f"white_less_black_{plain:.2f}"] = white_less_black(stylizer, photographs[:2], plain)
    return found
