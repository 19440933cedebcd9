"""The picture files in a folder, for training and inference alike."""

import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imaging.films import FILM_ENDINGS
from imaging.formats import HEIC_ENDINGS, RAW_ENDINGS, picture_endings
from utils.errors import UserError
from utils.file_kinds import begins_as_film


@dataclass
class FolderContents:
    """What lies below a folder, as paths that begin with its own."""

    pictures: list[str] = field(default_factory=list)  # files that are pictures by their endings
    dangling: list[str] = field(default_factory=list)  # the same, of links that lead to no file
    others: list[str] = field(default_factory=list)  # all other files
    unlisted: list[tuple[str, str]] = field(default_factory=list)  # (folder, reason) that the system does not list it


def walk_pictures(root: str | Path, leave_out: str | Path | None = None, films: bool = False) -> FolderContents:
    """Every file below a folder, but for what is hidden and what lies in ``leave_out``, unless that is the root.

    Links to folders are followed after everything else, and no folder is entered twice, so that links in circles end
    and a picture is found where it really lies. No file is opened, but for those that end in ``.ts``. ``films`` count
    as pictures, where they can be read.
    """
    endings, found = picture_endings(), FolderContents()
    films = films and importlib.util.find_spec("av") is not None
    if films:
        endings += FILM_ENDINGS
    top = os.path.realpath(root)
    entered = {os.path.realpath(leave_out)} - {top} if leave_out is not None else set()
    waiting, links = [str(root)], []
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop()
        try:
            real = os.path.realpath(folder)  # which fails where a link is removed meanwhile
            if real in entered or (real != top and lies_in(top, real)):
                continue
            entered.add(real)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            found.unlisted.append((folder, error.strerror))
            continue
        for entry in entries:
            if entry.name.startswith("."):  # "._name" are macOS's shadow files
                continue
            path, linked = entry.path, entry.is_symlink()  # of what is no link, the folder itself says enough
            if os.path.isdir(path) if linked else entry.is_dir():
                (links if linked else waiting).append(path)
            elif os.path.isfile(path) if linked else entry.is_file():  # no pipes nor devices, which would be waited for
                is_film = films and path.lower().endswith(".ts") and begins_as_film(path)
                (found.pictures if is_film or path.lower().endswith(endings) else found.others).append(path)
            elif linked and path.lower().endswith(endings):
                found.dangling.append(path)
    return found


def lies_in(path: str, folder: str) -> bool:
    """Whether a real path is a real folder or lies below it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


_UNREAD = (
    (HEIC_ENDINGS, "HEIC need a package: pip install pillow-heif, or export them as JPEG"),
    (RAW_ENDINGS, "camera raw: export them as JPEG"),
    (FILM_ENDINGS, "films need packages: pip install -r requirements-video.txt"),
)


def unread(others: Iterable[str], films: bool = False) -> tuple[list[str], list[str]]:
    """Sentences on files that are no pictures and could be made some, ``films`` too if asked; and all further files."""
    sentences, others = [], list(others)
    for endings, what in _UNREAD if films else _UNREAD[:2]:
        rest = [path for path in others if not path.lower().endswith(endings)]
        if len(rest) < len(others):
            sentences.append(f"{len(others) - len(rest)} {what}")
        others = rest
    return sentences, others


def no_pictures(where: str, found: FolderContents, films: bool = False) -> UserError:
    """The error of a folder without a picture; ``films`` would have been taken as well."""
    if found.unlisted:
        folder, reason = found.unlisted[0]
        fault = f"{folder} cannot be listed ({reason}): see to its permissions, or give another folder"
        return UserError(f"{where}: {fault}")
    why = "; ".join(unread(found.others, films)[0]) or "give another folder"
    return UserError(f"{where} holds no picture that is read here: {why}")
