"""Files that ``torch.save`` wrote, from strangers: no code in them is run, and no small file takes much memory.

``torch.load(weights_only=True)`` runs no code, but believes the sizes that a file declares: a few bytes can unpack to
gigabytes, or declare a terabyte. So the file is inspected first, and what was read once more.
"""

import collections
import io
import os
import pickle
import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from utils.file_kinds import HEAD_BYTES, known_kind

_LARGEST_PICKLE = 4 * 2**20  # bytes of the part without tensors; 20,000 unreadable photographs fit in
_MOST_OPERATIONS = 100_000  # of a pickle; each makes an object at most; a checkpoint to resume from has 10,000
_MAGIC = 0x1950A86A20F9469CFC6C  # the number that torch.save began its files with before 2020


class Refused(Exception):
    """A file that is not read, with the reason in words."""


def load_untrusted(path: str | Path, largest_bytes: int) -> object:
    """What ``torch.save`` wrote to a file: containers, plain values, and tensors on the CPU.

    The format from before PyTorch 1.6, in which torchvision's weights are published, is read as well. Tensors take no
    more memory than their file.

    Raises:
        Refused: for a file that cannot be opened, is larger, damaged, holds anything else, or not what it declares.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > largest_bytes:
                raise Refused(f"it has {size} bytes, and such files have {largest_bytes} at most")
            head = file.read(HEAD_BYTES)
            if head.startswith(b"PK\3\4"):  # how torch.load decides, too
                _inspect_archive(file, size)
            elif kind := known_kind(head):
                raise Refused(f"it is {kind}")
            elif head.startswith(b"\x80") and _MAGIC.to_bytes(10, "little") in head:
                file.seek(0)
                pickles = io.BytesIO(file.read(_LARGEST_PICKLE))
                for _ in range(5):  # a magic number, a version, sizes of C's types, contents, names of storages
                    _inspect_pickle(pickles, size)
            else:
                raise Refused("it is cut short, or no file that PyTorch wrote" if size else "it is empty")
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch remarks on foreign pickles before it refuses them
                contents = torch.load(file, map_location="cpu", weights_only=True)
        check_contents(contents, size)
        return contents
    except Refused:
        raise
    # Damaged and foreign files fail in zipfile, pickle or torch, each with exceptions of its own.
    except Exception as error:
        reason = getattr(error, "strerror", None)
        what = f"it cannot be read ({reason})" if reason else "it is damaged, or holds more than weights and settings"
        raise Refused(what) from None


def check_contents(contents: object, most_bytes: int) -> None:
    """Refuse what no checkpoint holds: other types, names that are no text, deep nests, tensors that share numbers.

    All tensors together may take ``most_bytes``, once each is copied.

    Raises:
        Refused: with the reason.
    """
    # A list that holds another twice, which holds another twice, and so on, is small in the file and endless to read.
    left_values, left_bytes = 1_000_000, most_bytes

    def check(value, depth):
        nonlocal left_values, left_bytes
        left_values -= 1
        if depth > 20 or left_values < 0:
            raise Refused("it is nested too deeply to be a checkpoint")
        if isinstance(value, torch.Tensor):
            left_bytes -= value.numel() * value.element_size()
            if left_bytes < 0:
                raise Refused("its tensors are larger than itself")
        elif isinstance(value, dict | list | tuple):
            if isinstance(value, dict) and not all(isinstance(key, str | int) for key in value):
                raise Refused("it holds names that no checkpoint has")
            for entry in value.values() if isinstance(value, dict) else value:
                check(entry, depth + 1)
        elif not isinstance(value, str | int | float | None):
            raise Refused(f"it holds a {type(value).__name__}, which no checkpoint does")

    check(contents, 0)


def _inspect_archive(file: BinaryIO, size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size for part in parts):
            raise Refused("its parts are compressed, which PyTorch does not do")
        if sum(part.file_size for part in parts) > size or len({part.filename for part in parts}) < len(parts):
            raise Refused("its parts overlap")
        damaged = archive.testzip()
        if damaged is not None:
            raise Refused(f"it is damaged (the checksum of {damaged!r} does not match)")
        pickles = [part for part in parts if part.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _LARGEST_PICKLE:
            raise Refused("it is no archive of weights and settings")
        prefix = pickles[0].filename.removesuffix("data.pkl") + "data/"
        sizes = {p.filename.removeprefix(prefix): p.file_size for p in parts if p.filename.startswith(prefix)}
        _inspect_pickle(io.BytesIO(archive.read(pickles[0])), size, sizes)


# What PyTorch writes, and nothing that makes much of one byte.
_OPERATIONS = {
    "PROTO", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT",
    "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL",
    "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
}  # fmt: skip
_NO_TUPLES = {"EMPTY_LIST", "EMPTY_DICT", "GLOBAL", "REDUCE", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}


def _inspect_pickle(file: BinaryIO, most_bytes: int, record_bytes: dict[str, int] | None = None) -> None:
    """Check a pickle's operations, then the sizes that it declares. The file is read up to the pickle's end."""
    start = file.tell()
    before, others, shared_tuples = "", set(), 0
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        name = operation.name
        # A tuple that holds another twice, which holds another twice, and so on, takes for ever to hash, as a name.
        if name in ("BINGET", "LONG_BINGET"):
            shared_tuples += argument not in others
        elif name in ("BINPUT", "LONG_BINPUT"):
            (others.add if before in _NO_TUPLES else others.discard)(argument)
            number = max(number, argument)  # the reader makes room for as many objects as the largest place
        # Numbers of any length can be made to collide, as names of a dict, which then takes for ever to fill.
        long = isinstance(argument, int) and argument.bit_length() > 64 and argument != _MAGIC
        if name not in _OPERATIONS or long or number > _MOST_OPERATIONS or shared_tuples > 16:
            raise pickle.UnpicklingError("no pickle of PyTorch's, or too large a one")
        before = name
    file.seek(start)
    _Inspector(file, most_bytes, record_bytes).load()


class _StandIn:
    """In place of a tensor or parameter, whatever it is made of."""

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


_NUMBER_BYTES = {
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2, "HalfStorage": 2, "BFloat16Storage": 2,
    "IntStorage": 4, "FloatStorage": 4, "LongStorage": 8, "DoubleStorage": 8,
}  # fmt: skip


class _Inspector(pickle.Unpickler):
    """Reads a pickle with stand-ins for tensors, and compares the sizes it declares with those that the file holds.

    ``record_bytes`` are those of each storage in an archive; in a file without, each may have ``most_bytes``.
    """

    def __init__(self, file: BinaryIO, most_bytes: int, record_bytes: dict[str, int] | None = None):
        super().__init__(file, encoding="utf-8")
        self._most_bytes, self._record_bytes = most_bytes, record_bytes

    def find_class(self, module: str, name: str):
        if module in ("torch", "torch.cuda") and name in _NUMBER_BYTES:
            return _NUMBER_BYTES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        rebuild = name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
        if (rebuild and module == "torch._utils") or (module, name) == ("torch.nn.parameter", "Parameter"):
            return _StandIn
        raise pickle.UnpicklingError(f"{module}.{name} is no part of weights and settings")

    def persistent_load(self, pid) -> _StandIn:
        kind, number_bytes, key, _, length, *views = pid
        if kind != "storage" or type(number_bytes) is not int or type(length) is not int or any(views):
            raise pickle.UnpicklingError("no storage")
        declared = length * number_bytes
        held = self._most_bytes if self._record_bytes is None else self._record_bytes.get(key, 0)
        if declared > held or (declared != held and self._record_bytes is not None):
            raise Refused(f"it declares {declared} bytes of numbers where it holds {held}")
        return _StandIn()
