"""Training through the command line, with random loss-network weights and tiny pictures."""

import dataclasses
import functools
import math
import os
import re
import shlex
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from begin_training import train
from config import TrainingConfig
from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics, same
from utils.errors import UserError

STEPS = 20
CADENCES = ["--log_every_steps", 5, "--monitor_every_steps", 10, "--checkpoint_every_steps", 10]


@pytest.fixture(scope="module")
def plan(small_training):
    """The flags of a training of twenty steps."""
    return [*small_training, "--num_epochs", 10, "--total_steps", STEPS]


@pytest.fixture
def begin(call_cli, plan):
    """``begin(*flags)``: that training, with further flags or others."""
    return functools.partial(call_cli, "begin_training.py", *plan)


@pytest.fixture
def resume(call_cli):
    """``resume(checkpoint, *flags)``: one that goes on from a file or a folder."""
    return functools.partial(call_cli, "begin_training.py", "--checkpoint_path")


@pytest.fixture(scope="module")
def straight(run_cli, plan, tmp_path_factory):
    """The output folder of a training of twenty steps that was never stopped, with what it printed."""
    output = tmp_path_factory.mktemp("straight")
    result = run_cli("begin_training.py", *plan, *CADENCES, "--num_workers", 1, "--output_dir", output)
    (output / "printed.txt").write_text(result.ok())
    assert "Traceback" not in result.stderr
    return output


@pytest.fixture
def copied(straight, tmp_path):
    """A copy of that folder, to go on from or to damage."""
    shutil.copytree(straight, tmp_path / "copied")
    return tmp_path / "copied"


def assert_same_training(output, expected):
    """Final model and last checkpoint, with all that resuming needs, bit for bit."""
    for name in ("stripes.pth", f"stripes_training/step_{STEPS:06d}.pth"):
        ours, theirs = load_checkpoint(output / name), load_checkpoint(expected / name)
        assert same(ours.network.state_dict(), theirs.network.state_dict())
        assert same(ours.resume_state, theirs.resume_state)


# -- what a training leaves ------------------------------------------------------------------------


def test_it_leaves_what_it_promises_and_nothing_else(straight):
    assert sorted(p.name for p in straight.iterdir()) == ["printed.txt", "stripes.pth", "stripes_training"]
    expected = ["filmstrip.png", "metrics.jsonl", "monitor_000010.png", "monitor_000020.png"]
    expected += ["step_000010.pth", "step_000020.pth"]
    found = sorted(p.name for p in (straight / "stripes_training").iterdir())
    assert [name for name in found if name != "losses.png"] == expected
    pytest.importorskip("matplotlib")
    with Image.open(straight / "stripes_training" / "losses.png") as plot:
        assert np.asarray(plot.convert("L")).std() > 5


def test_the_network_was_trained_and_the_final_model_is_the_last_checkpoint_in_half_precision(straight):
    first, last = (load_checkpoint(straight / "stripes_training" / f"step_0000{n}.pth") for n in (10, 20))
    parameters = zip(first.network.parameters(), last.network.parameters(), strict=True)
    assert not any(torch.equal(before, after) for before, after in parameters)
    assert first.resume_state["step"] == 10 and last.resume_state["step"] == 20
    final, expected = load_checkpoint(straight / "stripes.pth"), last.network.state_dict()
    for key, value in final.network.state_dict().items():
        assert torch.equal(value, expected[key].half().float() if value.dim() == 4 else expected[key])
    assert final.resume_state is None


def test_the_final_model_says_what_made_it_and_no_folder(straight):
    provenance = load_checkpoint(straight / "stripes.pth").provenance
    assert provenance["style"] == "stripes.png" and provenance["step"] == provenance["total_steps"] == 20
    assert provenance["photographs"] == 12 and "VGG-19" in provenance["loss_network"]
    assert provenance["versions"]["torch"] == torch.__version__.split("+")[0]
    settings = provenance["settings"]
    assert set(settings) == set(TrainingConfig.__dataclass_fields__)
    assert settings["style_weight"] == 10.0 and settings["image_size"] == 32
    assert not any(isinstance(value, str) and os.sep in value for value in settings.values())


WEIGHTS = {"content": 1.0, "total_variation": 0.6, "checkerboard": 1.0, "palette": 5.0, "tone": 6.0}
"""Of the terms that are in the sum as they are."""


