"""The stream of batches: reproducible, resumable, and indifferent to unreadable files."""

import errno
import itertools
import multiprocessing.synchronize
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import data.dataset
import data.loader
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from utils.errors import UserError
from utils.files import PROGRAM

SIZE = 32


@pytest.fixture
def dataset(photos):
    return PhotographDataset(list_photographs(photos), SIZE, seed=3)


@pytest.fixture
def broken_at(photos, tmp_path):
    """``broken_at(index, ...)``: the same photographs, some of them unreadable."""

    def build(*indices):
        paths = list_photographs(photos)
        for index in indices:
            broken = tmp_path / paths[index].name
            broken.write_bytes(paths[index].read_bytes()[:200])
            paths[index] = broken
        return PhotographDataset(paths, SIZE, seed=3)

    return build


def take(n, *args, **kwargs):
    stream = PhotographStream(*args, **kwargs)
    try:
        return list(itertools.islice(stream, n)), stream.position
    finally:
        stream.close()


def expected_crops(dataset, positions):
    """Crops one at a time, from the rule: position p is photograph order(p // n)[p % n]."""
    n = len(dataset)
    return torch.cat([dataset[[(p, dataset.order(p // n)[p % n])]][1] for p in positions])


@pytest.mark.parametrize("batches, batch_size, num_workers", [(8, 5, 0), (1, 30, 0), (6, 5, 2)])
def test_batches_are_the_crops_of_consecutive_positions(dataset, batches, batch_size, num_workers):
    """Over the ends of passes over twelve photographs; the number of workers changes nothing."""
    found, position = take(batches, dataset, batch_size, num_workers=num_workers)
    assert all(batch.shape == (batch_size, 3, SIZE, SIZE) and batch.dtype == torch.uint8 for batch in found)
    assert not any(batch.is_shared() for batch in found)  # containers have little shared memory
    assert position == batches * batch_size
    assert torch.equal(torch.cat(found), expected_crops(dataset, range(position)))


@pytest.mark.parametrize("num_workers, broken", [(0, 5), (0, 11), (2, 0)])
def test_an_unreadable_file_leaves_the_other_positions_as_they_are(dataset, broken_at, broken, num_workers):
    n = len(dataset)
    with pytest.warns(UserWarning, match="skipped: .*" + dataset.paths[broken].name) as caught:
        damaged = broken_at(broken)
        batches, position = take(8, damaged, 4, num_workers=num_workers)  # one in twelve is under a tenth
    # On one core torch warns of its two workers, too.
    ours = [warning for warning in caught if "worker processes in total" not in str(warning.message)]
    assert len(ours) == 1  # once, not once a pass
    assert list(damaged.unreadable) == [broken]
    readable = [p for p in range(60) if dataset.order(p // n)[p % n] != broken][:32]
    assert torch.equal(torch.cat(batches), expected_crops(dataset, readable))
    assert position == readable[-1] + 1


@pytest.mark.filterwarnings("ignore:skipped")
@pytest.mark.parametrize("already_known", [False, True])
def test_it_goes_on_from_any_position_past_an_unreadable_file(broken_at, already_known):
    """Whether the file was known to be unreadable, or not yet read, when the stream was left."""
    broken = broken_at(4)
    whole = torch.cat(take(10, broken, 3)[0])
    for batches in (1, 2, 4, 7):
        broken.unreadable.clear()
        first, position = take(batches, broken, 3)
        if not already_known:
            broken.unreadable.clear()
        rest, _ = take(10 - batches, broken, 3, start=position)
        assert torch.equal(torch.cat(first + rest), whole)


@pytest.mark.filterwarnings("ignore:skipped")
def test_more_than_a_tenth_unreadable_stops(broken_at):
    dataset = broken_at(2, 9)  # 2 of 12
    with pytest.raises(UserError, match="2 of the 12 photographs in --dataset_dir .* more than a tenth") as error:
        take(20, dataset, 4)
    assert any(str(dataset.paths[i]) in str(error.value) for i in (2, 9))


@pytest.mark.filterwarnings("ignore:skipped")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_nothing_readable_stops(tmp_path, num_workers):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"no picture")
    dataset = PhotographDataset(list_photographs(tmp_path), SIZE, seed=0)
    with pytest.raises(UserError, match="--dataset_dir cannot be read"):
        take(1, dataset, 2, num_workers=num_workers)


def test_no_room_for_what_processes_share(dataset, monkeypatch):
    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", full)
    with pytest.raises(UserError, match=r"starts no processes .*No space left on device.*give --num_workers 0"):
        PhotographStream(dataset, 4, num_workers=2)


# -- reading processes that are lost, and folders that hang --------------------------------------------------------


@pytest.mark.posix
@pytest.mark.parametrize("fault", ["killed", "hangs"])
def test_a_fault_while_a_batch_is_waited_for(dataset, monkeypatch, fault):
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(data.loader, "_LOOK_SECONDS", 1)
    monkeypatch.setattr(data.loader, "READING_SECONDS", 2 if fault == "hangs" else 600)

    def read(*args, **kwargs):
        if fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    monkeypatch.setattr(data.dataset, "read_image", read)
    stream = PhotographStream(dataset, 4, num_workers=1)
    words = r"was lost \(SIGKILL\)" if fault == "killed" else "gave no photograph for 2 seconds"
    with pytest.raises(UserError, match=words):
        next(stream)
    stream.close()


@pytest.mark.slow
def test_a_script_without_a_guarded_main_module_is_refused(photos, tmp_path):
    """Where processes are spawned, as on Windows and macOS, each reading process imports the script."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from data.dataset import PhotographDataset, list_photographs\n"
        "from data.loader import PhotographStream\n"
        "multiprocessing.set_start_method('spawn', force=True)\n"
        f"dataset = PhotographDataset(list_photographs({str(photos)!r}), 32, seed=0)\n"
        "next(PhotographStream(dataset, 4, num_workers=1))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM)}
    command = [sys.executable, script]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith("utils.errors.UserError: the processes")
    assert result.stderr.count('if __name__ == "__main__"') == 2  # the reading process and its parent
