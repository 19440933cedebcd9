"""PNG files as chunks, to take the picture out of an animation."""

import io
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MOTION = (b"acTL", b"fcTL", b"fdAT")  # those of an APNG


def still_png(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """A PNG without motion, for Pillow refuses all of it if that is damaged; and whether it had further frames.

    It is the file itself if there is nothing to leave out, or else a copy in memory.
    """
    chunks = list(_chunks(file))
    file.seek(0)
    if not any(kind in _MOTION for kind, _, _ in chunks):
        return file, False
    kept = [file.read(len(SIGNATURE))]
    for kind, begin, end in chunks:
        if kind not in _MOTION:
            file.seek(begin)
            kept.append(file.read(end - begin))
    return io.BytesIO(b"".join(kept)), any(kind == b"fdAT" for kind, _, _ in chunks)


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
