"""Who holds a folder, and who does not any more."""

import os
import platform
import signal

import pytest

from training.folder_lock import NAME, FolderLock
from utils.errors import UserError


@pytest.fixture
def other(tmp_path):
    """``other(child)``: another process that holds ``tmp_path`` until it is killed. It may have a child of its own,
    which outlives it as the processes that read photographs do. Its process id."""
    pids, ends = [], []

    def start(child=False) -> int:
        ready, end = os.pipe(), os.pipe()
        ends.append(end)
        pid = os.fork()
        if pid == 0:
            try:
                FolderLock(tmp_path).hold()
                if child:
                    os.fork()
                os.close(end[1])
                os.write(ready[1], b"x")
                os.read(end[0], 1)
            finally:
                os._exit(0)
        pids.append(pid)
        os.read(ready[0], 1)
        for handle in (*ready, end[0]):
            os.close(handle)
        return pid

    yield start
    for _, handle in ends:
        os.close(handle)


def test_it_is_refused_while_another_process_holds_it(tmp_path, other):
    pid = other()
    held = rf"process {pid} on {platform.node()}, since \d{{4}}-"
    with pytest.raises(UserError, match=held):
        FolderLock(tmp_path)
    late = FolderLock(tmp_path / "elsewhere")  # one that had its first look before
    late.path = tmp_path / NAME
    with pytest.raises(UserError, match=held):
        late.hold()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not FolderLock(tmp_path).hold()


def test_the_children_of_a_killed_process_hold_nothing(tmp_path, other):
    pid = other(child=True)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    lock = FolderLock(tmp_path)
    lock.hold()
    lock.release()


def test_it_makes_the_folder_and_leaves_nothing(tmp_path):
    lock = FolderLock(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    assert not lock.hold() and not lock.hold()
    assert os.listdir(tmp_path / "a" / "b") == [NAME]
    lock.release()
    lock.release()
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_file_that_its_holder_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Between opening it and locking it; two would hold a folder otherwise."""
    lock, first = FolderLock(tmp_path), []
    take = FolderLock._lock

    def taken(lock, handle):
        if not first:
            first.append(os.fstat(handle).st_ino)
            os.unlink(lock.path)
        take(lock, handle)

    monkeypatch.setattr(FolderLock, "_lock", taken)
    lock.hold()
    assert os.stat(lock.path).st_ino == os.fstat(lock._handle).st_ino
    lock.release()


def test_it_tells_that_it_was_lost(tmp_path):
    lock = FolderLock(tmp_path)
    lock.hold()
    os.unlink(lock.path)
    assert lock.hold()
    assert not lock.hold()
    lock.release()
