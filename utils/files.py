"""Files that are complete under their final name, whatever happens while they are written."""

import contextlib
import glob
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from utils.errors import UserError
from utils.file_kinds import is_url

try:
    import fcntl
except ImportError:  # Windows, where a file that is written cannot be removed
    fcntl = None

_TEMPORARY_SUFFIX = ".unfinished"  # behind 50 characters of the name: it may have 255 bytes, a character up to four

PROGRAM = Path(__file__).resolve().parents[1]  # the folder of the scripts, and of the samples and models that ship


def beside_program(path: str | Path) -> Path:
    """A path that a setting names: as it is, or if nothing is there, the same path beside the program."""
    path, shipped = Path(path), PROGRAM / path
    return shipped if os.path.lexists(shipped) and not os.path.lexists(path) else path


def ships(path: str | Path) -> bool:
    """Whether a file came with the program, by the list that ``git ls-files`` made (``tests/utils/test_files.py``)."""
    try:
        names = (PROGRAM / "checkpoints" / "SHIPPED").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return os.path.exists(path) and Path(path).resolve() in {(PROGRAM / name).resolve() for name in names}


def is_pattern(value: str) -> bool:
    """Whether a value names no file itself and has wildcards."""
    return any(c in value for c in "*?[") and not os.path.lexists(value) and not is_url(value)


def matching(pattern: str) -> list[str]:
    """What a pattern matches, sorted. Folders that are there are taken as they are called: ``album [2023]/*.jpg``."""
    fixed, rest = "", pattern.replace(os.altsep or os.sep, os.sep)
    while (cut := rest.find(os.sep, 1)) > 0 and os.path.isdir(fixed + rest[:cut]):
        fixed, rest = fixed + rest[: cut + 1], rest[cut + 1 :]
    start = glob.escape(fixed)
    found = glob.glob(start + rest, recursive=True)
    return sorted(found or glob.glob(start + rest.replace("[", "[[]"), recursive=True))


MODELS = (".pth", ".safetensors")  # endings of style models


def check_target(path: str | Path, overwrite: bool, endings: Iterable[str], flag: str = "") -> None:
    """Refuse, before any work, a file to write: one of another ending, a folder, or one that exists.

    Raises :class:`UserError`, which names the file, and the flag that named it.
    """
    called = f"{flag} {path}".strip()
    if Path(path).suffix.lower() not in endings:
        raise UserError(f"{called} has an unknown ending: give a name that ends in {' or '.join(endings)}")
    if os.path.isdir(path):
        raise UserError(f"{called} is a folder: give the name of a file")
    if ships(path):
        raise UserError(f"{called} came with the program: give another name, or remove that file first")
    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{called} exists already: give another name, or add --overwrite to replace it")


_OF_FILES = (
    ".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".mp4", ".mov",
    ".mkv", ".webm", ".avi", *MODELS,
)  # fmt: skip


def check_output_dir(folder: str | Path, written: bool = True) -> None:
    """Refuse an output folder that has the ending of a file, or that cannot be made and, if need be, written to.

    Raises :class:`UserError`, which names the flag.
    """
    folder = Path(folder)
    if folder.suffix.lower() in _OF_FILES and not os.path.isdir(folder):
        raise UserError(
            f"--output_dir {folder} is named as a file, and names of files are the program's: give a folder, such as "
            f"{folder.with_suffix('')}"
        )
    there = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), Path())
    if not os.path.isdir(there):
        which = "" if there == folder else f": {there}"
        raise UserError(f"--output_dir {folder}{which} is a file: give a folder")
    if written:
        try:
            with tempfile.TemporaryDirectory(dir=there):
                pass
        except OSError as error:
            raise UserError(
                f"--output_dir {folder} cannot be written to ({error.strerror}): give another folder"
            ) from None


@contextlib.contextmanager
def atomic_write(path: str | Path, name_at_end: Callable[[], Path] | None = None) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` once the block ends without an exception, and not before.

    Folders are made as needed. What stood there before is untouched until then, and if anything fails. ``name_at_end``
    is called after the block, and gives the name, in the same folder, that the file gets in place of ``path``. Raises
    :class:`UserError`, which names the file, where the system refuses (disk full, no permission, ...).
    """
    path = Path(path)
    unfinished = path.parent / f".{path.name[:50]}.{secrets.token_hex(4)}{_TEMPORARY_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "xb") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name with no content
        _replace(unfinished, path if name_at_end is None else name_at_end())
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): nothing earlier was changed") from None
    finally:
        with contextlib.suppress(OSError):  # such as that it has its name
            os.truncate(unfinished, 0)  # or its room would be held by whoever still has it open
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def _replace(source: Path, target: Path) -> None:
    """Rename a file. On Windows nobody can while a viewer or a virus scanner looks at it: wait for that."""
    for seconds in (0.05, 0.2, 1.0) if os.name == "nt" else ():
        with contextlib.suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(seconds)
    os.replace(source, target)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what killed processes left behind in a folder, for the file ``name`` or for all files.

    What a process still writes is left alone: it is locked, or on Windows it cannot be removed.
    """
    for leftover in folder.glob(f".{glob.escape(name[:50])}*{_TEMPORARY_SUFFIX}"):
        if not leftover.is_file():  # opening a pipe would wait for whoever writes to it
            continue
        with contextlib.suppress(OSError), open(leftover, "rb") if fcntl else contextlib.nullcontext() as file:
            _lock(file)
            leftover.unlink()


def _lock(file: BinaryIO) -> None:
    """Take a file for this process, until it is closed or the process ends. Raises OSError if another one has it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
