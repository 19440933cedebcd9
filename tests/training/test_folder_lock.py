"""What the lock of a folder leaves alone."""

import os

import pytest

from training.folder import FolderLock
from utils.errors import UserError

HOLD = """
import pathlib, sys, time
from training.folder import FolderLock

lock = FolderLock(pathlib.Path(sys.argv[1]))  # which lets go when nobody refers to it
lock.hold()
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.posix
def test_what_another_took_over_is_not_removed(start_cli, tmp_path):
    """The folder was emptied, and another training began there."""
    lock = FolderLock(tmp_path)
    lock.hold()
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
    with start_cli("-c", HOLD, tmp_path) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="is being written to by another training"):
            lock.hold()
        lock.release()
        with pytest.raises(UserError, match="is being written to by another training"):
            FolderLock(tmp_path)
        other.kill()
