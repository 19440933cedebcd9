"""Pictures in overlapping tiles that give the same pixels as one pass."""

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """One tile of a picture, as (rows, columns)."""

    source: tuple[slice, slice]  # of the picture, that the network is given
    inside: tuple[slice, slice]  # of the network's output, that are kept
    target: tuple[slice, slice]  # of the picture, that they fill


def tiles(height: int, width: int, size: int, margin: int) -> Iterator[Tile]:
    """Cut a picture into tiles of about ``size`` x ``size`` pixels, each seen with ``margin`` pixels around it.

    Args:
        size: rows and columns to fill at a time, at most; a multiple of the network's stride.
        margin: the network's reach; less at the picture's own border, where the network pads as in one pass.
    """
    for source_rows, inside_rows, target_rows in _spans(height, size, margin):
        for source_columns, inside_columns, target_columns in _spans(width, size, margin):
            yield Tile((source_rows, source_columns), (inside_rows, inside_columns), (target_rows, target_columns))


def _spans(length: int, size: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    # Tiles of equal length, to 4 pixels, rather than full ones and a rest.
    count = math.ceil(length / size)
    step = math.ceil(length / count / 4) * 4
    for start in range(0, length, step):
        end = min(start + step, length)
        first, last = max(0, start - margin), min(length, end + margin)
        yield slice(first, last), slice(start - first, end - first), slice(start, end)
