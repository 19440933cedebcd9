"""Errors meant for the person who typed the command. Standard library alone."""

import contextlib
import importlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import TextIO

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # Unicode's categories Cc, Zl, Zp and Cs


def one_line(text: object, stream: TextIO | None = None) -> str:
    """A text in one line for a terminal; control characters, which a file name may hold, are spelt out.

    Bytes of a name that are not UTF-8, which Python keeps as lone surrogates, become ``\\udcNN``; so does what
    ``stream`` has no letter for, as many a console on Windows.
    """
    line = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


class UserError(Exception):
    """A fault in what the user gave: one sentence that names the flag or file, what was wrong, and what to do."""

    def __str__(self):
        return one_line(super().__str__())


class ImageError(UserError):
    """A file that cannot be read as a picture."""


class OutputError(UserError):
    """Standard output cannot be written; no photograph is at fault."""


@contextlib.contextmanager
def writing_output() -> Iterator[None]:
    """A block that writes to standard output: raises :class:`OutputError` if it has no room."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written ({error.strerror}): give a file with room") from None


def optional(package: str, otherwise: str) -> ModuleType:
    """A package that not everybody has. Raises :class:`UserError` of ``otherwise`` where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UserError(otherwise) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there is too little memory; PyTorch's is a RuntimeError, on a CPU a plain one."""
    if isinstance(error, RuntimeError):
        return re.search("not enough memory|out of memory|allocate memory", str(error).lower()) is not None
    return isinstance(error, MemoryError)
