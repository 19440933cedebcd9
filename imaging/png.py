"""PNG files as chunks: those are left out that stand between a viewer and sound pixels."""

import io
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"iTXt", b"tEXt", b"zTXt")
_MOTION = (b"acTL", b"fcTL", b"fdAT")  # those of an APNG

_MOST_TEXT = 60_000
"""Bytes of all texts. Compressed a thousand times, which is as much as can be, they have 60 MB."""


def plain_png(file: BinaryIO, still: bool) -> tuple[BinaryIO, bool]:
    """A PNG without long texts, which Pillow refuses the whole picture for, and without motion where ``still``.

    Returns:
        The file itself, or a copy in memory of what is kept of it; and whether frames were left out.
    """
    chunks = list(_chunks(file))
    unwanted = _TEXTS if sum(end - begin for kind, begin, end in chunks if kind in _TEXTS) > _MOST_TEXT else ()
    unwanted += _MOTION if still else ()
    file.seek(0)
    if not any(kind in unwanted for kind, _, _ in chunks):
        return file, False
    kept = [file.read(len(SIGNATURE))]
    for kind, begin, end in chunks:
        if kind not in unwanted:
            file.seek(begin)
            kept.append(file.read(end - begin))
    return io.BytesIO(b"".join(kept)), still and any(kind == b"fdAT" for kind, _, _ in chunks)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where it begins and where it ends, up to the end of the file or of the picture."""
    begin, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        file.seek(begin)
        head = file.read(8)
        if len(head) < 8:
            return
        kind, end = head[4:], begin + 12 + int.from_bytes(head[:4], "big")
        yield kind, begin, end
        begin = end