def test_metrics(straight):
    lines = read_metrics(straight)
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    for line in lines:
        raw, weighted = line["raw"], line["weighted"]
        assert raw.keys() == weighted.keys() == {"style", "temporal", *WEIGHTS}
        assert line["total"] == pytest.approx(sum(weighted.values()), rel=1e-6)
        for term, weight in WEIGHTS.items():
            assert weighted[term] == pytest.approx(weight * raw[term], rel=1e-4) and raw[term] > 0
        assert 0 < weighted["style"] <= 18.0 * raw["style"] * 1.0001 and weighted["temporal"] == 0
        assert line["lr"] == pytest.approx(5e-3 * (1 + math.cos(math.pi * line["step"] / STEPS)) / 2, abs=1e-12)
        assert line["seconds_per_step"] > 0 and line["photographs_per_second"] > 0


def test_monitor_pictures_show_photograph_painting_and_result(straight, monitor):
    with Image.open(monitor) as photograph:
        width = round(photograph.width * 360 / photograph.height)
        expected = np.asarray(photograph.resize((width, 360)), float)
    for step in (10, 20):
        with Image.open(straight / "stripes_training" / f"monitor_{step:06d}.png") as image:
            picture = np.asarray(image, float)
        assert np.abs(picture[:, :width] - expected).mean() < 1  # the photograph stands on the left
        assert np.abs(picture[:, -width:] - expected).mean() > 5  # and its stylisation on the right
    with Image.open(straight / "stripes_training" / "filmstrip.png") as strip:
        assert strip.height == 200 and strip.width >= 2 * round(width * 200 / 360)


# -- determinism and resuming, bit for bit ---------------------------------------------------------


def test_the_same_command_gives_the_same_weights(begin, straight, tmp_path):
    """With other cadences and reading processes: neither watching nor reading ahead may change a weight."""
    other = ["--log_every_steps", 7, "--checkpoint_every_steps", 0, "--num_workers", 2]
    begin("--output_dir", tmp_path, *other).ok()
    assert_same_training(tmp_path, straight)
    assert not list(tmp_path.glob("stripes_training/monitor_*.png"))


def test_resumed_halfway_equals_straight(resume, straight, tmp_path):
    """Every setting but the output folder comes from the checkpoint."""
    checkpoint = straight / "stripes_training" / "step_000010.pth"
    result = resume(checkpoint, "--output_dir", tmp_path, "--num_workers", 0)
    assert "resumed after step 10" in result.ok()
    assert_same_training(tmp_path, straight)
    settings = load_checkpoint(tmp_path / "stripes.pth").provenance["settings"]
    assert settings["checkpoint_path"] == "step_000010.pth"  # and no folder
    assert (tmp_path / "stripes_training" / "monitor_000020.png").exists()  # the monitor photograph is restored
    ours, theirs = read_metrics(tmp_path), read_metrics(straight)[2:]
    for timing in ("seconds_per_step", "photographs_per_second"):
        for line in ours + theirs:
            del line[timing]
    assert ours == theirs


@pytest.mark.posix
def test_ctrl_c_saves_and_the_command_it_prints_goes_on(start_cli, call_cli, straight, plan, tmp_path):
    """Sent to the process group, as a terminal does: the reading processes get it as well."""
    tmp_path /= "a b"  # which is to be quoted
    flags = ["--checkpoint_every_steps", 3, "--monitor_every_steps", 20, "--num_workers", 2]
    process = start_cli("begin_training.py", *plan, *flags, "--output_dir", tmp_path)
    while process.poll() is None and not (tmp_path / "stripes_training" / "step_000003.pth").exists():
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr and "Saving after this step. Once more ends at once" in stderr
    assert not (tmp_path / "stripes.pth").exists()
    step, command = re.search(r"Stopped by SIGINT after step (\d+); to resume: (.+)", stdout).groups()
    assert (tmp_path / "stripes_training" / f"step_{int(step):06d}.pth").exists()
    _, script, *arguments = shlex.split(command)
    assert f"resumed after step {step}" in call_cli(script, *arguments).ok()
    assert_same_training(tmp_path, straight)


