"""The ceiling on the content term, which keeps the photograph from drowning in the style."""

import math

import torch
from torch import nn

from utils.processes import mean_over_processes

_LEAST = 1e-6  # of grey's content term, to divide by


class ContentCeiling(nn.Module):
    """Holds the content term of a batch below that of a plain grey picture, by easing the style term.

    The style term is multiplied by a level in [1/50, 1]. It starts at 1 and stays there as long as the content term is
    below ``ceiling`` times what a uniform grey picture would have on the same photographs; above it, where a picture
    shows less of its photograph than grey does, the level falls, and rises again once the network has learnt to do
    better. This is dual ascent on "minimise the sum, subject to content <= ceiling", with the style term eased instead
    of the content term raised, so that the size of the sum, and so of Adam's steps against weight decay, is kept.

    Args:
        ceiling: content term allowed, relative to grey's.
        total_steps: length of the training; the level needs about a twentieth of it to follow.
        styles: how many there are; each has a level of its own, which moves over a training as one alone would.
    """

    LOWEST_LEVEL = 1 / 50

    def __init__(self, ceiling: float, total_steps: int, styles: int = 1):
        super().__init__()
        # Over a whole training log(level) changes by 50 for each unit that content is off the ceiling.
        self.ceiling, self.gain = ceiling, 50.0 / total_steps
        self.register_buffer("log_level", torch.zeros(styles))

    def level(self) -> torch.Tensor:
        """The present level of each style, on the device."""
        return self.log_level.exp()

    @torch.no_grad()
    def observe(self, contents: torch.Tensor, greys: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Take note of a batch: N values each of the results' content term and of a grey picture's, and N styles.

        Gives the content term of the whole batch relative to grey's, a scalar. Nothing waits for the GPU.
        """
        # S x N: rows that take the mean over the batch of what belongs to a style.
        chosen = nn.functional.one_hot(style, len(self.log_level)).T.to(contents.dtype) / len(style)
        means = chosen @ torch.stack([contents, greys, torch.ones_like(greys)], 1)
        content, grey, share = mean_over_processes(means).T
        error = (self.ceiling - content / grey.clamp_min(_LEAST)).clamp(-1.0, 1.0)
        self.log_level.add_(self.gain * len(self.log_level) * share * error)
        self.log_level.clamp_(math.log(self.LOWEST_LEVEL), 0.0)
        return content.sum() / grey.sum().clamp_min(_LEAST)


def content_ceiling(content_weight: float, style_weight: float) -> float:
    """The ceiling for :class:`ContentCeiling`: 1 at a style weight of 60 times the content weight, rising with it.

    Infinite, which never eases, where either weight is zero. The exponent is how the content term follows the style
    weight: from 50 to 150 it rose by a fifth, 3 ** (1/6) (Starry Night, 1,000 steps, 128 px).
    """
    if content_weight == 0 or style_weight == 0:
        return math.inf
    return (style_weight / content_weight / 60.0) ** (1 / 6)
