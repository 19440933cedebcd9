"""torch.compile: the same training, or a sentence that says why not."""

import copy
from types import SimpleNamespace

import pytest
import torch

from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics, same
from training import compilation
from utils.device import Compute

PLAN = [
    "--image_size", 32, "--batch_size", 2, "--num_epochs", 10, "--total_steps", 6, "--device", "cpu",
    "--precision", "float32", "--monitor_every_steps", 0, "--checkpoint_every_steps", 3,
    "--log_every_steps", 1, "--optimizer", "adam", "--lr", 1e-3, "--norm", "batch",
    # The paper's balance of the layers, and no term of ours: where rounding is amplified the least.
    "--style_weight", 60, "--tv_weight", 0.05, "--style_layer_weights", 1, 1, 1, 1, 1, "--checkerboard_weight", 0,
    "--content_layer", "relu4_2",
]  # fmt: skip


@pytest.fixture
def train(call_cli, training_inputs, tmp_path):
    def run(name, *arguments):
        result = call_cli("begin_training.py", *training_inputs, *PLAN, "--output_dir", tmp_path / name, *arguments)
        assert result.returncode == 0, result.stderr
        return load_checkpoint(tmp_path / name / "stripes.pth").network.state_dict(), result.stdout + result.stderr

    yield run
    torch.compiler.reset()


@pytest.mark.slow
def test_compiled_training_is_plain_training(train, monkeypatch, tmp_path):
    """Through the tracing, the autograd and the functional form of torch.compile, without a compiler at the end."""
    monkeypatch.setattr(compilation, "BACKEND", "aot_eager")
    _, printed = train("plain")
    assert "Compil" not in printed
    _, printed = train("compiled", "--compile", "on")
    assert "Compiled in" in printed
    plain, compiled = read_metrics(tmp_path / "plain"), read_metrics(tmp_path / "compiled")
    assert len(plain) == len(compiled) == 6
    for ours, theirs in zip(compiled, plain):  # Adam's first steps make much of rounding: not bit for bit
        assert ours["total"] == pytest.approx(theirs["total"], rel=1e-3)
        assert ours["raw"] == pytest.approx(theirs["raw"], rel=1e-2)


def test_a_compiler_that_fails_is_named(soon_begun, call_cli, training_inputs, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "BACKEND", "no_such_backend")
    error = call_cli("begin_training.py", *training_inputs, *PLAN, "--output_dir", tmp_path, "--compile", "on").error
    assert "--compile on does not work here" in error and "no_such_backend" in error


def test_trying_out_leaves_no_trace(monkeypatch):
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3))

    class Criterion(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, stylized, images, views):
            self.seen.add_(1)
            return SimpleNamespace(total=(stylized - images).square().sum())

    criterion, before = Criterion(), copy.deepcopy(network.state_dict())
    compute = Compute(torch.device("cpu"), torch.float32)
    state = SimpleNamespace(network=network, objective=criterion, compute=compute)
    compilation.compile_step(state, (torch.rand(2, 3, 4, 4),), None)
    assert criterion.seen == 0
    assert same(before, network.state_dict())
    assert all(parameter.grad is None for parameter in network.parameters())
    torch.compiler.reset()


def test_compiling_in_several_processes_is_refused(call_cli, training_inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = call_cli("begin_training.py", *training_inputs, "--output_dir", tmp_path, "--compile", "on")
    assert "--compile on does not work in several processes" in result.error
