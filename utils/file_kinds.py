"""What a file is that is not what was asked for, by its first bytes. Standard library alone."""

import re

from utils.errors import UserError

HEAD_BYTES = 512

FILM = rb"....ftyp(?!avi|mif|msf|he)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]|FLV\x01|OggS"
"""How films of most containers begin."""

_KINDS = {
    rb"%PDF": "a PDF document: export its page as a picture",
    FILM: "a film: give it the ending of one, such as .mp4, or export a frame of it as a picture",
    rb"\s*(<!--.*?-->\s*)?<(!doctype )?html": "a web page: download the file itself, not the page that shows it",
    rb"\s*(<\?xml.*?>\s*)?(<!.*?>\s*)*<svg": "an SVG drawing: export it as PNG",
    rb"version https://git-lfs": 'a Git LFS pointer in place of the file: fetch it with "git lfs pull"',
    rb"PK\x03\x04|7z\xbc\xaf|Rar!|\x1f\x8b": "an archive: unpack it",
}


def known_kind(head: bytes) -> str | None:
    """What the first ``HEAD_BYTES`` bytes of a file tell, and what to do; ``None`` where they tell nothing."""
    found = (kind for pattern, kind in _KINDS.items() if re.match(pattern, head, re.IGNORECASE | re.DOTALL))
    return next(found, None)


def is_url(text: object) -> bool:
    return bool(re.match(r"[a-z][a-z0-9+.-]+://", str(text), re.IGNORECASE))


def refuse_url(path: object) -> None:
    """Refuse an address of the web in place of a file.

    Raises:
        UserError: with the address.
    """
    if is_url(path):
        raise UserError(f"{path} is a web address, and files alone are read: download it, and give the file")
