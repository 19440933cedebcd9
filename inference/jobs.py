"""Which photographs and films ``--content_image`` names, the format of their results, and the files that get these."""

import collections
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from config import InferenceConfig
from imaging.animations import is_animation
from imaging.film_writing import FILM_FORMATS, largest_quality
from imaging.films import FILM_ENDINGS
from imaging.folders import lies_in, no_pictures, walk_pictures
from imaging.formats import picture_endings
from imaging.writing import has_quality, result_ending
from inference.named_styles import CONTACT_SHEET
from utils.errors import UserError
from utils.file_kinds import begins_as_film, head_of, refuse_url
from utils.files import beside_program, is_pattern, matching

PIPE = "-"
"""The value of ``--content_image`` that stands for standard input and output."""

_MOTION_ALONE = {ending[1:]: ending for ending in FILM_FORMATS} | {"gif": ".gif", "apng": ".png"}
"""Values of ``--format`` that hold no photograph."""
_IN_MOTION = {**_MOTION_ALONE, "webp": ".webp", "avif": ".avif"}


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
    size: tuple[int, int] | None = None  # width and height, once it is decoded


def names_several(values: Sequence[str]) -> bool:
    """Whether ``--content_image`` asks for a collection, however small, rather than for one file."""
    return len(values) > 1 or os.path.isdir(values[0]) or is_pattern(values[0])


def _find_jobs(values: Sequence[str], output_dir: str | Path) -> tuple[list[Job], set[str]]:
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


def is_film(path: str | Path) -> bool:
    """Whether a file is a film by its ending, or if nothing is known of that, by its first bytes."""
    ending = Path(path).suffix.lower()
    return ending in FILM_ENDINGS or (ending not in picture_endings() and begins_as_film(path))


def planned(path: Path, format: str, still: bool) -> tuple[str, bool]:
    """The ending of a file's result, such as ``".png"``, and whether the result moves.

    Args:
        format: as ``--format``; ignored where it cannot hold what becomes of the file.
        still: whether one picture is made of everything, as for a contact sheet.
    """
    if not still and is_film(path):
        return _MOTION_ALONE.get(format, ".mp4"), True
    if not still and (format == "auto" or format in _IN_MOTION) and is_animation(path):
        ending = path.suffix.lower()
        own = {".apng": ".png", ".avifs": ".avif"}.get(ending, ending)
        return _IN_MOTION.get(format, own), True
    return result_ending("auto" if format in _MOTION_ALONE else format, head_of(path)), False


def check_taken(format: str, quality: int | None, jobs: list[Job]) -> None:
    """Refuse a format or a quality, as the flags give them, that no result takes, or that would mean two things.

    Raises:
        UserError: naming the flag.
    """
    endings = {job.ending for job in jobs}
    if format in _MOTION_ALONE:
        if not any(job.moves for job in jobs):
            raise UserError(f"--format {format} is for films, and only pictures are given: give another --format")
    elif format != "auto":
        Image.init()
        if Image.registered_extensions().get(result_ending(format, b"")) not in Image.SAVE:
            raise UserError(f"--format {format}: the Pillow installed here cannot write it; give another format")
        if endings <= set(FILM_FORMATS):
            formats = ", ".join(_MOTION_ALONE)
            raise UserError(f"--format {format} holds no film, and only films are given: give one of {formats}")
    if quality is None:
        return
    films = endings & set(FILM_FORMATS)
    others = endings - films
    if not films and not any(map(has_quality, others)):
        raise UserError(
            f"--quality {quality} means nothing to {', '.join(sorted(others))}, which --format {format} takes here: "
            "leave it out, or give another --format"
        )
    if films and any(map(has_quality, others)):
        raise UserError(
            f"--quality {quality} means less for a film the larger it is, and more for a picture: give films and "
            "pictures in two commands, or leave it out"
        )
    most = min(map(largest_quality, films), default=quality)
    if quality > most:
        raise UserError(f"--quality {quality} is too large: for films it is at most {most}, and less is better")


def plan_jobs(config: InferenceConfig, style: str) -> tuple[list[Job], set[str]]:
    """The photographs that ``--content_image`` names, each with its own output ``<photograph>_<style><ending>``.

    Photographs that would share a name, such as ``view.png`` and ``view.webp``, keep their ending in it:
    ``view.png_<style>.png``.

    Returns:
        The jobs, and the files that are left out, see :func:`_find_jobs`.

    Raises:
        UserError: if a result would take the place of another or of a photograph, or would lie among photographs
            that the next command would find it with.
    """
    values, output_dir = config.content_image, config.output_dir
    jobs, left_out = _find_jobs(values, output_dir)

    def output(job: Job, name: str) -> Path:
        return Path(output_dir, job.relative.parent, f"{name}_{style}{job.ending}")

    for job in jobs:
        job.ending, job.moves = planned(job.path, config.format, still=style == CONTACT_SHEET)
    times = collections.Counter(output(job, job.path.stem) for job in jobs)
    for job in jobs:
        alone = output(job, job.path.stem)
        job.output = alone if times[alone] == 1 else output(job, job.path.name)
    _refuse_to_leave_or_collide(jobs, output_dir)
    _refuse_results_among_content_images(jobs, [value for value in values if os.path.isdir(value)], output_dir)
    return jobs, left_out


def _refuse_to_leave_or_collide(jobs: list[Job], output_dir: str | Path) -> None:
    """Refuse a result outside the output folder, where a pattern with ``..`` or a link inside it would put it, and one
    in the place of another result or of a photograph."""
    top = os.path.realpath(output_dir)
    sources = {os.path.normcase(os.path.realpath(job.path)) for job in jobs}
    folders = {folder: os.path.realpath(folder) for folder in {job.output.parent for job in jobs}}
    first: dict[str, Job] = {}
    for job in jobs:
        folder = folders[job.output.parent]
        if not lies_in(folder, top):
            raise UserError(
                f"{job.output}, the result of {job.path}, would lie outside --output_dir {output_dir}: "
                "remove the link in it, or name the photographs without '..'"
            )
        real = os.path.normcase(os.path.join(folder, job.output.name))
        other = first.setdefault(real, job)
        if other is not job:
            raise UserError(
                f"{other.path} and {job.path} would both become {job.output}: "
                "give the folder that holds both, or two commands with an --output_dir each"
            )
        if real in sources:
            raise UserError(
                f"{job.output} is one of the photographs and would be the result of {job.path}: "
                "give another --output_dir, or leave it out"
            )


def _refuse_results_among_content_images(jobs: list[Job], folders: list[str], output_dir: str | Path) -> None:
    places = {os.path.realpath(job.output.parent): job for job in jobs}
    for folder in folders:
        top = os.path.realpath(folder)
        if lies_in(os.path.realpath(output_dir), top) and os.path.realpath(output_dir) != top:
            continue  # an output folder of its own inside the photographs' is left out of them
        for place, job in places.items():
            if lies_in(place, top):
                raise UserError(
                    f"{job.output} would lie among the photographs of {folder} and be taken for one next time: "
                    f"give another --output_dir, such as {os.path.join(folder, 'stylised')}"
                )
