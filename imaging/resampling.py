"""Parts of a resized picture, each computed alone and yet the same as in the whole."""

import math

import numpy as np
import torch
from PIL import Image


def resized_region(image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int]) -> torch.Tensor:
    """What ``image`` resized to ``size`` shows inside ``box``, by the bicubic filter of Keys (1981) with a = -1/2.

    Pillow's own ``resize(box=...)`` gives parts that differ from the whole by up to 26 of 255 grey levels.

    Args:
        image: mode ``L``, ``RGB`` or ``RGBA``.
        size: (width, height) of the whole.
        box: (left, top, right, bottom) in the whole.

    Returns:
        1 x channels x height x width of the box, float32, in [0, 255] but for overshoot at edges.
    """
    left, right, columns = _weights(box[0], box[2], image.width, size[0])
    top, bottom, rows = _weights(box[1], box[3], image.height, size[1])
    pixels = np.array(image.crop((left, top, right, bottom)), dtype=np.float32)
    planes = torch.from_numpy(pixels.reshape(bottom - top, right - left, -1)).permute(2, 0, 1)
    return (rows @ planes @ columns.T)[None]


def _weights(start: int, stop: int, source: int, target: int) -> tuple[int, int, torch.Tensor]:
    """``(first, last, matrix)``: places start ... stop of ``target`` from places first ... last of ``source``."""
    scale = source / target
    width = max(scale, 1.0)  # of the filter: a reduction takes the mean over more pixels
    centres = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * scale
    first = max(0, math.floor(centres[0].item() - 2 * width))
    last = min(source, math.ceil(centres[-1].item() + 2 * width))
    x = ((torch.arange(first, last, dtype=torch.float64) + 0.5 - centres[:, None]) / width).abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    matrix = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return first, last, (matrix / matrix.sum(1, keepdim=True)).float()
