"""What becomes of a file: a picture, an animated one or a film, and in which format."""

import re
from pathlib import Path

from imaging.animations import is_animation
from imaging.film_writing import FILM_FORMATS, largest_quality
from imaging.films import FILM_ENDINGS, is_transport_stream
from imaging.formats import picture_endings
from imaging.writing import check_format, check_quality, result_ending
from utils.errors import UserError
from utils.file_kinds import FILM, HEAD_BYTES

_FILMS = {ending[1:]: ending for ending in FILM_FORMATS}
_ANIMATIONS = {"gif": ".gif", "apng": ".png", "webp": ".webp", "avif": ".avif"}
_IN_MOTION = {**_FILMS, **_ANIMATIONS}
_MOTION_ALONE = {**_FILMS, "gif": ".gif", "apng": ".png"}
"""Values of ``--format`` that hold no photograph."""
_OF_FILMS = f"give one of {', '.join(_MOTION_ALONE)}"


def is_film(path: str | Path) -> bool:
    """Whether a file is a film by its ending, or where that is of nothing known, by its first bytes."""
    ending = Path(path).suffix.lower()
    if ending in FILM_ENDINGS or ending in picture_endings():
        return ending in FILM_ENDINGS
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return bool(re.match(FILM, head, re.DOTALL)) or is_transport_stream(path)


def planned(path: Path, format: str, still: bool) -> tuple[str, bool]:
    """The ending of a file's result, such as ``".png"``, and whether the result moves.

    Args:
        format: as ``--format``. It is passed over where it cannot hold what becomes of the file.
        still: whether one picture is made of everything, as for a contact sheet.
    """
    if not still and is_film(path):
        return _MOTION_ALONE.get(format, ".mp4"), True
    if not still and (format == "auto" or format in _IN_MOTION) and is_animation(path):
        ending = path.suffix.lower()
        own = {".apng": ".png", ".avifs": ".avif"}.get(ending, ending)
        return _IN_MOTION.get(format, own), True
    return result_ending("auto" if format in _MOTION_ALONE else format, path), False


def check_taken(format: str, quality: int | None, results: list[tuple[str, bool]]) -> None:
    """Refuse a format or a quality that no result takes, or that would mean two things.

    Args:
        format, quality: as the flags.
        results: of all files, as :func:`planned` has them.

    Raises:
        UserError: naming the flag.
    """
    if format not in _MOTION_ALONE:
        check_format(format)
        if format != "auto" and all(ending in _FILMS.values() for ending, _ in results):
            raise UserError(f"--format {format} holds no film, and only films are given: {_OF_FILMS}")
    elif not any(moves for _, moves in results):
        raise UserError(f"--format {format} is for films, and only pictures are given: give another --format")
    films = [ending for ending, moves in results if moves and ending in FILM_FORMATS]
    others = {ending for ending, moves in results} - set(films)
    if quality is None or not films:
        return check_quality(quality, format, others)
    if others & {".jpg", ".webp", ".avif"}:
        raise UserError(
            f"--quality {quality} means less for a film the larger it is, and more for a picture: give films and "
            "pictures in two commands, or leave it out"
        )
    most = min(map(largest_quality, films))
    if quality > most:
        raise UserError(f"--quality {quality} is too large: for films it is at most {most}, and less is better")
