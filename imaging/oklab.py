"""Oklab, a perceptual colour space: Björn Ottosson, "A perceptual color space for image processing" (2020).

Lightness L is 0 for black and 1 for white; a (green to red) and b (blue to yellow) are both 0 for greys. Pictures are
N x 3 x H x W, float32; RGB is sRGB in [0, 255].
"""

import torch

_LMS_FROM_RGB = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float64,
)
_LAB_FROM_LMS = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float64,
)
# The published figures are rounded in the tenth place. Rows that sum to 1, and to 1, 0, 0, keep greys on the axis.
_LMS_FROM_RGB /= _LMS_FROM_RGB.sum(1, keepdim=True)
_LAB_FROM_LMS[0] /= _LAB_FROM_LMS[0].sum()
_LAB_FROM_LMS[1:] -= _LAB_FROM_LMS[1:].mean(1, keepdim=True)


def rgb_to_oklab(images: torch.Tensor) -> torch.Tensor:
    """sRGB in [0, 255], which is clamped, to Oklab."""
    encoded = images.clamp(0, 255) / 255
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return _mix(_LAB_FROM_LMS, _mix(_LMS_FROM_RGB, linear).clamp(min=0) ** (1 / 3))


def oklab_to_rgb(lab: torch.Tensor) -> torch.Tensor:
    """Oklab to sRGB in [0, 255]; colours that sRGB lacks are clamped, channel by channel."""
    linear = _oklab_to_linear(lab).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def reduce_chroma(lab: torch.Tensor) -> torch.Tensor:
    """Bring colours that sRGB lacks to the most colourful of the same lightness and hue, to 1 part in 4096; L ≤ 1."""
    linear, result = _oklab_to_linear(lab), lab.movedim(1, -1).clone()
    outside = ((linear < -1e-4) | (linear > 1 + 1e-4)).any(1)
    colours = result[outside].T[None, :, :, None]  # 1 x 3 x pixels x 1
    low, high = torch.zeros_like(colours), torch.ones_like(colours)
    low[:, 0] = 1  # times lightness, which stays
    for _ in range(12):
        middle = (low + high) / 2
        linear = _oklab_to_linear(colours * middle)
        fits = ((linear >= 0) & (linear <= 1)).all(1, keepdim=True)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    result[outside] = (colours * low)[0, :, :, 0].T
    return result.movedim(-1, 1)


def _oklab_to_linear(lab: torch.Tensor) -> torch.Tensor:
    return _mix(_LMS_FROM_RGB.inverse(), _mix(_LAB_FROM_LMS.inverse(), lab) ** 3)


def _mix(matrix: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """A 3 x 3 matrix times the channels of each pixel."""
    # Sums written out: a matrix product may run in a reduced precision on GPUs, and needs the channels last.
    rows = [sum(float(weight) * images[:, i : i + 1] for i, weight in enumerate(row)) for row in matrix]
    return torch.cat(rows, 1)
