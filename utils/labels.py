"""Short names for rows, captions and keys, no two of them equal."""

from collections.abc import Sequence
from pathlib import Path


def file_labels(names: Sequence[str | Path]) -> list[str]:
    """A label for each file: its name without ending, with as many of its folders as tell it from the others.

    Files that differ by their endings alone keep these, and a file that is given again gets a number.

    >>> file_labels(["a/run/m.pth", "b/run/m.pth", "wave", "films/wave"])
    ['a/run/m', 'b/run/m', 'wave', 'films/wave']
    """
    paths = [Path(name) for name in names]
    labels = {path: path.stem for path in paths}
    for folders in range(1, max((len(path.parts) for path in paths), default=0)):
        labels |= {path: Path(*path.parts[-1 - folders : -1], path.stem).as_posix() for path in _alike(labels)}
    labels |= {path: path.as_posix() for path in _alike(labels)}
    return unique([labels[path] for path in paths])


def unique(labels: Sequence[str]) -> list[str]:
    """The labels, with a number after each that was there before: ``wave``, ``wave (2)``."""
    taken, result = set(labels), []
    for label in labels:
        number, numbered = 2, label
        while numbered in result or (numbered != label and numbered in taken):
            numbered, number = f"{label} ({number})", number + 1
        result.append(numbered)
    return result


def _alike(labels: dict[Path, str]) -> list[Path]:
    """Files whose label another one has as well."""
    every = list(labels.values())
    return [path for path, label in labels.items() if every.count(label) > 1]
