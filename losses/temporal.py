"""The term for films: the network paints two views of one thing alike.

The loss of Ruder et al. (2016, section 3.3) and Gupta et al. (2017), with a motion that is known in place of an
estimated flow: the second view is made of the photograph itself, see :mod:`training.second_view`.
"""

from typing import NamedTuple

import torch
from torch.nn import functional as F


class Views(NamedTuple):
    """What is known of a batch whose second half are second views of its first half."""

    motion: torch.Tensor  # N x H x W x 2, as in warp()
    soft: torch.Tensor  # N, true or false: the photographs that were softened, which are to be calm


def warp(images: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Images as they look after a motion, w(x), by bicubic interpolation; what lies beyond the edge is mirrored in.

    Args:
        images: N x C x H x W.
        motion: N x H x W x 2, float32: for each pixel of the result, the place (x, y) in the image that it shows, as
            ``torch.nn.functional.grid_sample`` takes it: -1 and 1 are the outer edges of the outermost pixels.
    """
    return F.grid_sample(images.float(), motion, mode="bicubic", padding_mode="reflection", align_corners=False)


def temporal_loss(stylized: torch.Tensor, moved: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the stylized second view and the moved stylized view: ||N(w(x)) - w(N(x))||^2.

    Over the channels and the pixels that both views see, and then over the batch, so that a pair counts the same in any
    batch; values in [0, 1], as E_warp is given in. ``stylized`` is N(x), ``moved`` N(w(x)), N x 3 x H x W each, RGB in
    [0, 255]; ``motion`` is w, as in :func:`warp`. Gives a scalar, not negative; 0 where the views have nothing in
    common.
    """
    seen = (motion.abs() <= 1).all(-1)[:, None]  # N x 1 x H x W
    squares = ((moved.float() - warp(stylized, motion)) / 255).square().mean(1, keepdim=True)
    means = torch.where(seen, squares, 0).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp_min(1)
    return means.mean()
