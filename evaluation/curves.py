"""How fast optimisation comes down: its objective by iterations, and where a network stands on it."""

import hashlib
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.untrusted import Refused, load_untrusted
from utils.errors import UserError
from utils.files import atomic_write

_LARGEST_BYTES = 2**31


def iterations_equalled(curve: Sequence[float], objective: float) -> int | None:
    """How many iterations of optimisation an objective is worth.

    Args:
        curve: objective of the start, then after each iteration.
        objective: of what is compared with it, on the same photograph.

    Returns:
        The first iteration after which optimisation is as low: 0 where its start is already, ``None`` where its last
        one is not yet.
    """
    return next((number for number, value in enumerate(curve) if value <= objective), None)


def quartiles(values: Sequence[float | None]) -> list[float | None]:
    """Lower quartile, median and upper quartile by nearest rank, each one of the values.

    ``None``, for what is beyond all that was measured, counts as more than any number.
    """
    ordered = sorted(values, key=lambda value: math.inf if value is None else value)
    return [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.5, 0.75)]


@dataclass(frozen=True)
class Curve:
    """One optimisation.

    Attributes:
        objectives: of the start, then after each iteration.
        asked: iterations that were asked for; fewer may have been run, where none lowered the objective any more.
        picture: the last, 1 x 3 x H x W, uint8, RGB, on the CPU.
    """

    objectives: list[float]
    asked: int
    picture: torch.Tensor


class CurveFile:
    """Curves by key, in a file that grows with each; in memory alone without one.

    Args:
        path: as ``--curves``; the file need not exist yet.

    Raises:
        UserError: if there is such a file and it holds anything else.
    """

    def __init__(self, path: str | None):
        self._path = path
        self._curves: dict[str, dict] = {}
        if path is not None and os.path.lexists(path):
            try:
                contents = load_untrusted(path, _LARGEST_BYTES)
            except Refused as error:
                raise UserError(f"--curves {path} cannot be read: {error}; remove it, or give another name") from None
            if not isinstance(contents, dict) or not all(map(_is_curve, contents.values())):
                raise UserError(f"--curves {path} holds no curves of this command: give another name")
            self._curves = contents

    @staticmethod
    def key(*parts: object) -> str:
        """A name for a curve out of all that it depends on: plain values and tensors."""
        digest = hashlib.sha256()
        for part in parts:
            if isinstance(part, torch.Tensor):
                digest.update(repr((part.dtype, part.shape)).encode())
                part = part.cpu().contiguous().numpy().tobytes()
            digest.update(part if isinstance(part, bytes) else repr(part).encode())
            digest.update(b"\0")
        return digest.hexdigest()[:32]

    def get(self, key: str, iterations: int) -> Curve | None:
        """The curve of that name, if it is of so many iterations or more."""
        found = self._curves.get(key)
        return Curve(**found) if found is not None and found["asked"] >= iterations else None

    def put(self, key: str, curve: Curve) -> None:
        """Keep a curve; it is on the disk when this returns."""
        self._curves[key] = vars(curve)
        if self._path is not None:
            buffer = io.BytesIO()
            torch.save(self._curves, buffer)
            with atomic_write(Path(self._path)) as file:
                file.write(buffer.getbuffer())


def _is_curve(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != {"objectives", "asked", "picture"}:
        return False
    objectives, asked, picture = value["objectives"], value["asked"], value["picture"]
    return (
        isinstance(objectives, list)
        and len(objectives) > 0
        and all(isinstance(objective, float) for objective in objectives)
        and type(asked) is int
        and isinstance(picture, torch.Tensor)
        and picture.dtype == torch.uint8
        and picture.dim() == 4
        and picture.shape[:2] == (1, 3)
    )
