"""Smoothing of a painting along its brush strokes: what canvas, scan and JPEG left on it goes, the strokes stay."""

import math

import torch
from torch.nn import functional as F


def smooth_strokes(picture: torch.Tensor, smoothing: float) -> torch.Tensor:
    """A painting, 1 x 3 x H x W, floating point, RGB in [0, 255], averaged along the lines of its strokes.

    Twice over, each pixel becomes a weighted mean of those on the line through it that follows the strokes (line
    integral convolution: Cabral and Leedom, 1993), in whose direction a structure tensor finds the least change
    (Kyprianidis and Kang, 2011, section 3). Each channel keeps its mean and standard deviation. ``smoothing``, pixels,
    is the standard deviation of the weights along the line, which ends after two of them on both sides, and of the
    window in which directions are measured. 0 leaves the picture as it is.
    """
    if not smoothing:
        return picture
    smooth = picture
    for _ in range(2):
        smooth = _along_lines(smooth, stroke_directions(smooth, smoothing), smoothing)
    spread, mean = torch.std_mean(picture, dim=(2, 3), correction=0, keepdim=True)
    left, left_mean = torch.std_mean(smooth, dim=(2, 3), correction=0, keepdim=True)
    smooth = (smooth - left_mean) * torch.where(left > 0, spread / left, 1) + mean
    return smooth.clamp(0, 255)


def stroke_directions(picture: torch.Tensor, window: float) -> torch.Tensor:
    """Unit vectors along the strokes, 1 x 2 x H x W, x and y; a vector and its negative mean the same.

    Across the strokes the luminance of the picture, 1 x 3 x H x W, changes most, in a Gaussian window whose standard
    deviation is ``window`` pixels.
    """
    luminance = (picture * picture.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    fine = F.pad(_gaussian(luminance, 1.0), (1, 1, 1, 1), mode="replicate")
    slope = fine.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    x, y = F.conv2d(fine, torch.stack([slope, slope.T]).unsqueeze(1)).split(1, dim=1)
    xx, xy, yy = _gaussian(torch.cat([x * x, x * y, y * y], 1), window).split(1, dim=1)
    across = 0.5 * torch.atan2(2 * xy, xx - yy)
    return torch.cat([-across.sin(), across.cos()], 1)


def _along_lines(picture: torch.Tensor, directions: torch.Tensor, deviation: float) -> torch.Tensor:
    height, width = picture.shape[-2:]
    sides = (torch.arange(side, dtype=picture.dtype, device=picture.device) for side in (width, height))
    start = torch.stack(torch.meshgrid(*sides, indexing="xy"))[None]
    total, weights = picture.clone(), 1.0
    for way in (directions, -directions):
        place, step = start, way
        for distance in range(1, math.ceil(2 * deviation) + 1):
            place = place + step
            weight = math.exp(-0.5 * (distance / deviation) ** 2)
            total += weight * _at(picture, place)
            weights += weight
            found = _at(directions, place)
            # The sign of a direction means nothing: the line goes on, it does not turn back.
            step = torch.where((found * step).sum(1, keepdim=True) < 0, -found, found)
    return total / weights


def _at(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Values at places in pixels, x and y, 1 x 2 x H x W: bilinear, beyond the border the nearest."""
    height, width = values.shape[-2:]
    sides = places.new_tensor([width - 1, height - 1]).clamp(min=1).view(1, 2, 1, 1)
    grid = (2 * places / sides - 1).permute(0, 2, 3, 1)
    return F.grid_sample(values, grid, padding_mode="border", align_corners=True)


def _gaussian(values: torch.Tensor, deviation: float) -> torch.Tensor:
    """Each channel under a Gaussian, cut off after four deviations; beyond the border, the nearest pixel's value."""
    reach = math.ceil(4 * deviation)
    kernel = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (kernel / deviation) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(values.shape[1], 1, 1, -1)
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel, groups=values.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=values.shape[1])
