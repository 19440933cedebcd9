"""Which photographs ``--content_image`` names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.folders import no_pictures, walk_pictures
from utils.errors import UserError
from utils.file_kinds import refuse_url
from utils.files import beside_program, is_pattern, matching

PIPE = "-"
"""The value of ``--content_image`` that stands for standard input and output."""


@dataclass
class Job:
    """A photograph or film that was named, on its own or as part of a folder or pattern, and what becomes of it."""

    path: Path
    relative: Path  # its place below the output folder, with its own name
    error: str | None = None  # why it cannot be read, if that is known already
    data: bytes | None = None  # the content of what is no file
    output: Path = Path()  # receives the result
    ending: str = ""  # tells the result's format, such as ".png"
    moves: bool = False  # whether the result does


def names_several(values: Sequence[str]) -> bool:
    """Whether ``--content_image`` asks for a collection, however small, rather than for one file."""
    return len(values) > 1 or os.path.isdir(values[0]) or is_pattern(values[0])


def find_jobs(values: Sequence[str], output_dir: str | Path) -> tuple[list[Job], set[str]]:
    """What the values of ``--content_image`` name: in their order, folders sorted, every file once.

    One folder is mirrored below the output folder, each of several values under its own name; so is what a pattern
    matches, from its first wildcard on. The output folder is left out of the folder that it lies in.

    Returns:
        The photographs without their results, and the real paths of the files in folders that are no pictures by their
        endings.

    Raises:
        UserError: if a folder holds no picture, or a pattern matches nothing.
    """
    found: list[Job] = []
    others: set[str] = set()
    for value in values:
        refuse_url(value)
        if os.path.isdir(value):
            place = Path(Path(value).resolve().name if len(values) > 1 else "")
            found += _in_folder(value, place, output_dir, others, named=True)
        elif is_pattern(value):
            found += _matches(value, output_dir, others)
        else:  # a missing file is reported when its turn comes, like one that is damaged
            path = beside_program(value)
            error = f"--content_image {value} does not exist: give the path of a picture"
            found.append(Job(path, Path(path.name), None if os.path.lexists(path) else error))
    once: dict[str, Job] = {}
    for job in found:
        once.setdefault(os.path.realpath(job.path), job)
    return list(once.values()), others


def _matches(pattern: str, output_dir: str | Path, others: set[str]) -> list[Job]:
    fixed = Path(pattern).parent
    while is_pattern(str(fixed)):
        fixed = fixed.parent
    found: list[Job] = []
    for name in matching(pattern):
        relative = Path(os.path.relpath(name, fixed))
        if not os.path.isdir(name):
            found.append(Job(Path(name), relative))
        elif os.path.realpath(name) != os.path.realpath(output_dir):
            found += _in_folder(name, relative, output_dir, others)
    if not found:
        raise UserError(f"--content_image {pattern} matches no file: give another pattern")
    return found


def _in_folder(root: str, place: Path, output_dir: str | Path, others: set[str], named: bool = False) -> list[Job]:
    """The pictures below a folder, sorted by their places; ``others`` receives the real paths of its other files.

    A folder that a flag names must hold one.
    """
    contents = walk_pictures(root, leave_out=output_dir, films=True)
    pictures = contents.pictures + contents.dangling
    if named and not pictures:
        raise no_pictures(f"--content_image {root}", contents, films=True)
    found = [Job(Path(path), place / os.path.relpath(path, root)) for path in pictures]
    for folder, error in contents.unlisted:
        reason = f"{folder} cannot be listed ({error}): its pictures are left out"
        found.append(Job(Path(folder), place / os.path.relpath(folder, root), reason))
    others.update(os.path.realpath(path) for path in contents.others)
    return sorted(found, key=lambda job: job.relative)
