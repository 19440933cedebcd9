"""torch.compile: the same training, or a sentence that says why not."""

import copy

import pytest
import torch

from tests.comparing import read_metrics, same
from training import state as training_state
from training.build import build_state

PLAN = [
    "--total_steps", 6, "--checkpoint_every_steps", 3, "--optimizer", "adam", "--lr", 1e-3, "--norm", "batch",
    # The paper's balance of the layers, and no term of ours: where rounding is amplified the least.
    "--style_weight", 60, "--tv_weight", 0.05, "--style_layer_weights", 1, 1, 1, 1, 1, "--checkerboard_weight", 0,
    "--content_layer", "relu4_2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def reset():
    yield
    torch.compiler.reset()


@pytest.mark.slow
def test_compiled_training_is_plain_training(train, monkeypatch, tmp_path):
    """Through the tracing, the autograd and the functional form of torch.compile, without a compiler at the end."""
    monkeypatch.setattr(training_state, "BACKEND", "aot_eager")
    assert "Compil" not in train(*PLAN, "--output_dir", tmp_path / "plain").ok()
    assert "Compiled in" in train(*PLAN, "--output_dir", tmp_path / "compiled", "--compile", "on").ok()
    plain, compiled = read_metrics(tmp_path / "plain"), read_metrics(tmp_path / "compiled")
    assert len(plain) == len(compiled) == 6
    for ours, theirs in zip(compiled, plain):  # Adam's first steps make much of rounding: not bit for bit
        assert ours["total"] == pytest.approx(theirs["total"], rel=1e-3)
        assert ours["raw"] == pytest.approx(theirs["raw"], rel=1e-2)


def test_a_compiler_that_fails_is_named(train, monkeypatch):
    monkeypatch.setattr(training_state, "BACKEND", "no_such_backend")
    error = train("--compile", "on").error
    assert "--compile on does not work here" in error and "no_such_backend" in error


@pytest.mark.slow
def test_trying_out_leaves_no_trace(small_config, monkeypatch):
    monkeypatch.setattr(training_state, "BACKEND", "eager")
    state = build_state(small_config())
    before = [copy.deepcopy(module.state_dict()) for module in (state.network, state.objective)]
    state.compile(*state.batch_of(next(state.calibration_batches()), step=1))
    assert same(before, [state.network.state_dict(), state.objective.state_dict()])
    assert all(parameter.grad is None for parameter in state.network.parameters())


def test_compiling_in_several_processes_is_refused(train, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--compile on does not work in several processes" in train("--compile", "on").error
