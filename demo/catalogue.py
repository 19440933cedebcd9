"""The styles that the page offers: every model in ``checkpoints/`` and in the folders of ``--models``."""

import contextlib
import functools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoints import Checkpoint, find_model, load_checkpoint
from utils.errors import UserError
from utils.files import MODELS, PROGRAM

PICTURES = Path(__file__).parent / "pictures"
"""Photographs to begin with, and small pictures of paintings, made by ``python -m docs.draw_gallery --paintings``."""

_TWINS = ("fast", "live")  # folders, beside a model, of its quick twin and of its quickest one


@functools.cache
def shipped_pictures() -> dict[str, dict[str, dict[str, str]]]:
    """``{"examples": {name: title and by}, "paintings": {style: title, artist and year}}``, each a JPEG."""
    return json.loads((PICTURES / "credits.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Style:
    """A style to choose."""

    model: str  # what ``--model_path`` names its file: a name where that suffices, else a path
    style: str | None  # of a network of several, its name
    stamp: tuple = ()  # changes with its file
    twin: str | None = None  # the path of a smaller network of the same style, for what has to be quick
    live: str | None = None  # of one that is smaller still, for a camera
    painting: Path | None = None  # a picture of what it learnt from

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
        return self.painting and shipped_pictures()["paintings"].get(self.painting.stem)


class Catalogue:
    """The styles in some folders. What is added to a folder appears with the next look at them."""

    def __init__(self, folders: Sequence[str | Path] = ()):
        self.folders = [Path("checkpoints"), PROGRAM / "checkpoints", *map(Path, folders)]
        self._lock = threading.Lock()
        self.unreadable: list[str] = []  # a sentence on each file of the last look that is no model
        self._styles_of = functools.cache(self._read_styles)
        self._load = functools.lru_cache(16)(lambda path, stamp: load_checkpoint(path))

    def styles(self) -> dict[str, Style]:
        """The styles by their ids: networks of many first, each file once."""
        with self._lock:
            found = {}
            for folder in self.folders:
                for path in sorted(folder.glob("[!.]*")):
                    if path.suffix in MODELS and path.is_file():
                        found.setdefault(path.resolve(), path)
            read = [
                self._styles_of(path, tuple(_stamp(real.parent / folder / real.name) for folder in ("", *_TWINS)))
                for real, path in found.items()
            ]
            self.unreadable = [fault for _, fault in read if fault is not None]
            groups = sorted((styles for styles, _ in read), key=lambda group: len(group) < 2)
            return {style.id: style for group in groups for style in group}

    def _read_styles(self, path: Path, stamp: tuple) -> tuple[list[Style], str | None]:
        try:
            names = self._names(path)
        except UserError as error:
            return [], str(error)
        twins = [self._if_alike(path.parent / folder / path.name, names) for folder in _TWINS]
        return [Style(_shortest(path), name, stamp, *twins, _painting(path, name)) for name in names], None

    def _if_alike(self, path: Path, names: Sequence[str | None]) -> str | None:
        with contextlib.suppress(UserError):
            if self._names(path) == names:
                return str(path)
        return None

    def _names(self, path: Path) -> Sequence[str | None]:
        return getattr(self._load(path.resolve(), _stamp(path)).network, "styles", [None])

    def read(self, path: str, flag: str = "--model_path") -> Checkpoint:
        """As :func:`load_checkpoint`; what was read stays, until its file changes."""
        with self._lock:
            found = find_model(path, flag)
            return self._load(found.resolve(), _stamp(found))


def _painting(path: Path, style: str | None) -> Path | None:
    """The painting that the page trained a style on, or the picture that ships with a style."""
    own = path.with_name(f"{path.stem}_painting.png")
    if style is None and own.is_file():
        return own
    name = style or path.stem
    ships = path.resolve().parent == PROGRAM / "checkpoints" and name in shipped_pictures()["paintings"]
    return PICTURES / f"{name}.jpg" if ships else None


def _shortest(path: Path) -> str:
    with contextlib.suppress(UserError):
        if find_model(path.stem).resolve() == path.resolve():
            return path.stem
    return str(path)


def _stamp(path: Path) -> tuple | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