# -- resuming: what cannot be ----------------------------------------------------------------------


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_what_is_no_checkpoint_cannot_be_resumed(resume, straight):
    before = snapshot(straight)
    assert "stripes.pth is a final model" in resume(straight / "stripes.pth").error
    assert f"--checkpoint_path {straight} holds no step_NNNNNN.pth" in resume(straight).error
    assert snapshot(straight) == before


@pytest.mark.parametrize(
    "flag, value", [("loss_scale", "paper"), ("image_size", 64), ("seed", 1), ("start_from", "wave")]
)
def test_what_a_training_is_made_of_cannot_change_on_the_way(resume, straight, flag, value):
    before = snapshot(straight)
    assert f"--{flag} {value}" in resume(straight / "stripes_training", f"--{flag}", value).error
    assert snapshot(straight) == before


@pytest.mark.parametrize("flag", ["--style_image", "--vgg_weights"])
def test_another_file_of_the_same_name_cannot_be_slipped_in(resume, straight, tmp_path, make_picture, vgg_state, flag):
    make_picture(64, 48, seed=5).save(tmp_path / "stripes.png")
    torch.save({**vgg_state, "features.0.bias": vgg_state["features.0.bias"] + 1}, tmp_path / "vgg19.pth")
    other = tmp_path / ("stripes.png" if flag == "--style_image" else "vgg19.pth")
    checkpoint = straight / "stripes_training" / "step_000010.pth"
    assert flag in resume(checkpoint, flag, other, "--output_dir", tmp_path / "o").error
    assert not (tmp_path / "o").exists()


def test_a_finished_training_can_be_trained_on(resume, copied):
    result = resume(copied / "stripes_training", "--output_dir", copied, "--total_steps", 25)
    assert "resumed after step 20" in result.ok()
    lines = read_metrics(copied)
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25]
    # Along the new cosine: at its end, the learning rate is zero again.
    assert lines[-1]["lr"] == pytest.approx(0, abs=1e-12)
    assert load_checkpoint(copied / "stripes.pth").provenance["step"] == 25


def test_it_goes_on_with_a_smaller_batch_and_another_learning_rate(resume, straight, tmp_path):
    """As people do who move to a smaller GPU: every photograph is seen once a pass all the same."""
    checkpoint = straight / "stripes_training" / "step_000010.pth"
    resume(checkpoint, "--output_dir", tmp_path, "--batch_size", 1, "--total_steps", 12, "--lr", 2e-4).ok()
    last = load_checkpoint(tmp_path / "stripes_training" / "step_000012.pth")
    assert last.resume_state["position"] == 22
    assert last.resume_state["optimizer"]["param_groups"][0]["initial_lr"] == last.provenance["settings"]["lr"] == 2e-4


# -- nothing is replaced unasked -------------------------------------------------------------------


def test_an_earlier_training_is_not_replaced_unasked(begin, copied):
    for named in ("stripes_training", "stripes.pth"):
        before = snapshot(copied)
        error = begin("--output_dir", copied).error
        assert str(copied / named) in error and "--overwrite" in error
        assert snapshot(copied) == before
        shutil.rmtree(copied / "stripes_training", ignore_errors=True)


def test_overwrite_starts_again_with_an_empty_folder(begin, copied):
    (copied / "stripes_training" / "notes.txt").write_text("not the program's")
    earlier = load_checkpoint(copied / "stripes.pth").network.state_dict()
    begin("--total_steps", 2, "--seed", 1, "--output_dir", copied, "--overwrite").ok()
    assert not same(load_checkpoint(copied / "stripes.pth").network.state_dict(), earlier)
    assert [line["step"] for line in read_metrics(copied)] == [1, 2]
    found = {path.name for path in (copied / "stripes_training").iterdir()} - {"losses.png"}
    assert found == {"metrics.jsonl", "step_000002.pth", "notes.txt"}
    assert load_checkpoint(copied / "stripes.pth").provenance["step"] == 2


# -- faults in what was given ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "flag",
    ["--style_image", "--training_monitor_content_image", "--dataset_dir", "--vgg_weights", "--checkpoint_path",
     "--output_dir"],
)  # fmt: skip
def test_missing_inputs_are_named_and_nothing_is_written(begin, tmp_path, flag):
    missing = tmp_path / "missing.jpg"
    error = begin("--output_dir", tmp_path / "out", "--monitor_every_steps", 10, flag, missing).error
    assert flag in error and str(missing) in error
    assert not list(tmp_path.iterdir())


