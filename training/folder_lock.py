"""One training at a time in a folder: who writes to it holds a lock that the system lets go when the process ends."""

import contextlib
import os
import platform
import time
from pathlib import Path

from utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two trainings from one folder
    fcntl = None

NAME = ".running"
"""The file that is locked, in the folder; it says who holds it, and is removed at the end."""

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)  # a link of that name may lead anywhere


class FolderLock:
    """Keeps other processes from writing to a folder, until :meth:`release` or the end of this process.

    The lock is the system's, on an open file: a killed process holds nothing, and its file hinders nobody.

    Args:
        folder: need not exist.

    Raises:
        UserError: naming the process that holds it.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._handle: int | None = None
        if self.path.exists():  # look before anything is written, and long before the training begins
            with contextlib.suppress(OSError):
                handle = os.open(self.path, _FLAGS)
                try:
                    self._lock(handle)
                finally:
                    os.close(handle)

    def hold(self) -> bool:
        """Make the folder and take the lock, if it is not held: at first, and where somebody has removed the folder.

        Returns:
            Whether it had been held and was lost.

        Raises:
            UserError: where another process holds it, or the folder cannot be written to.
        """
        lost = self._handle is not None
        if lost and self._is_in_place(self._handle):
            return False
        self._close()
        try:
            while self._handle is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self.path, _FLAGS | os.O_CREAT, 0o666)
                try:
                    self._lock(handle)
                    if self._is_in_place(handle):  # its holder may have removed it on leaving
                        self._handle, handle = handle, None
                finally:
                    if handle is not None:
                        os.close(handle)
            os.ftruncate(self._handle, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            os.write(self._handle, f"process {os.getpid()} on {platform.node()}, since {since}".encode())
        except OSError as error:
            raise UserError(
                f"{self.path.parent} cannot be written to ({error.strerror}): give another --output_dir"
            ) from None
        return lost

    def _lock(self, handle: int) -> None:
        if fcntl is None:
            return
        try:
            # A lock of this process alone, not of the reading ones that it forks: they may outlive it for seconds.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.pread(handle, 300, 0).decode(errors="replace") or "another process"
            raise UserError(
                f"{self.path.parent} is being written to by another training ({holder}): wait for its end, stop it, or "
                "give another --output_dir"
            ) from None
        except OSError:
            pass  # a file system without locks

    def _is_in_place(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except OSError:
            return False

    def release(self) -> None:
        """Give the folder free. May be called again."""
        if self._handle is not None and self._is_in_place(self._handle):
            with contextlib.suppress(OSError):
                os.unlink(self.path)  # before the lock goes: after that it may be another's
        self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
