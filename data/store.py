"""Photographs decoded once: a folder of raw pixels that the training maps into memory, and how it is written.

    photograph_store.json     what the store is made of; whether it is complete, and then its sizes and checksum
    photograph_index.jsonl    a line a photograph, in the order of the folder that they come from:
                              [name, source bytes, source mtime_ns, shard, offset, height, width, crc32], or
                              [name, source bytes, source mtime_ns, reason] of one that could not be read
    photographs_NNNNN.bin     shards: the pixels, H x W x 3 uint8 RGB, one photograph after the other

The bytes of a store follow from the photographs and the size alone: not from the number of processes that decoded
them, nor from where the writing was interrupted.
"""

import contextlib
import hashlib
import json
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import ImageError, UserError

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two commands from writing the same store at once
    fcntl = None

HEADER = "photograph_store.json"
INDEX = "photograph_index.jsonl"
FORMAT = "decoded photographs"
VERSION = 1

SHARD_BYTES = 2**30
"""Size that a shard does not exceed, unless a single photograph does."""

COMMIT_PHOTOGRAPHS = 256
"""Photographs after which they are made safe against a power cut; as many at most are decoded again after a kill."""

_FIELDS = ["name", "source_bytes", "source_mtime_ns", "shard", "offset", "height", "width", "crc32"]


class UnfinishedStore(UserError):
    """A store that the writing stopped in, or that has lost a shard; preparing it again completes it."""


def shard_name(number: int) -> str:
    return f"photographs_{number:05d}.bin"


