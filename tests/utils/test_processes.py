"""Two processes train as one does with their batches put together."""

import functools
import warnings
from pathlib import Path

import pytest
import torch

from config import TrainingConfig
from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics
from training.resume import share_batch
from utils.errors import UserError
from utils.processes import Processes

PARTING = """
import os, sys
import torch

sys.path.insert(0, os.getcwd())
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


@pytest.fixture
def two_processes(run_cli):
    """``two_processes(script, *args)``: run by torchrun, to the end."""
    return functools.partial(run_cli, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")
def test_gradients_are_averaged_and_parting_leaves_no_thread(two_processes, tmp_path):
    """One that outlasts the interpreter aborts it now and then."""
    (tmp_path / "parting.py").write_text(PARTING)
    result = two_processes(tmp_path / "parting.py")
    assert result.ok().splitlines() == ["True [0.5, 0.5]"] * 2
    assert "Warning" not in result.stderr


def test_batch_norm_in_several_processes_on_a_cpu_is_refused():
    with pytest.raises(UserError, match="--norm batch .* give --norm instance"):
        Processes(0, 2).prepare(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))


@pytest.mark.slow
@pytest.mark.parametrize("steps, flags", [(3, []), (1, ["--temporal_weight", 200])])
def test_two_processes_equal_one(run_cli, two_processes, small_training, tmp_path, steps, flags):
    common = [
        "begin_training.py", *small_training, "--width", 1, "--blocks", 5, "--total_steps", steps,
        "--checkpoint_every_steps", 1, "--optimizer", "adam", "--lr", 1e-3, "--tone_weight", 3, *flags,
    ]  # fmt: skip
    run_cli(*common, "--batch_size", 4, "--output_dir", tmp_path / "one").ok()
    two_processes(*common, "--output_dir", tmp_path / "two").ok()
    outputs = [tmp_path / "one", tmp_path / "two"]

    # After the first step Adam's first moment is a tenth of the gradient, of the network and of nothing else.
    one, two = (load_checkpoint(output / "stripes_training" / "step_000001.pth").resume_state for output in outputs)
    expected, found = (
        torch.cat([state["exp_avg"].flatten() for state in run["optimizer"]["state"].values()]) for run in (one, two)
    )
    assert (found - expected).norm() <= 1e-4 * expected.norm()
    assert two["position"] == one["position"] == 4
    assert two["objective"]["ceiling.log_level"] == pytest.approx(one["objective"]["ceiling.log_level"], rel=1e-4)

    # From then on they part by rounding alone.
    lines = [read_metrics(output) for output in outputs]
    assert len(lines[0]) == len(lines[1]) == steps  # one process writes
    for expected, found in zip(*lines):
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
def test_a_training_of_two_processes_goes_on_in_one(run_cli, two_processes, small_training, tmp_path):
    two_processes("begin_training.py", *small_training, "--output_dir", tmp_path).ok()
    folder = tmp_path / "stripes_training"
    result = run_cli("begin_training.py", "--checkpoint_path", folder, "--total_steps", 2)
    assert "resumed after step 1" in result.ok()
    last = load_checkpoint(folder / "step_000002.pth")
    assert last.provenance["settings"]["batch_size"] == 4 and last.resume_state["position"] == 8
