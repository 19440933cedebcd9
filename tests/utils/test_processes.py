"""Two processes train as one does with their batches put together."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from config import TrainingConfig
from training.resume import share_batch
from utils.errors import UserError
from utils.processes import Processes

ROOT = Path(__file__).resolve().parents[2]


PARTING = """
import os, sys
import torch
from utils.processes import Processes

processes = Processes.join(torch.device("cpu"))
network = processes.prepare(torch.nn.Linear(3, 3))
forward = processes.forward_of(network)
(forward(torch.ones(1, 3)).sum() * processes.rank).backward()
torch.optim.Adam(network.parameters()).step()
processes.wait()
threads = len(os.listdir("/proc/self/task"))
del forward
processes.leave()
threads -= len(os.listdir("/proc/self/task"))
gradients = [parameter.grad.unique().item() for parameter in network.parameters()]
sys.stdout.write(f"{threads >= 3} {gradients}\\n")  # one for the network, two for the work
"""


def run(*command, processes=1):
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*start, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")
def test_gradients_are_averaged_and_parting_leaves_no_thread(tmp_path):
    """One that outlasts the interpreter aborts it now and then."""
    (tmp_path / "parting.py").write_text(PARTING)
    result = run(tmp_path / "parting.py", processes=2)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["True [0.5, 0.5]"] * 2
    assert "Warning" not in result.stderr


def test_batch_norm_in_several_processes_on_a_cpu_is_refused():
    with pytest.raises(UserError, match="--norm batch .* give --norm instance"):
        Processes(0, 2).prepare(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))


@pytest.mark.slow
@pytest.mark.parametrize("steps, flags", [(3, []), (1, ["--temporal_weight", 200])])
def test_two_processes_equal_one(tmp_path, photos, style_image, vgg_file, steps, flags):
    common = [
        "begin_training.py",
        *("--style_image", style_image, "--dataset_dir", photos, "--vgg_weights", vgg_file),
        *("--image_size", 32, "--total_steps", steps, "--num_epochs", 9, "--monitor_every_steps", 0),
        *("--device", "cpu", "--precision", "float32", "--num_workers", 0, "--log_every_steps", 1),
        *("--checkpoint_every_steps", 1, "--optimizer", "adam", "--lr", 1e-3, "--tone_weight", 3),
        *flags,
    ]
    one = run(*common, "--batch_size", 4, "--output_dir", tmp_path / "one")
    two = run(*common, "--batch_size", 2, "--output_dir", tmp_path / "two", processes=2)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    folders = [tmp_path / run / f"{style_image.stem}_training" for run in ("one", "two")]

    # After the first step Adam's first moment is a tenth of the gradient, of the network and of nothing else.
    one, two = (torch.load(folder / "step_000001.pth", weights_only=True)["resume_state"] for folder in folders)
    expected, found = (
        torch.cat([state["exp_avg"].flatten() for state in run["optimizer"]["state"].values()]) for run in (one, two)
    )
    assert (found - expected).norm() <= 1e-4 * expected.norm()
    assert two["position"] == one["position"] == 4
    assert two["objective"]["ceiling.log_level"] == pytest.approx(one["objective"]["ceiling.log_level"], rel=1e-4)

    # From then on they part by rounding alone.
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in folders]
    assert len(lines[0]) == len(lines[1]) == steps  # one process writes
    for expected, found in zip(*(map(json.loads, run) for run in lines)):
        assert found["raw"] == pytest.approx(expected["raw"], rel=5e-3)
        assert found["content_to_grey"] == pytest.approx(expected["content_to_grey"], rel=5e-3)


@pytest.mark.parametrize("processes, batch_size, told", [(1, 6, False), (3, 2, False), (4, 2, True), (12, 1, True)])
def test_another_number_of_processes_takes_as_many_photographs_a_step(processes, batch_size, told):
    """The training had two, each with three photographs a step."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert share_batch(TrainingConfig(batch_size=3), 2, processes).batch_size == batch_size
    assert bool(caught) == told


@pytest.mark.slow
def test_a_training_of_two_processes_goes_on_in_one(tmp_path, photos, style_image, vgg_file):
    common = [
        *("begin_training.py", "--device", "cpu", "--precision", "float32", "--num_workers", 0),
        *("--monitor_every_steps", 0, "--vgg_weights", vgg_file, "--dataset_dir", photos, "--style_image", style_image),
        *("--image_size", 32, "--batch_size", 2, "--num_epochs", 9, "--output_dir", tmp_path),
    ]
    run(*common, "--total_steps", 1, processes=2)
    result = run(*common[:5], "--checkpoint_path", tmp_path / f"{style_image.stem}_training", "--total_steps", 2)
    assert "resumed after step 1" in result.stdout, result.stderr
    last = torch.load(tmp_path / f"{style_image.stem}_training" / "step_000002.pth", weights_only=True)
    assert last["provenance"]["settings"]["batch_size"] == 4 and last["resume_state"]["position"] == 8
