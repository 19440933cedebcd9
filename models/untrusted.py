"""Files that ``torch.save`` wrote, from strangers: what they would allocate is found out before anything is.

``torch.load(weights_only=True)`` runs no code, but it believes the sizes that a file declares: a few bytes can unpack
to gigabytes, or declare a terabyte. Here the file is inspected first: the archive (parts that are not compressed, do
not overlap, and have the checksums that were written with them), then its pickle, with stand-ins for tensors.
"""

import collections
import io
import math
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from utils.file_kinds import HEAD_BYTES, known_kind

_LARGEST_PICKLE = 4 * 2**20
"""Bytes of the part without tensors; each can become an object of a hundred. 20,000 unreadable photographs fit in."""

_MAGIC = 0x1950A86A20F9469CFC6C  # the number that torch.save began its files with before 2020
_MAGIC_BYTES = _MAGIC.to_bytes(10, "little")


class Refused(Exception):
    """A file that is not read, with the reason in words."""


def load_untrusted(path: str | Path, largest_bytes: int) -> object:
    """What ``torch.save`` wrote to a file: containers, plain values, and tensors on the CPU.

    Files of PyTorch before 1.6 have another format, in which torchvision's weights are published; it is read as well.

    Args:
        largest_bytes: refuse a larger file. Tensors take no more memory than their file.

    Raises:
        Refused: for a file that cannot be opened, is damaged, holds anything else, or declares what it does not hold.
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
            elif head.startswith(b"\x80") and _MAGIC_BYTES in head:
                _inspect_legacy(file, size)
            else:
                raise Refused("it is cut short, or no file that PyTorch wrote" if size else "it is empty")
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch remarks on foreign pickles before it refuses them
                return torch.load(file, map_location="cpu", weights_only=True)
    except Refused:
        raise
    except zipfile.BadZipFile as error:
        raise Refused(f"it is damaged ({error})") from None
    except pickle.UnpicklingError:
        raise Refused("it is damaged, or holds more than weights and settings") from None
    # Damaged and foreign files fail in zipfile, pickle or torch, each with exceptions of its own.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise Refused(f"it cannot be read ({reason})") from None


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
        sizes = {
            part.filename.removeprefix(prefix): part.file_size for part in parts if part.filename.startswith(prefix)
        }
        _Inspector(io.BytesIO(archive.read(pickles[0])), size, sizes).load()


def _inspect_legacy(file: BinaryIO, size: int) -> None:
    """Five pickles: a magic number, a version, sizes of C's types, the contents, and the names of its storages."""
    file.seek(0)
    head = io.BytesIO(file.read(_LARGEST_PICKLE))
    for _ in range(5):
        _Inspector(head, size).load()


class _OrderedDict(collections.OrderedDict):
    """With names for keys alone: the hash of nested tuples can take for ever."""

    def __init__(self, pairs=()):
        super().__init__()
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key, value):
        super().__setitem__(_name(key), value)


class _StorageType:
    def __init__(self, item_bytes: int):
        self.item_bytes = item_bytes


class _Storage:
    def __init__(self, length: int, item_bytes: int):
        self.length, self.item_bytes = length, item_bytes


class _Parameter:
    """In place of ``torch.nn.Parameter``, which old files hold."""

    def __new__(cls, data, *_):
        return super().__new__(cls)


_STORAGES = {
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2, "HalfStorage": 2, "BFloat16Storage": 2,
    "IntStorage": 4, "FloatStorage": 4, "LongStorage": 8, "DoubleStorage": 8,
}  # fmt: skip

# What PyTorch writes, and nothing that makes much of one byte.
_OPERATIONS = """
    PROTO STOP MARK POP BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1
    BINFLOAT BINUNICODE SHORT_BINSTRING BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS
    EMPTY_DICT SETITEM SETITEMS GLOBAL REDUCE NEWOBJ BUILD BINPERSID
"""


# The unpickler in Python, not the one in C: operations can be left out of it, and it keeps its memory in a dict, where
# the one in C allocates as many places as a file says.
class _Inspector(pickle._Unpickler):
    """Reads a pickle with stand-ins for tensors, and checks what they declare.

    Args:
        file: the pickle.
        most_bytes: of all tensors together.
        record_bytes: name -> bytes of each storage that the archive holds; ``None`` for a legacy file.
    """

    def __init__(self, file: BinaryIO, most_bytes: int, record_bytes: dict[str, int] | None = None):
        super().__init__(file, encoding="utf-8")
        self._left, self._record_bytes = most_bytes, record_bytes
        self._storages: dict[object, _Storage] = {}

    def find_class(self, module: str, name: str):
        known = {
            ("collections", "OrderedDict"): _OrderedDict,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): _Parameter,
            ("torch.nn.parameter", "Parameter"): _Parameter,
        }
        if module in ("torch", "torch.cuda") and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of weights and settings")
        return known[module, name]

    def persistent_load(self, pid) -> _Storage:
        kind, storage_type, key, _, length, *views = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or any(view is not None for view in views):
            raise pickle.UnpicklingError("no storage")
        if key not in self._storages:
            num_bytes = _whole_number(length) * storage_type.item_bytes
            held = self._left if self._record_bytes is None else self._record_bytes.get(key, -1)
            if num_bytes > held or (num_bytes != held and self._record_bytes is not None):
                raise Refused(f"it declares {num_bytes} bytes of numbers where it holds {max(held, 0)}")
            self._storages[key] = _Storage(length, storage_type.item_bytes)
        return self._storages[key]

    def _tensor(self, storage, offset, size, stride, *_):
        if not isinstance(storage, _Storage) or len(size) != len(stride):
            raise pickle.UnpicklingError("no tensor")
        count = math.prod(map(_whole_number, size))
        last = _whole_number(offset) + sum((n - 1) * _whole_number(step) for n, step in zip(size, stride))
        if count and (count > storage.length or last >= storage.length):
            raise Refused(f"it declares a tensor of {count} numbers where it holds {storage.length}")
        self._left -= count * storage.item_bytes  # else tensors that share their numbers would add up when copied
        if self._left < 0:
            raise Refused("its tensors are larger than itself")
        return storage

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        # An OrderedDict's attributes; a parameter's (requires_grad, volatile, hooks). Anything else would change a
        # tensor that was checked already.
        attributes = isinstance(target, _OrderedDict) and isinstance(state, dict)
        flags = isinstance(target, _Parameter) and isinstance(state, tuple) and len(state) == 3
        if not attributes and not flags:
            raise pickle.UnpicklingError("a state that no tensor has")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_name(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2]):
            self.stack[-1][_name(key)] = value

    dispatch = {
        code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _OPERATIONS.split())
    }
    dispatch |= {
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
    }


def _name(key) -> str | int:
    if not isinstance(key, str | int):
        raise pickle.UnpicklingError("no name")
    return key


def _whole_number(value) -> int:
    if type(value) is not int or value < 0:
        raise pickle.UnpicklingError("no size")
    return value
