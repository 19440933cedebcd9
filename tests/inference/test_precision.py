"""Reduced precision does not show: not in pictures, not in the course of a training."""

import pytest
import torch

from evaluation.measures import psnr
from imaging.reading import read_image
from imaging.tensors import picture_batch
from inference.stylizer import Stylizer
from tests.comparing import read_metrics
from utils.device import resolve_compute
from utils.files import PROGRAM

MODELS = sorted((PROGRAM / "checkpoints").glob("*.pth"))


@pytest.mark.parametrize("model", MODELS[:2], ids=lambda path: path.stem)
def test_shipped_styles_look_the_same_in_bfloat16(model):
    content_image = picture_batch(read_image(PROGRAM / "content" / "mountains.jpg"), 96)
    stylizers = [Stylizer(model, "cpu", precision) for precision in ("float32", "bfloat16")]
    full, half = (stylizer.stylize_tensor(content_image) for stylizer in stylizers)
    assert not torch.equal(full, half)
    assert psnr([full], [half]) > 40


@pytest.mark.skipif(
    resolve_compute("cpu", "auto").dtype != torch.bfloat16,
    reason="without instructions for bfloat16 this processor takes many minutes",
)
def test_losses_of_a_training_in_bfloat16_are_those_of_float32(call_cli, real_inputs, tmp_path):
    (flags, name), totals = real_inputs, []
    for precision in ("float32", "bfloat16"):
        call_cli(
            "begin_training.py", *flags, "--output_dir", tmp_path / precision, "--image_size", 64, "--total_steps", 24,
            "--log_every_steps", 8, "--monitor_every_steps", 0, "--checkpoint_every_steps", 0, "--device", "cpu",
            "--precision", precision,
            # With the paper's optimiser and layers, where rounding is amplified the least.
            "--optimizer", "adam", "--lr", 1e-3, "--norm", "batch", "--style_weight", 60,
            "--style_layer_weights", 1, 1, 1, 1, 1, "--checkerboard_weight", 0, "--tv_weight", 0.05,
        ).ok()  # fmt: skip
        totals.append([line["total"] for line in read_metrics(tmp_path / precision, name)])
    assert totals[0] != totals[1] and len(totals[0]) == 3
    assert totals[1] == pytest.approx(totals[0], rel=0.02)