def test_from_python_in_another_thread_and_folder(photos, vgg_file, tmp_path, monkeypatch, capsys):
    """Settings are validated, the samples that ship are found, and that one of them is learnt is said."""
    monkeypatch.chdir(tmp_path)
    config = TrainingConfig(
        dataset_dir=photos, vgg_weights=vgg_file, image_size=32, batch_size=2, total_steps=2, num_workers=1,
        device="cpu", monitor_every_steps=2,
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, config).result() == 0
        with pytest.raises(UserError, match="--lr must be above 0"):
            pool.submit(train, dataclasses.replace(config, lr=0)).result()
    assert (tmp_path / "checkpoints" / "swirls_training" / "monitor_000002.png").exists()
    printed = capsys.readouterr().out
    assert "the sample styles/swirls.jpg: --style_image names" in printed
    _, script, *arguments = shlex.split(printed.partition("to use it: ")[2])
    assert Path(script).is_file() and arguments == ["--model_path", "checkpoints/swirls.pth"]


def test_corrupt_photographs_are_skipped_named_and_counted(run_cli, plan, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    content = (photos / "photo_00.jpg").read_bytes()
    (tmp_path / "photos" / "broken.jpg").write_bytes(content[: len(content) // 3])
    flags = ["--dataset_dir", tmp_path / "photos", "--num_workers", 1, "--total_steps", 7]
    result = run_cli("begin_training.py", *plan, *flags, "--output_dir", tmp_path / "out")
    assert "1 of 13 photographs could not be read and were skipped" in result.ok()
    assert result.stderr.count(f"warning: skipped: {tmp_path / 'photos' / 'broken.jpg'}") == 1
    assert ".py:" not in result.stderr  # where in the program it was found is of no interest


# -- a network that is no use -----------------------------------------------------------------------


def test_a_network_that_collapses_is_refused_and_not_shipped(begin, tmp_path):
    error = begin("--total_steps", 3, "--lr", 1e4, "--optimizer", "adam", "--output_dir", tmp_path).error
    assert "collapsed by step 3" in error and "--lr" in error and not list(tmp_path.rglob("*.pth"))


# -- the other variants, and an accelerator --------------------------------------------------------


@pytest.mark.filterwarnings("ignore:with --content_weight 0")
@pytest.mark.parametrize(
    "flags",
    [
        ["--upsample", "resize", "--precision", "bfloat16"],
        ["--loss_scale", "paper", "--style_weight", 1e4, "--style_size", 48, "--tv_weight", 0],
        ["--style_octaves", 2, "--temporal_weight", 50.0, "--batch_size", 3, "--content_weight", 0],
    ],
    ids=lambda flags: flags[0].removeprefix("--"),
)
def test_variants_train_resume_and_are_read_back(begin, resume, call_cli, monitor, tmp_path, flags):
    few = ["--total_steps", 2, "--checkpoint_every_steps", 1, "--monitor_every_steps", 2]
    begin(*few, *flags, "--output_dir", tmp_path / "a").ok()
    resume(tmp_path / "a" / "stripes_training" / "step_000001.pth", "--output_dir", tmp_path / "b").ok()
    models = [load_checkpoint(tmp_path / folder / "stripes.pth") for folder in ("a", "b")]
    assert same(models[0].network.state_dict(), models[1].network.state_dict())
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        assert models[1].provenance["settings"][flag.removeprefix("--")] == value
    results = ["--content_image", monitor, "--output_dir", tmp_path / "results"]
    call_cli("begin_inference.py", "--model_path", tmp_path / "a" / "stripes.pth", *results).ok()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_on_a_gpu(begin, resume, tmp_path, precision):
    begin(*CADENCES, "--device", "cuda", "--precision", precision, "--output_dir", tmp_path).ok()
    assert [line["step"] for line in read_metrics(tmp_path)] == [5, 10, 15, 20]
    resume(tmp_path / "stripes_training" / "step_000010.pth", "--output_dir", tmp_path / "resumed").ok()
    assert all(p.isfinite().all() for p in load_checkpoint(tmp_path / "resumed" / "stripes.pth").network.parameters())
