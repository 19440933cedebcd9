"""Files that are whole or not there at all."""

import os
import subprocess

import pytest

from utils import files
from utils.errors import UserError
from utils.files import atomic_write, remove_unfinished


def test_the_file_takes_its_name_at_the_end_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file.bin"]


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt])
def test_the_old_file_is_untouched_when_the_block_raises(tmp_path, exception):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(exception), atomic_write(path) as file:
        file.write(b"half of the new")
        raise exception
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.posix
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_of_any_other_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "file.bin") as file:
            file.write(b"x")
        assert os.umask(umask) == umask  # read without being changed
    finally:
        os.umask(before)
    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == mode


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, full_disk):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with full_disk(1000), pytest.raises(UserError, match=f"{path} cannot be written"), atomic_write(path) as file:
        file.write(bytes(10_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.posix
def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "step_000010.pth").write_bytes(b"keep")
    pid = os.fork()
    if pid == 0:  # dies in the middle of a file, as by SIGKILL
        with atomic_write(tmp_path / "step_000020.pth") as file:
            file.write(b"half")
            file.flush()
            os._exit(0)
    os.waitpid(pid, 0)
    assert len(os.listdir(tmp_path)) == 2
    remove_unfinished(tmp_path)
    assert os.listdir(tmp_path) == ["step_000010.pth"]
    remove_unfinished(tmp_path / "missing")


def test_what_is_still_being_written_is_no_leftover(tmp_path):
    """Another command that starts in the same folder leaves it alone."""
    (tmp_path / ".old.png.01234567.unfinished").write_bytes(b"of a process that is gone")
    with atomic_write(tmp_path / "result") as file:
        file.write(b"new")
        remove_unfinished(tmp_path)
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == ["result"]


def test_content_and_name_are_on_the_disk_before_and_after_the_renaming(tmp_path, monkeypatch):
    """A power cut leaves the old file or the new one: the order of the calls is what there is to see of it."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(os.fstat(handle).st_ino) or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *names: calls.append("rename") or replace(*names))
    with atomic_write(tmp_path / "result") as file:
        file.write(b"new")
    assert calls == [(tmp_path / "result").stat().st_ino, "rename", tmp_path.stat().st_ino]


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A model that came with the program."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "SHIPPED").write_text("checkpoints/wave.pth\ncheckpoints/gone.pth\n")
    (tmp_path / "checkpoints" / "wave.pth").write_bytes(b"a model")
    monkeypatch.setattr(files, "PROGRAM", tmp_path)
    return tmp_path / "checkpoints" / "wave.pth"


def test_what_came_with_the_program_is_not_written_over(shipped, tmp_path):
    (tmp_path / "link.pth").symlink_to(shipped)
    for path in (shipped, tmp_path / "link.pth"):
        with pytest.raises(UserError, match=f"{path} came with the program: give another name"):
            files.check_target(path, overwrite=True, endings=(".pth",))
    for name in ("gone.pth", "other.pth"):
        files.check_target(shipped.with_name(name), overwrite=False, endings=(".pth",))


def test_a_training_replaces_what_ships_by_its_own_flag_alone(shipped, train):
    own = ["--name", "wave", "--output_dir", shipped.parent]
    for flags in ([], ["--overwrite"], ["--resume"]):
        assert f"{shipped} came with the program" in train(*own, *flags).error
        assert shipped.read_bytes() == b"a model"
    train(*own, "--replace_shipped").ok()
    assert shipped.read_bytes() != b"a model"


def test_the_list_of_what_ships_is_whole():
    """``git ls-files 'checkpoints/*.pth' content styles > checkpoints/SHIPPED`` writes it."""
    if not (files.PROGRAM / ".git").exists():
        pytest.skip("needs the repository, to compare with")
    command = ["git", "ls-files", "checkpoints/*.pth", "content", "styles"]
    tracked = subprocess.run(command, cwd=files.PROGRAM, capture_output=True, text=True, check=True).stdout
    assert (files.PROGRAM / "checkpoints" / "SHIPPED").read_text() == tracked
