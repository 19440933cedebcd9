"""One training at a time in a folder, by a lock that the system lets go when the process ends."""

import contextlib
import errno
import os
from pathlib import Path

from filelock import FileLock, Timeout

from utils.errors import UserError

NAME = ".running.lock"
"""The file that is locked; it is removed at the end."""


class FolderLock:
    """Keeps other processes from writing to a folder, until :meth:`release` or the end of this process.

    Args:
        folder: need not exist.

    Raises:
        UserError: if another process holds it.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = FileLock(folder / NAME, timeout=0, thread_local=False)
        self._file: os.stat_result | None = None  # that of the lock, once it is held
        if os.path.lexists(folder / NAME):  # look before anything is written, and long before the training begins
            with contextlib.suppress(OSError):
                self._acquire()
            self.release()

    def hold(self) -> bool:
        """Make the folder and take the lock, if it is not held: at first, and where somebody has removed the folder.

        Returns:
            Whether it had been held and was lost.

        Raises:
            UserError: where another process holds it, or the folder cannot be written to.
        """
        lost = self._lock.is_locked
        if lost and self._is_in_place():
            return False
        self._lock.release()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written to ({error.strerror}): give another --output_dir"
            ) from None
        return lost

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
            self._file = os.stat(self._lock.lock_file)
        except Timeout:
            raise UserError(
                f"{self._folder} is being written to by another training: wait for its end, stop it, or give another "
                "--output_dir"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # those of a file system without locks
                raise

    def _is_in_place(self) -> bool:
        """Whether the file that is locked still has its name: in a folder that was removed, another may have it."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(self._lock.lock_file), self._file)
        return False

    def release(self) -> None:
        """Give the folder free. May be called again."""
        if self._lock.is_locked and self._is_in_place():
            with contextlib.suppress(OSError):  # Windows removes no file that is open; there filelock does it
                os.unlink(self._lock.lock_file)  # before the lock goes: after that it may be another's
        self._lock.release()
