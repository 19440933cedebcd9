"""The styles that the page offers: every model in ``checkpoints/`` and in the folders of ``--models``."""

import contextlib
import functools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoints import Checkpoint, find_model, load_checkpoint
from models.multi_style import MultiStyleNet
from utils.errors import UserError
from utils.files import MODELS, PROGRAM

PICTURES = Path(__file__).parent / "pictures"
"""Photographs to begin with, and small pictures of paintings; ``python -m demo.draw_pictures`` makes them."""

_FAST = "fast"  # folder, beside a model, of its quick twin


@functools.cache
def shipped_pictures() -> dict[str, dict[str, dict[str, str]]]:
    """``{"examples": {name: title and by}, "paintings": {style: title, artist and year}}``, each a JPEG."""
    return json.loads((PICTURES / "credits.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Style:
    """A style to choose.

    Attributes:
        model: what ``--model_path`` names its file: a name where that suffices, else a path.
        style: of a network of several, its name; ``None`` of a network of one.
        stamp: changes with its file.
        twin: a smaller network of the same style, for what has to be quick, as ``model``; or ``None``.
        painting: a picture of what it learnt from, or ``None``.
    """

    model: str
    style: str | None
    stamp: tuple = ()
    twin: str | None = None
    painting: Path | None = None

    @property
    def id(self) -> str:
        """Names it, in the page and as a part of ``--blend``."""
        return self.model if self.style is None else f"{self.model}/{self.style}"

    @property
    def name(self) -> str:
        return Path(self.model).stem if self.style is None else self.style

    @property
    def credit(self) -> dict[str, str] | None:
        """Title, artist and year of a painting that ships."""
        ships = self.painting is not None and self.painting.parent == PICTURES
        return shipped_pictures()["paintings"][self.name] if ships else None


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
                stamp, before = (_stamp(real), _stamp(_twin(real))), self._known.get(real)
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
        model, twin = _shortest(path), None
        with contextlib.suppress(UserError):
            if _names(self._read(_twin(path)).network) == _names(network):
                twin = _shortest(_twin(path), f"{_FAST}/{path.stem}")
        return [Style(model, name, stamp, twin, _painting(path, name)) for name in _names(network)], None

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


def _names(network) -> Sequence[str | None]:
    return network.styles if isinstance(network, MultiStyleNet) else [None]


def _twin(path: Path) -> Path:
    return path.parent / _FAST / path.name


def _painting(path: Path, style: str | None) -> Path | None:
    """The painting that the page trained a style on, or the picture that ships with a style."""
    own = path.with_name(f"{path.stem}_painting.png")
    if style is None and own.is_file():
        return own
    name = style or path.stem
    ships = path.resolve().parent == PROGRAM / "checkpoints" and name in shipped_pictures()["paintings"]
    return PICTURES / f"{name}.jpg" if ships else None


def _shortest(path: Path, name: str | None = None) -> str:
    name = name or path.stem
    with contextlib.suppress(UserError):
        if find_model(name).resolve() == path.resolve():
            return name
    return str(path)


def _stamp(path: Path) -> tuple | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
