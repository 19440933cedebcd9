"""Reduced precision does not show: not in pictures, not in the course of a training."""

import math
from pathlib import Path

import pytest
import torch

from imaging.reading import read_image
from imaging.tensors import picture_batch
from inference.stylizer import Stylizer

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "checkpoints").glob("*.pth"))


def psnr(one, other):
    return 10 * math.log10(255**2 / (one - other).square().mean().item())


@pytest.mark.parametrize("model", MODELS[:1], ids=lambda path: path.stem)
def test_shipped_styles_look_the_same_in_bfloat16(model):
    content_image = picture_batch(read_image(ROOT / "content" / "mountains.jpg"), 64)
    stylizers = [Stylizer(model, "cpu", precision) for precision in ("float32", "bfloat16")]
    full, half = (stylizer.stylize_tensor(content_image) for stylizer in stylizers)
    assert not torch.equal(full, half)
    assert psnr(full, half) > 40
