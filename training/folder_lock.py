"""One training at a time in a folder: who writes to it holds a lock that the system lets go when the process ends."""

import contextlib
import errno
import os
import platform
import time
from pathlib import Path

from filelock import FileLock, Timeout

from utils.errors import UserError
from utils.files import atomic_write

NAME = ".running"
"""The file that says who holds the folder; the one that is locked lies beside it. Both are removed at the end."""


class FolderLock:
    """Keeps other processes from writing to a folder, until :meth:`release` or the end of this process.

    The lock is the system's, on an open file: a killed process holds nothing, and its files hinder nobody.

    Args:
        folder: need not exist.

    Raises:
        UserError: naming the process that holds it.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._lock = FileLock(folder / f"{NAME}.lock", timeout=0, thread_local=False)
        self._holder = f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        if self.path.exists():  # look before anything is written, and long before the training begins
            with contextlib.suppress(OSError):
                self._acquire()
            self._lock.release()

    def hold(self) -> bool:
        """Make the folder and take the lock, if it is not held: at first, and where somebody has removed the folder.

        Returns:
            Whether it had been held and was lost.

        Raises:
            UserError: where another process holds it, or the folder cannot be written to.
        """
        lost = self._lock.is_locked
        if lost and self._named_holder() == self._holder:
            return False
        self._lock.release()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            raise UserError(
                f"{self.path.parent} cannot be written to ({error.strerror}): give another --output_dir"
            ) from None
        with atomic_write(self.path) as file:
            file.write(self._holder.encode())
        return lost

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            holder = self._named_holder() or "another process"
            raise UserError(
                f"{self.path.parent} is being written to by another training ({holder}): wait for its end, stop it, or "
                "give another --output_dir"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # those of a file system without locks
                raise

    def _named_holder(self) -> str:
        with contextlib.suppress(OSError):
            if self.path.is_file():  # opening a pipe would wait
                return self.path.read_text(encoding="utf-8", errors="replace")[:300]
        return ""

    def release(self) -> None:
        """Give the folder free. May be called again."""
        if not self._lock.is_locked:
            return
        left = [self.path, self._lock.lock_file] if self._named_holder() == self._holder else []
        for path in (*left,):
            with contextlib.suppress(OSError):
                os.unlink(path)  # before the lock goes: after that it may be another's
                left.remove(path)
        self._lock.release()
        for path in left:  # Windows removes no file that is open, neither this one's nor another's
            with contextlib.suppress(OSError):
                os.unlink(path)
