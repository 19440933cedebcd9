"""The ceiling on the content term."""

import math

import pytest
import torch

from losses.content_ceiling import ContentCeiling, content_ceiling


def observe(ceiling, ratio):
    ceiling.observe(torch.tensor([3 * ratio]), torch.tensor([3.0]), torch.tensor([0]))


def test_ceiling_eases_style_while_content_is_above_it_and_recovers():
    ceiling = ContentCeiling(ceiling=1.0, total_steps=100)
    assert ceiling.level().item() == 1.0
    levels = []
    for _ in range(10):
        observe(ceiling, 1.5)
        levels.append(ceiling.level().item())
    assert levels == sorted(levels, reverse=True) and levels[-1] < levels[0] < 1.0
    eased = levels[-1]
    for _ in range(5):
        observe(ceiling, 0.5)
    assert eased < ceiling.level().item() < 1.0


def test_ceiling_stays_within_its_bounds():
    ceiling = ContentCeiling(ceiling=1.0, total_steps=10)
    for _ in range(100):
        observe(ceiling, 50.0)
    assert ceiling.level().item() == pytest.approx(ContentCeiling.LOWEST_LEVEL, rel=1e-5)
    for _ in range(100):
        observe(ceiling, 0.0)
    assert ceiling.level().item() == 1.0


def test_ceiling_follows_the_weights():
    assert content_ceiling(1.0, 60.0) == pytest.approx(1.0)
    assert content_ceiling(2.0, 120.0) == pytest.approx(1.0)
    assert content_ceiling(1.0, 120.0) > 1.0 > content_ceiling(2.0, 60.0)
    assert content_ceiling(1.0, 600.0) > content_ceiling(1.0, 120.0)
    assert content_ceiling(0.0, 60.0) == content_ceiling(1.0, 0.0) == math.inf
