"""Trainings that are killed again and again, and taken up by the same command to end as one that never was."""

import json
import os
import random
import signal
import time

import pytest
import torch

from models.checkpoints import load_checkpoint

KILLS = int(os.environ.get("STYLE_TRANSFER_KILLS", 3))
"""Of each kind. A run of the whole suite does with few; see docs/reliability.md."""

STEPS = 6


@pytest.fixture(scope="module")
def command(style_image, photos, vgg_file, make_picture, tmp_path_factory):
    """Begins, resumes and finishes, whatever there is."""
    monitor = tmp_path_factory.mktemp("monitor") / "view.png"
    make_picture(57, 40, seed=42).save(monitor)
    return [
        "--style_image", style_image, "--dataset_dir", photos, "--vgg_weights", vgg_file,
        "--training_monitor_content_image", monitor, "--image_size", 32, "--batch_size", 2, "--total_steps", STEPS,
        "--log_every_steps", 1, "--monitor_every_steps", 2, "--checkpoint_every_steps", 1, "--keep_checkpoints", 3,
        "--device", "cpu", "--precision", "float32",
        "--num_workers", os.environ.get("STYLE_TRANSFER_KILLS_WORKERS", 0), "--resume", "--output_dir",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(fork_training, command, tmp_path_factory):
    """The output folder of a training that nothing happened to, and the seconds that it took."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    begin = time.monotonic()
    training = fork_training(*command, output)
    assert training.wait() == 0, training.output
    return output, time.monotonic() - begin


def flat(value, name=""):
    """A nest of dicts, lists and values as (name, value) pairs."""
    if isinstance(value, dict):
        value = list(value.items())
    elif isinstance(value, list | tuple):
        value = list(enumerate(value))
    else:
        return [(name, value)]
    return [pair for key, inner in value for pair in flat(inner, f"{name}.{key}")]


def contents(path):
    """All of a checkpoint but the paths in its provenance, by name; tensors as their bytes."""
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["provenance"], checkpoint["checksum"]
    return {k: (v.numpy().tobytes() if isinstance(v, torch.Tensor) else v) for k, v in flat(checkpoint)}


def assert_whole(output):
    """Whatever bears a final name can be read."""
    for path in output.rglob("[!.]*.pth"):
        load_checkpoint(path)


def assert_finished_as(output, undisturbed):
    """Models, checkpoints and pictures bit for bit, every line of metrics once, and nothing left lying about."""
    files, expected = ({p.relative_to(o): p for p in o.rglob("*")} for o in (output, undisturbed))
    assert files.keys() == expected.keys()
    for name in files:
        if name.suffix == ".pth":
            assert contents(files[name]) == contents(expected[name]), name
        elif name.suffix == ".png" and name.stem != "losses":
            assert files[name].read_bytes() == expected[name].read_bytes(), name
    lines, expected_lines = (
        [json.loads(line) for line in (folder / "stripes_training/metrics.jsonl").read_text().splitlines()]
        for folder in (output, undisturbed)
    )
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["raw"] for line in lines] == [line["raw"] for line in expected_lines]


@pytest.mark.parametrize("kind", ["moment", "events", "bytes"])
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(fork_training, command, undisturbed, tmp_path, kind):
    """At random moments; at what it does to its files; in the middle of a file (of a checkpoint, a line of metrics, a
    monitor picture). The same command goes on each time."""
    random_ = random.Random(kind)
    expected, seconds = undisturbed
    output, kills = tmp_path / "out", 0
    for _ in range(20 * KILLS):
        if kind == "moment":
            training = fork_training(*command, output)
            time.sleep(random_.uniform(0, seconds))
            training.kill()
        elif kind == "events":
            training = fork_training(*command, output, events=random_.randint(1, 25))
        else:  # line of metrics, monitor picture, checkpoint
            largest = random_.choice([3_000, 100_000, 25_000_000])
            training = fork_training(*command, output, bytes=random_.randrange(largest))
        status = training.wait()
        assert_whole(output)
        if status == 0:  # the kill came too late: another training
            assert_finished_as(output, expected)
            output = tmp_path / f"out{kills}"
            continue
        assert status == -(signal.SIGXFSZ if kind == "bytes" else signal.SIGKILL), training.output
        kills += 1
        if kills == KILLS:
            break
    else:
        pytest.fail(f"only {kills} kills came in time")
    training = fork_training(*command, output)
    assert training.wait() == 0, training.output
    assert_finished_as(output, expected)
