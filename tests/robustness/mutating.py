"""Files damaged at random, as by a bad disk or by somebody who tries what happens."""

import random

_ODD = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(content: bytes, rng: random.Random, other: bytes | None = None) -> bytes:
    """One to three kinds of damage; a file is spliced with ``other``, or with itself."""
    data, other = bytearray(content), other or content
    for _ in range(rng.choice((1, 1, 2, 3))):
        n = len(data)
        if n < 8:
            break
        at, kind = rng.randrange(n), rng.randrange(8)
        # Headers are where the decisions are made.
        near = rng.randrange(min(n, rng.choice((16, 64, 256, n))))
        if kind == 0:  # truncated
            del data[at:]
        elif kind == 1:  # bits flipped
            for _ in range(rng.choice((1, 2, 8, 64))):
                data[rng.randrange(n)] ^= 1 << rng.randrange(8)
        elif kind == 2:  # spliced with another file
            start = rng.randrange(len(other))
            data[at : at + rng.randrange(64)] = other[start : start + rng.randrange(256)]
        elif kind == 3:  # a byte of the header
            data[near] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind in (4, 5):  # a length or size, of two or four bytes, in either order
            width, order = rng.choice((2, 4)), rng.choice(("big", "little"))
            data[near : near + width] = (rng.choice(_ODD) % 256**width).to_bytes(width, order)
        elif kind == 6:  # a part twice, or left out
            end = min(n, at + rng.randrange(1, 64))
            data[at:end] = bytes(data[at:end]) * rng.choice((0, 2, 50))
        else:  # a part blanked
            data[at : at + 32] = bytes([rng.choice((0, 255))]) * len(data[at : at + 32])
    return bytes(data)
