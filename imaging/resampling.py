"""Parts of a resized picture, each computed alone and yet the same as in the whole."""

import math

import numpy as np
import torch
from PIL import Image


def resized_region(
    image: Image.Image | torch.Tensor, size: tuple[int, int], box: tuple[int, int, int, int], filter: str = "bicubic"
) -> torch.Tensor:
    """What a picture resized to ``size``, (width, height), shows inside ``box``, (left, top, right, bottom).

    The picture is Pillow's, of mode ``L``, ``RGB`` or ``RGBA``, or N x channels x H x W in [0, 255], of any type, on
    any device. The filter is ``"bicubic"`` (Keys, 1981, with a = -1/2) or ``"lanczos"`` (of three lobes), as Pillow's,
    whose own ``resize(box=...)`` gives parts that differ from the whole by up to 26 of 255 grey levels.

    Returns N x channels x height x width of the box, float32, on the picture's device, in [0, 255] but for overshoot
    at edges.
    """
    is_tensor = isinstance(image, torch.Tensor)
    width, height = reversed(image.shape[-2:]) if is_tensor else image.size
    left, right, columns = _weights(box[0], box[2], width, size[0], filter)
    top, bottom, rows = _weights(box[1], box[3], height, size[1], filter)
    if is_tensor:
        planes = image[..., top:bottom, left:right].float()
    else:
        pixels = np.array(image.crop((left, top, right, bottom)), dtype=np.float32)
        planes = torch.from_numpy(pixels).reshape(1, bottom - top, right - left, -1).permute(0, 3, 1, 2)
    return rows.to(planes.device) @ planes @ columns.T.to(planes.device)


def resized(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """N x channels x H x W resized to (width, height) by Lanczos' filter, float32; see :func:`resized_region`."""
    width, height = size
    result = torch.empty(*images.shape[:2], height, width, device=images.device)
    side = 256  # at a time: the filter is applied as a product with a matrix, which is empty but for a band
    for top in range(0, height, side):
        for left in range(0, width, side):
            box = left, top, min(left + side, width), min(top + side, height)
            result[..., top : box[3], left : box[2]] = resized_region(images, size, box, "lanczos")
    return result


def _weights(start: int, stop: int, source: int, target: int, filter: str) -> tuple[int, int, torch.Tensor]:
    """``(first, last, matrix)``: places start ... stop of ``target`` from places first ... last of ``source``."""
    scale = source / target
    width = max(scale, 1.0)  # of the filter: a reduction takes the mean over more pixels
    reach = {"bicubic": 2, "lanczos": 3}[filter] * width
    centres = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * scale
    first = max(0, math.floor(centres[0].item() - reach))
    last = min(source, math.ceil(centres[-1].item() + reach))
    x = ((torch.arange(first, last, dtype=torch.float64) + 0.5 - centres[:, None]) / width).abs()
    if filter == "lanczos":
        matrix = torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)
    else:
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        matrix = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return first, last, (matrix / matrix.sum(1, keepdim=True)).float()
