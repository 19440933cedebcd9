"""Recognise files of other kinds by their first bytes. Standard library alone."""

import os
import re
from pathlib import Path

from utils.errors import UserError

HEAD_BYTES = 512

HEIF = rb"....ftyp(av[ci][ifs]|evb[is]|he[iv][cmsx]|j2k[is]|jpeg|jpgs|mi[af][f1-3]|msf1|unif|vvi[cs])"
"""How still pictures in the container of films begin, ISO/IEC 23008-12."""

_FILM = rb"(?!%b)....ftyp(?!crx )|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]|FLV\x01|OggS|G.{187}G.{187}G" % HEIF
"""How films of most containers begin; the last are packets of an MPEG transport stream."""

_UNREAD_HEIF = rb"(?=%b)(?!.*(?:avi[fs]|av01|he[iv][cmsx]|h[ev][vc]1)).*" % HEIF  # neither AVIF nor HEIC

RAW = "a camera's raw file: export a JPEG of it"

OTHER_HEIF = "a HEIF picture of a kind that is not read here: export it as JPEG"

_KINDS = {
    _UNREAD_HEIF + rb"(avc[1is]|vv[ci][1cs]|j2k[1is]|jpeg|jpgs|unc[iv])": OTHER_HEIF,
    rb"%PDF": "a PDF document: export its page as a picture",
    rb"FUJIFILMCCD-RAW|....ftypcrx |II(RO|RS|U\0)|MM(OR|RS)|\0MRM|FOVb|II\x1a\0\0\0HEAP|II\*\0....CR\x02": RAW,
    _FILM: "a film: give it the ending of one, such as .mp4, or export a frame of it as a picture",
    rb"\s*(<!--.*?-->\s*)?<(!doctype )?html": "a web page: download the file itself, not the page that shows it",
    rb"\s*(<\?xml.*?>\s*)?(<!.*?>\s*)*<svg": "an SVG drawing: export it as PNG",
    rb"version https://git-lfs": 'a Git LFS pointer in place of the file: fetch it with "git lfs pull"',
    rb"PK\x03\x04|7z\xbc\xaf|Rar!|\x1f\x8b": "an archive: unpack it",
}


def known_kind(head: bytes) -> str | None:
    """What a file is by its first ``HEAD_BYTES`` bytes, and what to do; ``None`` if they do not tell."""
    found = (kind for pattern, kind in _KINDS.items() if re.match(pattern, head, re.IGNORECASE | re.DOTALL))
    return next(found, None)


def open_without_waiting(path: str, flags: int) -> int:
    """An ``opener``. Opening a named pipe would wait for whoever writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def head_of(path: str | Path) -> bytes:
    """The first ``HEAD_BYTES`` bytes of a file; none of what cannot be read."""
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            return file.read(HEAD_BYTES) or b""
    except OSError:
        return b""


def begins_as_film(path: str | Path) -> bool:
    """Whether a file is a film by its first bytes."""
    return bool(re.match(_FILM, head_of(path), re.DOTALL))


def is_url(text: object) -> bool:
    return bool(re.match(r"[a-z][a-z0-9+.-]+://", str(text), re.IGNORECASE))


def refuse_url(path: object) -> None:
    """Refuse an address of the web in place of a file, by a :class:`UserError`."""
    if is_url(path):
        raise UserError(f"{path} is a web address, and files alone are read: download it, and give the file")
