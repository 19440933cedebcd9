"""The picture files in a folder, for training and inference alike."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imaging.films import FILM_ENDINGS, is_transport_stream, reads_films
from imaging.formats import HEIC_ENDINGS, picture_endings
from utils.errors import UserError


@dataclass
class FolderContents:
    """What lies below a folder, as paths that begin with its own.

    Attributes:
        pictures: files that are pictures by their endings.
        others: all other files.
        unlisted: (folder, reason) of those that the system does not list.
    """

    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)


def walk_pictures(root: str | Path, leave_out: str | Path | None = None, films: bool = False) -> FolderContents:
    """Every file below a folder, but for what is hidden; opens none, but for those that end in ``.ts``.

    Links to folders are followed after everything else, and no folder is entered twice, so that links in circles end
    and a picture is found where it really lies.

    Args:
        leave_out: a folder that is not entered, unless it is the root.
        films: take films for pictures, where they can be read.
    """
    endings, found = picture_endings(), FolderContents()
    films = films and reads_films()
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
            linked = entry.is_symlink()  # else what the folder itself says is enough
            if os.path.isdir(entry.path) if linked else entry.is_dir():
                (links if linked else waiting).append(entry.path)
            # Neither pipes nor devices, which would be waited for; a dangling link is a picture that is missing.
            elif entry.name.lower().endswith(endings) and (linked or entry.is_file()):
                found.pictures.append(entry.path)
            elif os.path.isfile(entry.path) if linked else entry.is_file():
                is_film = films and entry.name.lower().endswith(".ts") and is_transport_stream(entry.path)
                (found.pictures if is_film else found.others).append(entry.path)
    return found


def lies_in(path: str, folder: str) -> bool:
    """Whether a real path is a real folder or lies below it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def unread_heic(others: Iterable[str]) -> str | None:
    """A sentence on the HEIC pictures among files that are none by their endings, if there are any."""
    count = sum(path.lower().endswith(HEIC_ENDINGS) for path in others)
    return f"{count} HEIC need a package: pip install pillow-heif, or export them as JPEG" if count else None


def unread_films(others: Iterable[str]) -> str | None:
    """The same on films."""
    count = sum(path.lower().endswith(FILM_ENDINGS) for path in others)
    return f"{count} films need packages: pip install -r requirements-video.txt" if count else None


def no_pictures(where: str, others: Iterable[str], films: bool = False) -> UserError:
    """The error of a folder without a picture; ``films`` would have been taken as well."""
    why = unread_heic(others) or (films and unread_films(others)) or "give another folder"
    return UserError(f"{where} holds no picture that is read here: {why}")
