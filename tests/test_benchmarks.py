"""The baseline computes what ours does, and the commands print their tables."""

import pytest
import torch

from benchmarks.common import training_inputs
from benchmarks.training import plain
from config import TrainingConfig
from training.build import build_state


@pytest.fixture
def command(call_cli):
    """``command(module, *args)`` runs a benchmark with tiny numbers, and gives what it printed."""
    return lambda module, *args: call_cli(f"benchmarks.{module}", *args, "--rounds", 1).ok()


def test_the_baseline_is_the_same_training(tmp_path, vgg_file):
    inputs = training_inputs(tmp_path, 4, 64, str(vgg_file))
    config = TrainingConfig(**inputs, image_size=32, batch_size=2, width=0.25, device="cpu")
    ours = build_state(config)
    photographs = next(ours.calibration_batches())
    losses = [ours.objective(ours.network(photographs), photographs)]
    with plain():
        theirs = build_state(config)
        losses.append(theirs.objective(theirs.network(photographs.contiguous()), photographs.contiguous()))
    for name, value in losses[0].raw.items():
        torch.testing.assert_close(value, losses[1].raw[name], rtol=1e-3, atol=1e-6)
    assert {type(module) for module in theirs.network.modules()}.isdisjoint(
        type(module) for module in ours.network.modules() if "cpu_kernels" in type(module).__module__
    )


def test_training(command, vgg_file):
    flags = ["--device", "cpu", "--image_size", 32, "--batch_size", 1, "--width", 0.25, "--vgg_weights", vgg_file]
    printed = command("training", *flags)
    assert "| plain PyTorch, float32 |" in printed and "| ours |" in printed


def test_inference(command):
    printed = command("inference", "--device", "cpu", "--model_path", "fast/wave", "--sizes", 16, 20)
    assert "| 16² | fast/wave |" in printed and "| 20² |" in printed


def test_video(command):
    pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")
    small = ["--model_path", "fast/wave", "--sizes", "64x48", "--frames", 2]
    assert "| 64 x 48 |" in command("video", "--device", "cpu", *small)


@pytest.mark.slow
def test_page(command):
    for module in ("starlette", "uvicorn", "websockets"):
        pytest.importorskip(module, reason="needs requirements-demo.txt")
    printed = command("page", "--device", "cpu", "--sizes", "64x48", "--frame", "32x24", "--seconds", 0.5)
    assert "| 64 x 48 |" in printed and "webcam of 32 x 24" in printed
