"""What becomes of each photograph and film: the format of the result, and the file that receives it."""

import collections
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from imaging.animations import is_animation
from imaging.film_writing import FILM_FORMATS, largest_quality
from imaging.films import FILM_ENDINGS
from imaging.folders import lies_in
from imaging.formats import picture_endings
from imaging.writing import has_quality, result_ending
from inference.inputs import Job, find_jobs
from utils.errors import UserError
from utils.file_kinds import begins_as_film, head_of

_FILMS = {ending[1:]: ending for ending in FILM_FORMATS}
_MOTION_ALONE = {**_FILMS, "gif": ".gif", "apng": ".png"}
"""Values of ``--format`` that hold no photograph."""
_IN_MOTION = {**_MOTION_ALONE, "webp": ".webp", "avif": ".avif"}


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


def plan_jobs(
    values: Sequence[str], output_dir: str | Path, style: str, format: str, still: bool
) -> tuple[list[Job], set[str]]:
    """The photographs that ``--content_image`` names, each with its own output ``<photograph>_<style><ending>``.

    Photographs that would share a name, such as ``view.png`` and ``view.webp``, keep their ending in it:
    ``view.png_<style>.png``.

    Returns:
        The jobs, and the files that are left out, see :func:`find_jobs`.

    Raises:
        UserError: if a result would take the place of another or of a photograph, or would lie among photographs
            that the next command would find it with.
    """
    jobs, left_out = find_jobs(values, output_dir)

    def output(job: Job, name: str) -> Path:
        return Path(output_dir, job.relative.parent, f"{name}_{style}{job.ending}")

    for job in jobs:
        job.ending, job.moves = planned(job.path, format, still)
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
