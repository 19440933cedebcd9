"""What happens around a training while it runs: disks, folders, photographs, other trainings, the clock."""

import errno
import itertools
import os
import re
import shutil
import signal
import time

import pytest

import begin_training
import utils.files
from config import TrainingConfig
from data.loader import PhotographStream
from models.checkpoints import load_checkpoint
from tests.comparing import same
from training import build, log
from training import run as training_run
from training.folder import LOCK
from utils.errors import UserError


@pytest.fixture
def train(train):
    """``train(steps, *more flags)`` in the folder ``out``."""
    return lambda steps, *more: train("--total_steps", steps, *more)


@pytest.fixture
def folder(tmp_path):
    """Where that training keeps its files."""
    return tmp_path / "out" / "stripes_training"


def checkpoints(folder):
    return sorted(path.name for path in folder.glob("step_*.pth"))


def weights(output):
    return load_checkpoint(output / "stripes.pth").network.state_dict()


# -- one command ----------------------------------------------------------------------------------------------------


def test_resume_begins_goes_on_and_ends(train, folder, tmp_path):
    flags = ["--resume", "--checkpoint_every_steps", 1]
    model = tmp_path / "out" / "stripes.pth"
    assert "resumed" not in train(2, *flags).ok()
    (folder / "step_000002.pth").unlink()
    model.unlink()
    assert "resumed after step 1" in train(2, *flags).ok()
    model.unlink()
    assert "resumed after step 2" in train(2, *flags).ok()  # only the results were missing
    assert model.exists()
    train(2, *flags).ok()  # nothing was: a loop may end here
    assert "resumed after step 2" in train(3, "--resume").ok()


def test_resume_does_not_go_with_what_contradicts_it(train, folder):
    for other in (["--overwrite"], ["--checkpoint_path", "x.pth"]):
        assert other[0] in train(2, "--resume", *other).error
    assert not folder.exists()


def test_resume_goes_on_in_the_folder_where_it_found_the_checkpoint(train, folder, tmp_path):
    """Not in the one that the checkpoint tells of, where it had been before somebody moved it."""
    train(2, "--checkpoint_every_steps", 1).ok()
    settings = load_checkpoint(folder / "step_000002.pth").provenance["settings"]
    (tmp_path / "out").rename(tmp_path / "moved")
    settings |= {"output_dir": str(tmp_path / "moved"), "total_steps": 3, "resume": True}
    given = frozenset({"resume", "total_steps"})  # the folder is config.py's
    assert begin_training.train(TrainingConfig(**settings), given) == 0
    assert checkpoints(tmp_path / "moved" / folder.name)[-1] == "step_000003.pth"
    assert not (tmp_path / "out").exists()


def test_an_overwritten_training_killed_before_its_results_still_writes_them(train, folder, tmp_path):
    """The model that lies there then is the one that was to be replaced."""
    model = tmp_path / "out" / "stripes.pth"
    train(2).ok()
    before = model.read_bytes()
    train(2, "--overwrite", "--seed", 1).ok()
    model.write_bytes(before)
    train(2, "--checkpoint_path", folder, "--seed", 1).ok()
    assert model.read_bytes() != before
    assert "has finished its 2 steps" in train(2, "--checkpoint_path", folder, "--seed", 1).error


# -- two trainings --------------------------------------------------------------------------------------------------


