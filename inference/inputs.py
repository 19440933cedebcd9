"""Which photographs ``--content_image`` names, and where the result of each goes."""

import collections
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.folders import lies_in, no_pictures, walk_pictures
from utils.errors import UserError
from utils.file_kinds import refuse_url
from utils.files import beside_program, is_pattern, matching

PIPE = "-"
"""The value of ``--content_image`` that stands for standard input and output."""


@dataclass(frozen=True)
class ContentImage:
    """A photograph that was named, on its own or as part of a folder or pattern.

    Attributes:
        path: the file.
        relative: its place below the output folder, with its own name.
        error: why it cannot be read, where that is known already.
        data: the file's content, where it is not in a file.
    """

    path: Path
    relative: Path
    error: str | None = None
    data: bytes | None = None


@dataclass(frozen=True)
class Job:
    """A photograph or film, the file that receives its result, the ending that tells the format, whether it moves."""

    content_image: ContentImage
    output: Path
    ending: str
    moves: bool = False


def names_several(values: Sequence[str]) -> bool:
    """Whether ``--content_image`` asks for a collection, however small, rather than for one file."""
    return len(values) > 1 or os.path.isdir(values[0]) or is_pattern(values[0])


def find_content_images(values: Sequence[str], output_dir: str | Path) -> tuple[list[ContentImage], set[str]]:
    """What the values of ``--content_image`` name: in their order, folders sorted, every file once.

    One folder is mirrored below the output folder, each of several values under its own name; so is what a pattern
    matches, from its first wildcard on. The output folder is left out of the folder that it lies in.

    Returns:
        The photographs, and the real paths of the files in folders that are no pictures by their endings.

    Raises:
        UserError: if a folder holds no picture, or a pattern matches nothing.
    """
    found: list[ContentImage] = []
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
            found.append(ContentImage(path, Path(path.name), None if os.path.lexists(path) else error))
    once: dict[str, ContentImage] = {}
    for content_image in found:
        once.setdefault(os.path.realpath(content_image.path), content_image)
    return list(once.values()), others


def _matches(pattern: str, output_dir: str | Path, others: set[str]) -> list[ContentImage]:
    fixed = Path(pattern).parent
    while is_pattern(str(fixed)):
        fixed = fixed.parent
    found: list[ContentImage] = []
    for name in matching(pattern):
        relative = Path(os.path.relpath(name, fixed))
        if not os.path.isdir(name):
            found.append(ContentImage(Path(name), relative))
        elif not _same(name, output_dir):
            found += _in_folder(name, relative, output_dir, others)
    if not found:
        raise UserError(f"--content_image {pattern} matches no file: give another pattern")
    return found


def _in_folder(
    root: str, place: Path, output_dir: str | Path, others: set[str], named: bool = False
) -> list[ContentImage]:
    """The pictures below a folder, sorted by their places; ``others`` receives the real paths of its other files.

    Args:
        named: whether a flag names the folder, which then holds one at least.
    """
    contents = walk_pictures(root, leave_out=output_dir, films=True)
    pictures = contents.pictures + contents.dangling
    if named and not pictures:
        raise no_pictures(f"--content_image {root}", contents, films=True)
    found = [ContentImage(Path(path), place / os.path.relpath(path, root)) for path in pictures]
    for folder, error in contents.unlisted:
        reason = f"{folder} cannot be listed ({error}): its pictures are left out"
        found.append(ContentImage(Path(folder), place / os.path.relpath(folder, root), reason))
    others.update(os.path.realpath(path) for path in contents.others)
    return sorted(found, key=lambda content_image: content_image.relative)


def plan_jobs(
    values: Sequence[str], output_dir: str | Path, style: str, planned: Callable[[Path], tuple[str, bool]]
) -> tuple[list[Job], set[str]]:
    """The photographs that ``--content_image`` names, each with its own output ``<photograph>_<style><ending>``.

    Photographs that would share a name, such as ``view.png`` and ``view.webp``, keep their ending in it:
    ``view.png_<style>.png``.

    Args:
        planned: ending of the result, such as ``".png"``, and whether it moves, by the photograph's path.

    Returns:
        The jobs, and the files that are left out, see :func:`find_content_images`.

    Raises:
        UserError: if a result would take the place of another or of a photograph, or would lie among photographs
            that the next command would find it with.
    """
    content_images, left_out = find_content_images(values, output_dir)
    results = {content_image: planned(content_image.path) for content_image in content_images}

    def job(content_image: ContentImage, stem: str) -> Job:
        ending, moves = results[content_image]
        output = Path(output_dir, content_image.relative.parent, f"{stem}_{style}{ending}")
        return Job(content_image, output, ending, moves)

    jobs = [job(content_image, content_image.path.stem) for content_image in content_images]
    times = collections.Counter(job.output for job in jobs)
    jobs = [job(each.content_image, each.content_image.path.name) if times[each.output] > 1 else each for each in jobs]
    _refuse_to_leave_or_collide(jobs, output_dir)
    _refuse_results_among_content_images(jobs, [value for value in values if os.path.isdir(value)], output_dir)
    return jobs, left_out


def _refuse_to_leave_or_collide(jobs: list[Job], output_dir: str | Path) -> None:
    """Refuse a result outside the output folder, where a pattern with ``..`` or a link inside it would put it, and one
    in the place of another result or of a photograph."""
    top = os.path.realpath(output_dir)
    sources = {os.path.normcase(os.path.realpath(job.content_image.path)) for job in jobs}
    folders = {folder: os.path.realpath(folder) for folder in {job.output.parent for job in jobs}}
    first: dict[str, Job] = {}
    for job in jobs:
        folder = folders[job.output.parent]
        if not lies_in(folder, top):
            raise UserError(
                f"{job.output}, the result of {job.content_image.path}, would lie outside --output_dir {output_dir}: "
                "remove the link in it, or name the photographs without '..'"
            )
        real = os.path.normcase(os.path.join(folder, job.output.name))
        other = first.setdefault(real, job)
        if other is not job:
            raise UserError(
                f"{other.content_image.path} and {job.content_image.path} would both become {job.output}: "
                "give the folder that holds both, or two commands with an --output_dir each"
            )
        if real in sources:
            raise UserError(
                f"{job.output} is one of the photographs and would be the result of {job.content_image.path}: "
                "give another --output_dir, or leave it out"
            )


def _refuse_results_among_content_images(jobs: list[Job], folders: list[str], output_dir: str | Path) -> None:
    places = {os.path.realpath(job.output.parent): job for job in jobs}
    for folder in folders:
        top = os.path.realpath(folder)
        if lies_in(os.path.realpath(output_dir), top) and not _same(output_dir, top):
            continue  # an output folder of its own inside the photographs' is left out of them
        for place, job in places.items():
            if lies_in(place, top):
                raise UserError(
                    f"{job.output} would lie among the photographs of {folder} and be taken for one next time: "
                    f"give another --output_dir, such as {os.path.join(folder, 'stylised')}"
                )


def _same(one: str | Path, other: str | Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
