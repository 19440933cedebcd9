"""Trainings that are killed again and again, and taken up by the same command to end as one that never was."""

import os
import random
import signal
import time

import pytest
import torch

from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics, same

KILLS = int(os.environ.get("STYLE_TRANSFER_KILLS", 3))
"""Of each kind. A run of the whole suite does with few; see docs/reliability.md."""

STEPS = 6


@pytest.fixture(scope="module")
def command(training_inputs):
    """Begins, resumes and finishes, whatever there is."""
    return [
        *training_inputs, "--image_size", 32, "--batch_size", 2, "--total_steps", STEPS,
        "--log_every_steps", 1, "--monitor_every_steps", 2, "--checkpoint_every_steps", 1, "--keep_checkpoints", 3,
        "--device", "cpu", "--precision", "float32", "--width", 0.5,
        "--num_workers", os.environ.get("STYLE_TRANSFER_KILLS_WORKERS", 0), "--resume", "--output_dir",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(fork_training, command, tmp_path_factory):
    """The output folder of a training that nothing happened to, and the seconds that it took."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    begin = time.monotonic()
    training = fork_training(*command, output)
    training.join()
    assert training.exitcode == 0, training.output.read_text()
    return output, time.monotonic() - begin


def contents(path):
    """All of a checkpoint but the paths in its provenance."""
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["provenance"]
    return checkpoint


def assert_finished_as(output, undisturbed):
    """Models, checkpoints and pictures bit for bit, every line of metrics once, and nothing left lying about."""
    files, expected = ({p.relative_to(o): p for p in o.rglob("*")} for o in (output, undisturbed))
    assert files.keys() == expected.keys()
    for name in files:
        if name.suffix == ".pth":
            assert same(contents(files[name]), contents(expected[name])), name
        elif name.suffix == ".png" and name.stem != "losses":
            assert files[name].read_bytes() == expected[name].read_bytes(), name
    lines, expected_lines = read_metrics(output), read_metrics(undisturbed)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["raw"] for line in lines] == [line["raw"] for line in expected_lines]


@pytest.mark.parametrize("kind", ["moment", "events", "bytes"])
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(fork_training, command, undisturbed, tmp_path, kind):
    """At random moments; at what it does to its files; in the middle of a file (of a checkpoint, a line of metrics, a
    monitor picture). The same command goes on each time."""
    random_ = random.Random(kind)
    expected, seconds = undisturbed
    output, kills = tmp_path / "out", 0
    for attempt in range(20 * KILLS):
        if kind == "moment":
            training = fork_training(*command, output)
            time.sleep(random_.uniform(0, seconds))
            training.kill()
        elif kind == "events":
            training = fork_training(*command, output, events=random_.randint(1, 25))
        else:  # line of metrics, monitor picture, checkpoint
            largest = random_.choice([3_000, 100_000, 8_000_000])
            training = fork_training(*command, output, bytes=random_.randrange(largest))
        training.join()
        for path in output.rglob("[!.]*.pth"):
            load_checkpoint(path)  # whatever bears a final name can be read
        if training.exitcode == 0:  # the kill came too late: another training
            assert_finished_as(output, expected)
            output = tmp_path / f"out{attempt}"
            continue
        died = -(signal.SIGXFSZ if kind == "bytes" else signal.SIGKILL)
        assert training.exitcode == died, training.output.read_text()
        kills += 1
        if kills == KILLS:
            break
    else:
        pytest.fail(f"only {kills} kills came in time")
    training = fork_training(*command, output)
    training.join()
    assert training.exitcode == 0, training.output.read_text()
    assert_finished_as(output, expected)