def _shards(folder: Path) -> dict[int, Path]:
    """The shards that lie in a folder, by their number."""
    matches = ((re.fullmatch(r"photographs_(\d{5,})\.bin", path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a store, complete or not. Looks at names alone."""
    return any(os.path.exists(os.path.join(folder, name)) for name in (HEADER, INDEX, shard_name(0)))


def _read_header(folder: Path, called: str) -> dict:
    """The header, checked for being one.

    Raises:
        FileNotFoundError: if there is none. UserError: if it is damaged, or of another format.
    """
    anew = "prepare it anew, with --overwrite"
    try:
        header = json.loads((folder / HEADER).read_bytes())
        form = (header["format"], header["version"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{called} is damaged ({HEADER} cannot be read): {anew}") from None
    if form != (FORMAT, VERSION):
        raise UserError(f"{called} holds {form[0]!r} of version {form[1]}, not {FORMAT!r} of version {VERSION}: {anew}")
    return header


class StoredPhotograph:
    """One photograph of a store; what a path is to a file."""

    def __init__(self, store: "PhotographStore", index: int):
        self.store, self.index = store, index

    def __str__(self) -> str:
        return f"{self.store.names[self.index]} in {self.store.folder}"

    def read(self) -> Image.Image:
        """The photograph, mode ``RGB``. Raises :class:`ImageError` where its pixels are damaged."""
        return Image.fromarray(self.store.pixels(self.index))


class PhotographStore(Sequence):
    """The photographs of a complete store, as a sequence of :class:`StoredPhotograph`.

    Opening reads the index and looks at the sizes of the shards. Pixels are read when they are asked for: a store may
    be far larger than the memory. They are not mapped into memory, where a shard that is cut while it is in use, or a
    disk that fails, would end the process without a word. No file stays open.

    Args:
        folder: as ``data.prepare`` writes it.
        flag: the flag that named it, for errors.

    Attributes:
        size: the short side of the photographs, pixels; less where the source was smaller.
        names: of the photographs, relative to the folder that they come from.
        unreadable: (name, reason) of those that could not be read, and are not among the others.
        num_bytes, num_shards: of the pixels.

    Raises:
        UnfinishedStore: saying how to finish it. UserError: if it is damaged otherwise, or of another format.
    """

    def __init__(self, folder: str | Path, flag: str = ""):
        self.folder = Path(folder)
        called = f"{flag} {folder}".lstrip()
        finish = f"finish it with python -m data.prepare PHOTOS {folder}"
        try:
            header = _read_header(self.folder, called)
            self.size = int(header["size"])
            fault = self._shard_fault(header)
            if fault:
                raise UnfinishedStore(
                    f"{called} is not a finished store of photographs ({fault}): {finish} --size {self.size}"
                )
            self._read_index(header)
        except OSError as error:
            missing = Path(error.filename).name if isinstance(error, FileNotFoundError) else None
            if missing == HEADER:
                raise UnfinishedStore(
                    f"{called} is not a finished store of photographs ({HEADER} is missing): {finish}"
                ) from None
            raise UserError(
                f"{called} cannot be read ({missing or error.filename}: {error.strerror}): prepare it anew, with "
                "--overwrite"
            ) from None
        except (ValueError, KeyError, TypeError, IndexError):
            reason = f"{INDEX} is not the one that {HEADER} tells of"
            raise UserError(f"{called} is damaged ({reason}): prepare it anew, with --overwrite") from None

    def _shard_fault(self, header: dict) -> str | None:
        if not header["complete"]:
            return "the preparation was interrupted"
        for number, size in enumerate(header["shards"]):
            try:
                found = os.stat(self.folder / shard_name(number)).st_size
            except FileNotFoundError:
                return f"{shard_name(number)} is missing"
            if found != size:
                return f"{shard_name(number)} has {found} bytes of {size}"
        return None

    def _read_index(self, header: dict) -> None:
        """Raises ValueError and the like where the index is not the one that the header tells of."""
        data = (self.folder / INDEX).read_bytes()
        if len(data) != header["index_bytes"] or zlib.crc32(data) != header["index_crc32"]:
            raise ValueError
        # One call for all lines: COCO's 118,287 take 0.2 s, and as many calls several times that.
        lines = json.loads(b"[" + data[:-1].replace(b"\n", b",") + b"]")
        self.unreadable = [(line[0], line[3]) for line in lines if len(line) == 4]
        lines = [line for line in lines if len(line) == len(_FIELDS)]
        self.names = [line[0] for line in lines]
        table = np.array([line[3:] for line in lines], np.int64).reshape(-1, 5)
        self._shard, self._offset, self._height, self._width, self._crc32 = table.T
        sizes = np.array(header["shards"], np.int64)
        ends = self._offset + 3 * self._height * self._width
        if len(lines) != header["photographs"] or (self._offset < 0).any() or (ends > sizes[self._shard]).any():
            raise ValueError
        self.num_bytes, self.num_shards = int(sizes.sum()), len(sizes)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> StoredPhotograph:
        return StoredPhotograph(self, range(len(self))[index])

    def pixels(self, index: int) -> np.ndarray:
        """A photograph: H x W x 3, uint8, RGB, read from its shard.

        Raises:
            ImageError: naming the photograph, if its bytes do not have the checksum that they were written with.
        """
        shard, offset = int(self._shard[index]), int(self._offset[index])
        height, width = int(self._height[index]), int(self._width[index])
        try:
            pixels = np.fromfile(self.folder / shard_name(shard), np.uint8, 3 * height * width, offset=offset)
            pixels = pixels.reshape(height, width, 3)
        except (OSError, ValueError) as error:  # a shard that was removed or cut since the store was opened
            raise ImageError(f"{self[index]} cannot be read ({error}): prepare the store again") from None
        if zlib.crc32(pixels) != self._crc32[index]:
            raise ImageError(
                f"{self[index]} is damaged (its bytes from {offset} in {shard_name(shard)} do not match their "
                "checksum): prepare the store anew, with --overwrite"
            )
        return pixels


class StoreWriter:
    """Writes a store, or goes on with one where its writing stopped.

    The index is the journal: a line is written once its pixels are safely on disk, and whatever lies beyond the last
    whole line was not finished and is cut off. Photographs come in the order of ``sources``; ``done`` is the next one's
    index. Used as a context manager: leaving it makes safe what was added so far.

    Args:
        folder: a new or empty one, or a store of the same sources and size.
        size: short side of the photographs, pixels; recorded.
        sources: (name, bytes, mtime_ns) of every photograph, relative to their folder.
        overwrite: whether to begin anew in a folder that holds another store.
        shard_bytes: limit of a shard; that of the store where one is taken up.

    Attributes:
        done: sources that are stored, or recorded as unreadable.
        unreadable: names of those recorded as unreadable.
        finished: the store is complete: nothing is left to be added.

    Raises:
        UserError: where the folder holds something else, or another process is writing to it.
    """

    def __init__(
        self,
        folder: str | Path,
        size: int,
        sources: list[tuple[str, int, int]],
        overwrite: bool = False,
        shard_bytes: int = SHARD_BYTES,
    ):
        self.folder, self.sources = Path(folder), sources
        self.done, self.unreadable, self.finished = 0, [], False
        self._shard, self._offset, self._shard_sizes = 0, 0, []
        self._pending: list[bytes] = []
        self._shard_file = self._index = None
        listing = "\0".join(f"{name}\0{size}\0{mtime_ns}" for name, size, mtime_ns in sources)
        self._header = {
            "format": FORMAT,
            "version": VERSION,
            "size": size,
            "shard_bytes": shard_bytes,
            "sources": len(sources),
            "listing": hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest(),
            "fields": _FIELDS,
            "complete": False,
        }
        with self._reported():
            if self.folder.exists() and not is_store(self.folder) and any(self.folder.iterdir()):
                raise UserError(f"{folder} holds other files: give a new or empty folder for the prepared photographs")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._index = (self.folder / INDEX).open("a+b")
            try:
                self._lock()
                if overwrite:
                    self._clear()
                self._take_up()
            except BaseException:
                self._index.close()
                raise

    @contextlib.contextmanager
    def _reported(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be written ({error.strerror or error}): once that is mended, the same command "
                "goes on where it stopped"
            ) from None

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            # A lock of this process alone, not of the decoding ones that it forks: they may outlive it for seconds.
            fcntl.lockf(self._index, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise UserError(f"{self.folder} is being prepared by another process: wait for it to end") from None
        except OSError:
            pass  # a file system without locks

    def _clear(self) -> None:
        (self.folder / HEADER).unlink(missing_ok=True)
        for path in _shards(self.folder).values():
            path.unlink()
        self._index.truncate(0)

    def _take_up(self) -> None:
        try:
            header = _read_header(self.folder, str(self.folder))
        except FileNotFoundError:
            if _shards(self.folder):
                raise UserError(f"{self.folder} has lost its {HEADER}: begin anew, with --overwrite") from None
            self._index.truncate(0)
            self._write_header()
            return
        self._check_same(header)
        self._header["shard_bytes"] = header["shard_bytes"]
        if header.get("complete"):
            try:
                store = PhotographStore(self.folder)  # closing the index, it gives up the lock where nothing is to do
            except UnfinishedStore:
                self._write_header()  # not complete any more, before anything is cut off
            else:
                self.done, self.finished = len(self.sources), True
                self.unreadable = [name for name, _ in store.unreadable]
                return
        self._recover()

    def _check_same(self, header: dict) -> None:
        size, now = header.get("size"), len(self.sources)
        if size != self._header["size"]:
            raise UserError(
                f"--size {self._header['size']} differs from the {size} that {self.folder} was begun with: give --size "
                f"{size} or another folder, or add --overwrite to begin anew"
            )
        if header.get("listing") != self._header["listing"]:
            change = f"{header.get('sources')} then, {now} now, or other names, sizes or dates"
            raise UserError(
                f"{self.folder} was begun with other photographs ({change}): give the folder as it was or another one "
                "for the prepared photographs, or add --overwrite to begin anew"
            )

    def _recover(self) -> None:
        """Find the end of what was written whole, and cut off what lies beyond."""
        present = {number: os.stat(path).st_size for number, path in _shards(self.folder).items()}
        kept = 0
        self._index.seek(0)
        for source, line in zip(self.sources, self._index):
            try:
                entry = json.loads(line)
                whole = line.endswith(b"\n") and tuple(entry[:3]) == source and len(entry) in (4, len(_FIELDS))
                if whole and len(entry) == len(_FIELDS):
                    shard, offset, height, width, _ = entry[3:]
                    self._place(3 * height * width)
                    whole = (shard, offset) == (self._shard, self._offset)
                    whole = whole and offset + 3 * height * width <= present.get(shard, 0)
            except (ValueError, TypeError):
                whole = False
            if not whole:
                break
            if len(entry) == len(_FIELDS):
                self._offset += 3 * height * width
            else:
                self.unreadable.append(entry[0])
            self.done += 1
            kept += len(line)
        self._index.truncate(kept)
        self._index.seek(0, os.SEEK_END)
        # The line that was not whole may have opened a shard: go back to where the last whole one ended.
        if self._offset == 0 and self._shard:
            self._shard -= 1
            self._offset = self._shard_sizes.pop()
        ends = [*self._shard_sizes, self._offset]
        for number, path in _shards(self.folder).items():
            if number >= len(ends):
                path.unlink()
            elif present[number] != ends[number]:
                os.truncate(path, ends[number])

    def _place(self, num_bytes: int) -> bool:
        """Move on to a new shard if the next photograph does not fit into this one; tells whether it did."""
        if not self._offset or self._offset + num_bytes <= self._header["shard_bytes"]:
            return False
        self._shard_sizes.append(self._offset)
        self._shard, self._offset = self._shard + 1, 0
        return True

    def add(self, pixels: np.ndarray, crc32: int) -> None:
        """Append the next photograph: H x W x 3, uint8, RGB, contiguous, and the checksum of its bytes."""
        height, width, _ = pixels.shape
        with self._reported():
            full = self._shard_file
            if self._place(pixels.nbytes) and full is not None:
                self._commit()
                full.close()
                self._shard_file = None
            if self._shard_file is None:
                self._shard_file = (self.folder / shard_name(self._shard)).open("r+b" if self._offset else "wb")
                self._shard_file.seek(self._offset)
            self._shard_file.write(pixels.data)
            self._note([self._shard, self._offset, height, width, crc32])
            self._offset += pixels.nbytes

    def add_unreadable(self, reason: str) -> None:
        """Record that the next photograph cannot be read."""
        self.unreadable.append(self.sources[self.done][0])
        with self._reported():
            self._note([reason])

    def _note(self, values: list) -> None:
        line = json.dumps([*self.sources[self.done], *values], separators=(",", ":"))
        self._pending.append(line.encode("ascii") + b"\n")
        self.done += 1
        if len(self._pending) >= COMMIT_PHOTOGRAPHS:
            self._commit()

    def _commit(self) -> None:
        # Pixels first: a line of the index vouches for them.
        if self._shard_file is not None:
            self._shard_file.flush()
            os.fsync(self._shard_file.fileno())
        self._index.writelines(self._pending)
        self._index.flush()
        os.fsync(self._index.fileno())
        self._pending.clear()

    def finish(self) -> None:
        """Mark the store as complete, once every source was added."""
        with self._reported():
            self._commit()
            self._index.seek(0)
            index = self._index.read()
            self._header |= {
                "complete": True,
                "photographs": self.done - len(self.unreadable),
                "unreadable": len(self.unreadable),
                "shards": [*self._shard_sizes, self._offset],
                "index_bytes": len(index),
                "index_crc32": zlib.crc32(index),
            }
            self._write_header()
        self.finished = True

    def _write_header(self) -> None:
        temporary = self.folder / f"{HEADER}.unfinished"
        with open(temporary, "wb") as file:
            file.write(json.dumps(self._header, indent=1).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.folder / HEADER)
        with contextlib.suppress(OSError):  # not every system can
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the names of the shards too
            finally:
                os.close(folder)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # What goes wrong here is either what ended the block already, or costs the last few photographs.
        with contextlib.suppress(OSError):
            if kind is not None and not self.finished:
                self._commit()
        for file in (self._shard_file, self._index):
            with contextlib.suppress(OSError):
                if file is not None:
                    file.close()
