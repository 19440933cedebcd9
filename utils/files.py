"""Files that are complete under their final name, whatever happens while they are written."""

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data.errors import UserError

_TEMPORARY_SUFFIX = ".unfinished"


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` once the block ends without an exception, and not before.

    Folders are made as needed. What stood there before is untouched until then, and if anything fails.

    Raises:
        UserError: naming the file, where the system refuses (disk full, no permission, ...).
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(_TEMPORARY_SUFFIX, f".{path.name[:100]}.", path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name with no content
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): nothing earlier was changed") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what killed processes left behind in a folder: of the file ``name``, or of all files."""
    for leftover in folder.glob(f".{glob.escape(name)}*{_TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _umask() -> int:
    # mkstemp makes files for the owner alone; results are to have the permissions of any other file.
    current = os.umask(0)
    os.umask(current)
    return current
