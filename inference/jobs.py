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
    size: tuple[int, int] = (0, 0)  # width and height, by its header, then as decoded


def _find_jobs(values: Sequence[str], output_dir: str) -> tuple[list[Job], set[str]]:
    """What the values of ``--content_image`` name: in their order, folders sorted, every file once.

    One folder is mirrored below the output folder, each of several values under its own name; so is what a pattern
    matches, from its first wildcard on. The output folder is left out of the folder that it lies in.
    """
    once: dict[str, Job] = {}
    others: set[str] = set()
    for value in values:
        refuse_url(value)
        found: list[Job] = []
        places: dict[str, Path] = {}
        if os.path.isdir(value):
            places = {value: Path(Path(value).resolve().name if len(values) > 1 else "")}
        elif is_pattern(value):
            fixed = Path(value).parent
            while is_pattern(str(fixed)):
                fixed = fixed.parent
            places = {name: Path(os.path.relpath(name, fixed)) for name in matching(value)}
        else:  # a missing file is reported when its turn comes, like one that is damaged
            path = beside_program(value)
            error = f"--content_image {value} does not exist: give the path of a picture"
            found.append(Job(path, Path(path.name), None if os.path.lexists(path) else error))
        for name, place in places.items():
            if not os.path.isdir(name):
                found.append(Job(Path(name), place))
            elif name == value or os.path.realpath(name) != os.path.realpath(output_dir):
                contents = walk_pictures(name, leave_out=output_dir, films=True)
                if name == value and not contents.pictures + contents.dangling:
                    raise no_pictures(f"--content_image {value}", contents, films=True)
                errors = dict.fromkeys(contents.pictures + contents.dangling)
                for folder, reason in contents.unlisted:
                    errors[folder] = f"{folder} cannot be listed ({reason}): its pictures are left out"
                inside = [Job(Path(path), place / os.path.relpath(path, name), why) for path, why in errors.items()]
                found += sorted(inside, key=lambda job: job.relative)
                others.update(map(os.path.realpath, contents.others))
        if not found:
            raise UserError(f"--content_image {value} matches no file: give another pattern")
        for job in found:
            once.setdefault(os.path.realpath(job.path), job)
    return list(once.values()), others


def is_film(path: str | Path) -> bool:
    """Whether a file is a film by its ending, or if nothing is known of that, by its first bytes."""
    ending = Path(path).suffix.lower()
    return ending in FILM_ENDINGS or (ending not in picture_endings() and begins_as_film(path))


def planned(path: Path, format: str, still: bool) -> tuple[str, bool]:
    """The ending of a file's result, such as ``".png"``, and whether the result moves.

    ``format``, as ``--format``, is ignored where it cannot hold what becomes of the file. With ``still``, as for a
    contact sheet, one picture is made of everything.
    """
    if not still and is_film(path):
        return _MOTION_ALONE.get(format, ".mp4"), True
    if not still and (format == "auto" or format in _IN_MOTION) and is_animation(path):
        ending = path.suffix.lower()
        own = {".apng": ".png", ".avifs": ".avif"}.get(ending, ending)
        return _IN_MOTION.get(format, own), True
    return result_ending("auto" if format in _MOTION_ALONE else format, head_of(path)), False


def check_taken(format: str, quality: int | None, jobs: list[Job]) -> None:
    """Refuse a format or a quality, as the flags give them, that no result takes, or that would mean two things."""
    endings = {job.ending for job in jobs}
    films = endings & set(FILM_FORMATS)
    if format in _MOTION_ALONE:
        if not any(job.moves for job in jobs):
            raise UserError(f"--format {format} is for films, and only pictures are given: give another --format")
    elif format != "auto":
        Image.init()
        if Image.registered_extensions().get(result_ending(format, b"")) not in Image.SAVE:
            raise UserError(f"--format {format}: the Pillow installed here cannot write it; give another format")
        if endings == films:
            formats = ", ".join(_MOTION_ALONE)
            raise UserError(f"--format {format} holds no film, and only films are given: give one of {formats}")
    if quality is None:
        return
    has_meaning = any(map(has_quality, endings - films))
    if not films and not has_meaning:
        raise UserError(
            f"--quality {quality} means nothing to {', '.join(sorted(endings))}, which --format {format} takes here: "
            "leave it out, or give another --format"
        )
    if films and has_meaning:
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
        The jobs, and the real paths of the files in folders that are no pictures by their endings.

    Raises:
        UserError: if a folder holds no picture, or a pattern matches nothing; if a result would take the place of
            another or of a photograph, or would lie among photographs that the next command would find it with.
    """
    jobs, left_out = _find_jobs(config.content_image, config.output_dir)
    for job in jobs:
        job.ending, job.moves = planned(job.path, config.format, still=style == CONTACT_SHEET)
        job.output = Path(config.output_dir, job.relative.parent, f"{job.path.stem}_{style}{job.ending}")
    times = collections.Counter(job.output for job in jobs)
    for job in jobs:
        if times[job.output] > 1:
            job.output = job.output.with_name(f"{job.path.name}_{style}{job.ending}")
    _check_places(jobs, list(filter(os.path.isdir, config.content_image)), config.output_dir)
    return jobs, left_out


def _check_places(jobs: list[Job], given: list[str], output_dir: str) -> None:
    """Refuse a result outside the output folder, where a pattern with ``..`` or a link inside it would put it; one in
    the place of another result or of a photograph; and one among the photographs of a given folder."""
    top = os.path.realpath(output_dir)
    sources = {os.path.normcase(os.path.realpath(job.path)) for job in jobs}
    folders = {folder: os.path.realpath(folder) for folder in {job.output.parent for job in jobs}}
    given = {os.path.realpath(folder): folder for folder in given}
    # An output folder of its own inside the photographs' is left out of them.
    looked_into = [real for real in given if real == top or not lies_in(top, real)]
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
        for photographs in looked_into:
            if lies_in(folder, photographs):
                raise UserError(
                    f"{job.output} would lie among the photographs of {given[photographs]} and be taken for one next "
                    f"time: give another --output_dir, such as {os.path.join(given[photographs], 'stylised')}"
                )
