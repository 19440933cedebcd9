"""The styles that the page offers: every model in ``checkpoints/`` and in the folders of ``--models``."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoints import Checkpoint, find_model, load_checkpoint
from models.multi_style import MultiStyleNet
from utils.errors import UserError
from utils.files import MODELS, PROGRAM

SAMPLES = ("mountains.jpg", "harbour.jpg")
"""Photographs of ``content/`` to begin with; the first shows what a style looks like."""


@dataclass(frozen=True)
class Style:
    """A style to choose.

    Attributes:
        model: what ``--model_path`` names its file: a name where that suffices, else a path.
        style: of a network of several, its name; ``None`` of a network of one.
        stamp: changes with its file.
    """

    model: str
    style: str | None
    stamp: tuple = ()

    @property
    def id(self) -> str:
        """Names it, in the page and as a part of ``--blend``."""
        return self.model if self.style is None else f"{self.model}/{self.style}"

    @property
    def name(self) -> str:
        return Path(self.model).stem if self.style is None else self.style


class Catalogue:
    """The styles in some folders. What is added to a folder appears with the next look at them.

    Args:
        folders: of models.
    """

    def __init__(self, folders: Sequence[str | Path] = ()):
        self.folders = [Path("checkpoints"), PROGRAM / "checkpoints", *map(Path, folders)]
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple, list[Style], str | None]] = {}
        self._checkpoints: dict[Path, tuple[tuple, Checkpoint]] = {}

    def styles(self) -> dict[str, Style]:
        """The styles by their ids: networks of many first, each file once."""
        with self._lock:
            found = {}
            for folder in self.folders:
                for path in sorted(folder.glob("*")) if folder.is_dir() else ():
                    if path.suffix in MODELS and path.is_file() and not path.name.startswith("."):
                        found.setdefault(path.resolve(), path)
            known = {}
            for real, path in found.items():
                stamp, before = _stamp(real), self._known.get(real)
                known[real] = before if before and before[0] == stamp else (stamp, *self._styles_of(path, stamp))
            self._known = known
            groups = sorted((styles for _, styles, _ in known.values()), key=lambda group: len(group) < 2)
            return {style.id: style for group in groups for style in group}

    @property
    def unreadable(self) -> list[str]:
        """A sentence on each file of the last look that is no model."""
        return [fault for _, _, fault in self._known.values() if fault is not None]

    def _styles_of(self, path: Path, stamp: tuple) -> tuple[list[Style], str | None]:
        try:
            network = self._read(path).network
        except UserError as error:
            return [], str(error)
        model = _shortest(path)
        names = network.styles if isinstance(network, MultiStyleNet) else [None]
        return [Style(model, name, stamp) for name in names], None

    def read(self, path: str, flag: str = "--model_path") -> Checkpoint:
        """As :func:`load_checkpoint`; what was read stays, until its file changes."""
        with self._lock:
            return self._read(find_model(path, flag))

    def _read(self, path: Path) -> Checkpoint:
        real, stamp = path.resolve(), _stamp(path)
        known = self._checkpoints.pop(real, None)
        checkpoint = known[1] if known and known[0] == stamp else load_checkpoint(path)
        self._checkpoints[real] = stamp, checkpoint
        if len(self._checkpoints) > 16:
            self._checkpoints.pop(next(iter(self._checkpoints)))
        return checkpoint


def _shortest(path: Path) -> str:
    with contextlib.suppress(UserError):
        if find_model(path.stem).resolve() == path.resolve():
            return path.stem
    return str(path)


def _stamp(path: Path) -> tuple:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
