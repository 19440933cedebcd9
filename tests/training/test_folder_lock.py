"""Who holds a folder, and who does not any more."""

import os
import signal

import pytest

from training.folder_lock import NAME, FolderLock
from utils.errors import UserError


@pytest.fixture
def other(tmp_path):
    """``other()``: the id of another process, which holds ``tmp_path`` until it is killed."""
    ends = []

    def start() -> int:
        ready, end = os.pipe(), os.pipe()
        ends.append(end)
        pid = os.fork()
        if pid == 0:
            try:
                lock = FolderLock(tmp_path)  # which lets go when nobody refers to it
                lock.hold()
                os.close(end[1])
                os.write(ready[1], b"x")
                os.read(end[0], 1)
            finally:
                os._exit(0)
        os.read(ready[0], 1)
        for handle in (*ready, end[0]):
            os.close(handle)
        return pid

    yield start
    for _, handle in ends:
        os.close(handle)


@pytest.mark.posix
def test_it_is_refused_while_another_process_holds_it(tmp_path, other):
    late = FolderLock(tmp_path)  # one that had its first look before
    pid = other()
    for look in (lambda: FolderLock(tmp_path), late.hold):
        with pytest.raises(UserError, match="is being written to by another training"):
            look()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not FolderLock(tmp_path).hold()


def test_it_makes_the_folder_and_leaves_nothing(tmp_path):
    lock = FolderLock(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    assert not lock.hold() and not lock.hold()
    assert NAME in os.listdir(tmp_path / "a" / "b")
    lock.release()
    lock.release()
    assert os.listdir(tmp_path / "a" / "b") == []


@pytest.mark.posix
def test_what_another_took_over_is_not_removed(tmp_path, other):
    """The folder was emptied, and another training began there."""
    lock = FolderLock(tmp_path)
    lock.hold()
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
    other()
    with pytest.raises(UserError, match="is being written to by another training"):
        lock.hold()
    lock.release()
    with pytest.raises(UserError, match="is being written to by another training"):
        FolderLock(tmp_path)