def test_a_second_training_in_the_same_folder_is_refused(train, fork_training, small_training, folder):
    training = fork_training(
        *small_training, "--total_steps", 10**6, "--num_epochs", 10**6, "--checkpoint_every_steps", 1,
        "--keep_checkpoints", 2, "--output_dir", folder.parent, "--num_workers", 2,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 600
        while not checkpoints(folder):
            assert time.monotonic() < deadline and training.is_alive(), training.output.read_text()
            time.sleep(0.02)
        for flags in ([], ["--resume"], ["--overwrite"], ["--checkpoint_path", folder]):
            assert f"{folder} is being written to by another training" in train(2, *flags).error
    finally:
        training.kill()
        training.join()
    assert training.exitcode == -signal.SIGKILL
    # A killed one is in nobody's way, though the processes that read its photographs may live on for seconds.
    assert (folder / LOCK).exists()
    last = int(checkpoints(folder)[-1][5:11])
    assert f"resumed after step {last}" in train(last + 1, "--resume").ok()
    assert not (folder / LOCK).exists()


def test_a_training_that_came_first_while_another_prepared_is_not_overwritten(train, monkeypatch, folder):
    """Between a training's first look at the folder and its first file."""
    nested = []

    def calibration(*args):
        if not nested:
            nested.append(None)
            nested[0] = train(1)
        return original(*args)

    original = build._read_calibration_photographs
    monkeypatch.setattr(build, "_read_calibration_photographs", calibration)
    assert "holds an earlier training" in train(2).error
    assert nested[0].returncode == 0 and checkpoints(folder) == ["step_000001.pth"]


def test_the_lock_does_not_follow_a_link(train, folder, tmp_path):
    folder.mkdir(parents=True)
    (tmp_path / "letter.txt").write_text("dear")
    (folder / LOCK).symlink_to(tmp_path / "letter.txt")
    assert "cannot be written to" in train(1).error
    (folder / LOCK).unlink()
    train(1).ok()
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_later_checkpoints_are_not_replaced_unasked(train, folder, tmp_path):
    """Nor those of another training."""
    train(3, "--checkpoint_every_steps", 1).ok()
    first = folder / "step_000001.pth"
    error = train(3, "--checkpoint_path", first, "--lr", 1e-4).error
    assert f"{folder} goes on to step_000003.pth" in error and "--overwrite" in error
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    error = train(4, "--checkpoint_path", tmp_path / "other" / "stripes_training").error
    assert f"{folder} holds an earlier training" in error
    assert len(checkpoints(folder)) == 3
    train(2, "--checkpoint_path", first, "--lr", 1e-4, "--overwrite").ok()
    assert checkpoints(folder) == ["step_000001.pth", "step_000002.pth"]


# -- the disk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep, expected", [(0, [1, 2, 3, 4, 5]), (2, [4, 5])], ids=["all", "two"])
def test_keep_checkpoints(train, folder, keep, expected):
    folder.mkdir(parents=True)
    (folder / "step_000001_best.pth").write_bytes(b"somebody's copy")
    train(5, "--checkpoint_every_steps", 1, "--keep_checkpoints", keep).ok()
    assert checkpoints(folder) == sorted([f"step_{step:06d}.pth" for step in expected] + ["step_000001_best.pth"])


def test_no_checkpoint_is_removed_before_a_newer_one_is_safe(train, folder, monkeypatch):
    """Also the one that is resumed from. Between the newer one's last byte and its name, the older is still there."""
    flags = ["--checkpoint_every_steps", 1, "--keep_checkpoints", 1]
    train(1, *flags).ok()
    seen = []
    replace = os.replace

    def observe(source, target):
        seen.extend([checkpoints(folder)] if "step_" in str(target) else [])
        replace(source, target)

    monkeypatch.setattr(os, "replace", observe)
    train(3, *flags, "--resume").ok()
    assert seen == [["step_000001.pth"], ["step_000002.pth"]]
    assert checkpoints(folder) == ["step_000003.pth"]


@pytest.mark.parametrize(
    "what, code",
    [("step_000002.pth", errno.EROFS), ("metrics.jsonl", errno.ENOSPC), ("stripes.pth", errno.ENOSPC)],
)
def test_a_full_or_read_only_disk_stops_with_one_sentence_and_the_same_command_goes_on(
    train, folder, monkeypatch, tmp_path, what, code
):
    """Whatever is being written; all that was whole stays whole."""
    flags = ["--checkpoint_every_steps", 1, "--resume"]
    train(1, *flags).ok()
    kept = (folder / "step_000001.pth").read_bytes()
    full = OSError(code, os.strerror(code))

    def open_(path, mode, **kwargs):
        if mode == "a":  # a line of metrics, half of which fits
            path.write_bytes(path.read_bytes() + b'{"step": 2, "ra')
            raise full
        if what in str(path):
            raise full
        return open(path, mode, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(log if what == "metrics.jsonl" else utils.files, "open", open_, raising=False)
        error = train(2, *flags).error
    last = "step_000002.pth" if what == "stripes.pth" else "step_000001.pth"
    assert what in error and os.strerror(code) in error and f"resume from {folder / last}" in error
    assert (folder / "step_000001.pth").read_bytes() == kept
    assert not list(folder.glob(".*")) and not list(folder.parent.glob(".*"))
    train(2, *flags).ok()
    assert (folder / "metrics.jsonl").read_text().count('"step"') == 2


def test_an_output_folder_that_cannot_be_written_is_named_before_the_training(train, tmp_path):
    (tmp_path / "out").write_bytes(b"a file")
    assert f"--output_dir {tmp_path / 'out'}" in train(2).error
    assert (tmp_path / "out").read_bytes() == b"a file"


def test_an_output_folder_that_is_removed_is_made_again(train, folder, at_step, tmp_path):
    """Hours of training are worth more than an explanation."""
    at_step(2, lambda run: shutil.rmtree(tmp_path / "out"))
    with pytest.warns(UserWarning, match="was removed while the training ran"):
        train(3, "--checkpoint_every_steps", 1).ok()
    assert checkpoints(folder) == ["step_000002.pth", "step_000003.pth"]
    load_checkpoint(tmp_path / "out" / "stripes.pth")
    assert not list(folder.glob(".*"))


# -- the photographs ------------------------------------------------------------------------------------------------


@pytest.fixture
def own_photos(photos, tmp_path):
    """Forty photographs that may be damaged."""
    for number, path in zip(range(40), itertools.cycle(sorted(photos.glob("*.*")))):
        (tmp_path / "photos").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "photos" / f"{number:02d}{path.suffix}")
    return tmp_path / "photos"


def test_photographs_that_vanish_break_and_come_while_it_runs(train, own_photos, at_step, folder):
    """Three of forty: skipped and named. New ones are not looked at."""

    def change(run):
        victims = sorted(own_photos.iterdir())[:3]
        victims[0].unlink()
        victims[1].write_bytes(b"broken")
        victims[2].unlink()
        os.mkfifo(victims[2])
        shutil.copy(sorted(own_photos.iterdir())[-1], own_photos / "new.png")

    at_step(1, change)
    with pytest.warns(UserWarning, match="skipped: ") as caught:
        printed = train(20, "--dataset_dir", own_photos).ok()
    assert "of 40 photographs could not be read and were skipped" in printed
    names = {re.search(r"/photos/(\d\d)\.", str(warning.message))[1] for warning in caught}
    assert names and names <= {"00", "01", "02"}
    assert len(names) == len(caught)


def test_photographs_that_are_all_gone_cost_no_step_and_come_back(train, own_photos, at_step, folder, tmp_path):
    """As by a network folder that is lost: what was trained is saved, and goes on as if nothing had been."""
    flags = ["--dataset_dir", own_photos, "--checkpoint_every_steps", 0]
    train(9, *flags).ok()
    shutil.move(tmp_path / "out", tmp_path / "straight")
    at_step(4, lambda run: own_photos.rename(tmp_path / "away"))
    with pytest.warns(UserWarning, match="skipped: "):
        error = train(9, *flags, "--resume").error
    assert "of the 40 photographs in --dataset_dir cannot be read" in error
    assert f"resume from {folder / 'step_000004.pth'}" in error
    (tmp_path / "away").rename(own_photos)
    assert load_checkpoint(folder / "step_000004.pth").resume_state["unreadable"] == {}
    assert "resumed after step 4" in train(9, *flags, "--resume").ok()
    assert same(weights(tmp_path / "out"), weights(tmp_path / "straight"))


def test_what_was_unreadable_is_forgotten_with_another_set_of_photographs(train, own_photos, folder):
    """It is known by number, and the numbers are other ones then."""
    names = sorted(own_photos.iterdir())
    names[0].write_bytes(b"broken")
    with pytest.warns(UserWarning, match="skipped: "):
        train(20, "--dataset_dir", own_photos).ok()
    before = load_checkpoint(folder / "step_000020.pth").resume_state
    assert list(before["unreadable"]) == [0]
    names[0].unlink()
    with pytest.warns(UserWarning, match="40 photographs then, 39 now"):
        train(21, "--dataset_dir", own_photos, "--resume").ok()
    after = load_checkpoint(folder / "step_000021.pth").resume_state
    scales = [{name: value for name, value in part["objective"].items() if "scale" in name} for part in (before, after)]
    assert after["unreadable"] == {} and scales[0] and same(*scales)  # not measured on others


def test_a_reading_process_that_is_killed_costs_no_step(train, at_step, monkeypatch, folder, tmp_path):
    """What was trained is saved, and the same command goes on as if nothing had been."""
    flags = ["--checkpoint_every_steps", 0, "--resume"]
    train(6, *flags).ok()
    shutil.move(tmp_path / "out", tmp_path / "straight")
    streams = []
    begin = PhotographStream.__init__
    monkeypatch.setattr(PhotographStream, "__init__", lambda s, *a: (begin(s, *a), streams.append(s))[0])
    at_step(3, lambda run: streams[-1]._workers and (streams[-1]._workers[0].kill(), streams[-1]._workers[0].join()))
    error = train(6, *flags, "--num_workers", 2).error
    assert "was lost (SIGKILL)" in error and f"resume from {folder / 'step_000003.pth'}" in error
    train(6, *flags, "--num_workers", 0).ok()
    assert same(weights(tmp_path / "out"), weights(tmp_path / "straight"))


def test_a_rescue_that_fails_does_not_hide_what_it_was_for(train, own_photos, at_step, monkeypatch, tmp_path):
    """Photographs that are lost, and then no room to save what was trained."""

    def lose(run):
        own_photos.rename(tmp_path / "away")
        monkeypatch.setattr(training_run, "save_checkpoint", fail)

    def fail(*args):
        raise UserError("the disk is full")

    at_step(2, lose)
    with pytest.warns(UserWarning, match="skipped: "):
        error = train(9, "--dataset_dir", own_photos, "--checkpoint_every_steps", 0).error
    assert "of the 40 photographs in --dataset_dir cannot be read" in error
    assert "could not be saved (the disk is full" in error
