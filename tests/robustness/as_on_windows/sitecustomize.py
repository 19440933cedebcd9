"""Has Python on a POSIX system treat this repository's code as Windows would. Others' code sees what it always sees.

Python imports this file by itself as it starts, where its folder is on PYTHONPATH; so it does in processes that are
started from there. There are then no POSIX modules, signals and calls, the C library has no name, processes are
spawned, a file that is open can be neither removed nor replaced, and text files have an encoding of their own.
"""

import builtins
import contextlib
import ctypes
import glob
import multiprocessing
import os
import signal
import sys
import types
import warnings

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
OURS = r"__main__|config|begin_\w+|(data|evaluation|imaging|inference|losses|models|training|utils)\..*"
MISSING = {
    os: (
        "O_NOFOLLOW", "O_NONBLOCK", "chown", "fork", "geteuid", "getloadavg", "getpgid", "getuid", "killpg", "mkfifo",
        "nice", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname",
        "wait4", "waitpid",
    ),
    signal: ("SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGXFSZ", "alarm", "setitimer", "sigwait"),
}  # fmt: skip


def asked_by_us(depth: int = 2) -> bool:
    return sys._getframe(depth).f_code.co_filename.startswith(ROOT)


def without(module: types.ModuleType, names: tuple[str, ...]) -> None:
    class Windows(types.ModuleType):
        def __getattribute__(self, name):
            if name in names and asked_by_us():
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return super().__getattribute__(name)

    module.__class__ = Windows


def importing(name, *args, original=builtins.__import__, **kwargs):
    if name in MODULES and asked_by_us():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return original(name, *args, **kwargs)


def load_library(self, name, *args, original=ctypes.CDLL.__init__, **kwargs):
    if name is None and asked_by_us():
        raise TypeError("argument of type 'NoneType' is not iterable")
    original(self, name, *args, **kwargs)


def refusing_open_files(function):
    """``os.unlink`` and its like, for paths that no process has open."""

    def call(*paths, **kwargs):
        in_use = set()
        for handle in glob.glob("/proc/[0-9]*/fd/*"):
            with contextlib.suppress(OSError):  # closed meanwhile, or another user's
                in_use.add(os.readlink(handle))
        if in_use & {os.path.realpath(path) for path in paths}:
            raise PermissionError(13, "The process cannot access the file, for it is in use", *paths[:1])
        return function(*paths, **kwargs)

    return call


for module, names in MISSING.items():
    without(module, names)
builtins.__import__ = importing
ctypes.CDLL.__init__ = load_library
for name in ("unlink", "remove", "rename", "replace"):
    setattr(os, name, refusing_open_files(getattr(os, name)))
multiprocessing.set_start_method("spawn")
warnings.filterwarnings("error", category=EncodingWarning, module=OURS)
