"""Many photographs through one network: decoded ahead and encoded behind by threads, in bounded memory."""

import collections
import contextlib
import datetime
import io
import math
import os
import re
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from config import InferenceConfig
from imaging.films import FilmReader, in_seconds
from imaging.icc import to_srgb
from imaging.reading import largest_file, picture_size, read_image
from imaging.sheets import LONGEST_SIDE, contact_sheet
from imaging.writing import result_ending, save_picture
from inference.jobs import PIPE, Job, check_taken, is_film, plan_jobs
from inference.named_styles import load_styles, style_name
from inference.options import WORKING_SHORT_SIDE, StyleOptions, StylizeError
from inference.repaint import reduced_size, repaint_film
from inference.report import InferenceReport
from utils.device import default_num_workers, resolve_compute
from utils.errors import ImageError, OutputError, UserError, is_out_of_memory, writing_output
from utils.files import atomic_write, check_output_dir, is_pattern, remove_unfinished
from utils.interrupts import Interrupts
from utils.processes import Processes
from utils.progress import progress_bar
from utils.settings import validate

MOST_PIXELS = 2**26
"""Of all pictures that wait decoded, and of all that wait to be encoded: 200 MB each. One picture may be larger."""

_IF_IT_EXISTS = "add --overwrite to replace, --skip_existing to leave what is there, or give another --output_dir"


class InferenceRun:
    """The photographs of a command on their way from file to file.

    Threads decode and encode; all else happens in the caller's thread. Results and faults are reported in the order of
    the photographs. Of N processes that torchrun started, each takes every N-th photograph; the first tells the summary
    of all, and all have the same exit status.

    Raises UserError if the settings do not go together, or a model or the mask cannot be read.
    """

    def __init__(self, config: InferenceConfig, given: frozenset[str]):
        config = validate(config)
        style = style_name(config, given)
        if config.overwrite and config.skip_existing:
            raise UserError("--overwrite and --skip_existing exclude each other: leave one out")
        self._start, self._end = _part(config)
        self.config = config
        self.piped = PIPE in config.content_image
        first, *others = config.content_image
        # Whether a collection is asked for, however small.
        self.several = not self.piped and bool(others or os.path.isdir(first) or is_pattern(first))
        if self.piped:
            self.jobs, self._left_out = [_piped_job(config, given)], set()
        else:
            self.jobs, self._left_out = plan_jobs(config, style)
        check_taken(config.format, config.quality, self.jobs)
        if (self._start or self._end) and not any(job.moves or is_film(job.path) for job in self.jobs):
            raise UserError("--start and --end are for films, and no film is given: leave them out")
        outputs = [] if self.piped else [job.output for job in self.jobs]
        existing = list(filter(os.path.lexists, outputs))
        if existing and not (config.overwrite or config.skip_existing):
            what = f"{len(existing)} of {len(outputs)} results exist already, such as {existing[0]}"
            raise UserError(f"{what if self.several else f'{existing[0]} exists already'}: {_IF_IT_EXISTS}")
        if not self.piped:
            check_output_dir(config.output_dir, written=outputs != existing)
        self._existing, self._folders = set(existing), {output.parent for output in outputs}
        # Each has looked for results before any of them writes one.
        self.processes = Processes.join(torch.device("cpu"), datetime.timedelta(days=30))  # for a share may take long
        self.processes.wait()
        self.total = len(self.jobs)
        self.jobs = self.jobs[self.processes.rank :: self.processes.count]
        self.compute = resolve_compute(config.device, config.precision, Processes.local_rank())
        self.options = style_options(config, config.max_pixels)
        self._notes: list[str] = []
        self.styles = load_styles(config, self.compute, self._notes.append)

    def run(self) -> int:
        """Stylise all; the exit status: 0, 1 if one of several photographs failed, 130 or 143 after a signal."""
        for folder in self._folders:
            remove_unfinished(folder)
        self.interrupts = Interrupts("Finishing the pictures under way; a film ends here", "what was under way is lost")
        self.report = InferenceReport(len(self.jobs), self.config, self.several, self.piped, self.processes.first)
        workers = default_num_workers(self.compute.device) or 1
        self._most = workers + 1  # pictures that wait decoded, and that wait to be encoded
        self._readers, self._writers = ThreadPoolExecutor(workers), ThreadPoolExecutor(workers)
        self._encoding: collections.deque[tuple[Job, Future]] = collections.deque()
        with contextlib.ExitStack() as stack:
            # Pillow warns of odd metadata in files that decode well. One list of filters serves all threads.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            stack.enter_context(self.report.bar)
            self.report.left_out(self._left_out)
            for note in self._notes:
                self.report.say(note)
            stack.enter_context(self.interrupts)
            for pool in (self._readers, self._writers):
                stack.callback(pool.shutdown, cancel_futures=True)
            self._stylize_all()
            self._report_written(all_of_them=True)
        counts = dict(zip(self.report.counts, self.processes.sums(list(self.report.counts.values()))))
        self.report.summary(self.total, counts)
        with writing_output():
            print(end="", flush=True)  # not sys.stdout.flush(), for there may be no standard output
        self.processes.sums([0])  # torchrun ends all as soon as one has failed: by here, each has said what it had to
        self.processes.leave()
        if self.interrupts.received:
            return self.interrupts.exit_status
        return 1 if counts["failed"] else 0

    def _stylize_all(self) -> None:
        decoding: collections.deque[tuple[Job, Future]] = collections.deque()
        for job in self.jobs:
            if self.config.skip_existing and job.output in self._existing:
                self.report.note(job, "skipped", f"{job.output} is there already")
                continue
            job.size = (0, 0) if job.moves else picture_size(job.path, self.config.max_pixels)
            while decoding and (job.moves or not self._fits(decoding, job)):
                self._stylize(*decoding.popleft())
            if self.interrupts.received:
                return
            if job.moves:
                self._repaint(job)
            else:
                decoding.append((job, self._readers.submit(self._read, job)))
        while decoding and not self.interrupts.received:
            self._stylize(*decoding.popleft())

    def _fits(self, queue: collections.deque[tuple[Job, Future]], *more: Job) -> bool:
        jobs = [*more, *(job for job, _ in queue)]
        return len(queue) < self._most and sum(math.prod(job.size) for job in jobs) <= MOST_PIXELS

    def _read(self, job: Job) -> Image.Image:
        max_pixels = self.config.max_pixels
        if job.error:
            raise ImageError(job.error)
        if job.data is not None:
            with tempfile.TemporaryDirectory() as folder:  # which decoders can go back and forth in
                path = Path(folder, "photograph")
                path.write_bytes(job.data)
                return read_photograph(path, max_pixels, called=job.path)
        if is_film(job.path):  # of a contact sheet
            with FilmReader(job.path, self._start, self._end, max_pixels) as film:
                return Image.fromarray(np.ascontiguousarray(film.first_picture()))
        return read_photograph(job.path, max_pixels)

    def _stylize(self, job: Job, decoding: Future) -> None:
        """Stylise a photograph once it is decoded, and have the result encoded."""
        with self._faults_of(job):
            image = decoding.result()
            job.size = image.size
            for remark in image.info.pop("remarks", ()):
                self.report.warn(remark)
            self.report.say(f"Stylising on {self.compute.describe()}")
            since = time.perf_counter()
            result = self._stylized(image)
            seconds = time.perf_counter() - since
            self._encoding.append((job, self._writers.submit(self._write, job, result, image.info, seconds)))
        self._report_written()

    def _repaint(self, job: Job) -> None:
        """From film to film."""
        self.report.say(f"Stylising on {self.compute.describe()}")
        self._report_written(all_of_them=True)
        with self._faults_of(job):
            if job.error:
                raise ImageError(job.error)
            self._refuse_what_appeared(job)
            with progress_bar(0, "frame") as bar:

                def on_frame(done: int, total: int | None) -> None:
                    bar.total = total
                    bar.update()

                result = repaint_film(
                    self.styles[0][1], job.path, job.output, self.options, start=self._start, end=self._end,
                    max_size=self.config.max_size, quality=self.config.quality, max_pixels=self.config.max_pixels,
                    on_frame=on_frame, should_stop=lambda: self.interrupts.received is not None,
                )  # fmt: skip
            for remark in result.remarks:
                self.report.warn(remark)
            for note in result.notes:
                self.report.say(note)
            self._painted_size(result.source_size, self.config.max_size)
            if result.stopped:
                self.report.warn(f"interrupted: {result.path} plays up to {in_seconds(result.length)}")
                job.output = result.path
            status = "unfinished" if result.stopped else "done"
            self.report.written(job, status, result.size, result.seconds, result.frames)

    def _stylized(self, content_image: Image.Image) -> Image.Image:
        with progress_bar(0, "tile", disable=self.several, delay=2) as bar:
            if len(self.styles) > 1:
                self._painted_size(content_image.size, None)
                pictures = [("photograph", content_image)]
                pictures += [(name, one.stylize(content_image, self.options, bar=bar)) for name, one in self.styles]
                return contact_sheet(pictures, longest_side=min(self.config.max_size or LONGEST_SIDE, LONGEST_SIDE))
            size = self._painted_size(content_image.size, self.config.max_size)
            if size != content_image.size:
                content_image = content_image.resize(size, Image.Resampling.LANCZOS)
            return self.styles[0][1].stylize(content_image, self.options, in_place=True, bar=bar)

    def _painted_size(self, size: tuple[int, int], max_size: int | None) -> tuple[int, int]:
        """A photograph's size in its result; tells of a reduction, and of larger strokes."""
        reduced = reduced_size(size, max_size)
        if reduced != size:
            self.report.say(f"Reduced to {max_size} pixels on the longer side, by --max_size")
        if self.options.stroke_scale is None and self.options.working_size(*reduced) != reduced:
            self.report.say(
                f"Strokes as on a short side of {WORKING_SHORT_SIDE} pixels: --stroke_scale 1 draws finer ones"
            )
        return reduced

    def _report_written(self, all_of_them: bool = False) -> None:
        """Report the results that are written; wait for the earliest while too many, or too large ones, are not."""
        waiting = self._encoding
        while waiting and (all_of_them or waiting[0][1].done() or not self._fits(waiting)):
            job, encoding = waiting.popleft()
            with self._faults_of(job):
                self.report.written(job, "done", *encoding.result())

    def _refuse_what_appeared(self, job: Job) -> None:
        """Refuse to replace a file that was not there when the command began."""
        if not (self.piped or self.config.overwrite) and os.path.lexists(job.output):
            raise UserError(f"{job.output} exists now: {_IF_IT_EXISTS}")

    def _write(self, job: Job, image: Image.Image, info: dict, seconds: float) -> tuple[tuple[int, int], float]:
        self._refuse_what_appeared(job)
        try:
            with contextlib.nullcontext(io.BytesIO()) if self.piped else atomic_write(job.output) as file:
                save_picture(image, file, job.ending, info, self.config.quality)
                if self.piped:
                    with writing_output():
                        sys.stdout.buffer.write(file.getbuffer())
                        sys.stdout.buffer.flush()
        except (ValueError, struct.error) as error:  # Pillow's, of what a format does not hold
            raise UserError(f"{job.output} cannot be written ({error}): give another --format") from None
        return image.size, seconds

    @contextlib.contextmanager
    def _faults_of(self, job: Job) -> Iterator[None]:
        """Reports what a photograph is to blame for, and raises it if it is the only one."""
        try:
            yield
            return
        except OutputError:
            raise
        except UserError as error:
            fault = error
        except StylizeError as error:
            fault = UserError(f"{job.path}: {f'--{error}' if error.option else error}")
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            what = f" at {job.size[0]} x {job.size[1]} pixels" if any(job.size) else ""
            fault = UserError(f"{job.path} needs more memory than there is{what}: reduce it first")
        if self.several:
            self.report.warn(fault, "failed")
        self.report.note(job, "failed", error=str(fault))
        if not self.several:
            raise fault


def _part(config: InferenceConfig) -> tuple[float | None, float | None]:
    """Seconds of ``--start`` and ``--end``."""
    seconds = []
    for flag in ("start", "end"):
        text = getattr(config, flag)
        try:
            seconds.append(None if text is None else parse_time(text))
        except ValueError:
            raise UserError(f"--{flag} {text} is no time: give seconds, or minutes as in 1:23.4") from None
    if None not in seconds and seconds[0] >= seconds[1]:
        raise UserError(f"--end {config.end} lies before --start {config.start}: give a later one")
    return tuple(seconds)


def parse_time(text: str) -> float:
    """Seconds of ``83.4``, ``1:23.4`` or ``1:02:03``; raises ValueError for anything else."""
    found = re.fullmatch(r"(?:(?:(\d{1,5}):)?(\d{1,5}):)?(\d{0,9}\.?\d{1,9})", text)
    if found is None:
        raise ValueError(text)
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


@contextlib.contextmanager
def calling(path: Path, name: str) -> Iterator[None]:
    """A block whose errors have ``name`` in place of ``path``."""
    try:
        yield
    except UserError as error:
        raise type(error)(str(error).replace(str(path), name)) from None


def read_photograph(path: Path, max_pixels: int, called: str | Path | None = None) -> Image.Image:
    """A photograph for the engine, ``RGB`` or ``RGBA``, upright, sRGB; errors and remarks name it as ``called``."""
    called = str(called or path)
    with calling(path, called):
        image = to_srgb(read_image(path, max_pixels=max_pixels, partial=True))
    image.info["remarks"] = [text.replace(str(path), called) for text in image.info["remarks"]]
    return image


def style_options(config: InferenceConfig, max_pixels: int) -> StyleOptions:
    """What the settings choose after training. Raises UserError, naming ``--mask``, its file and the reason."""
    try:
        mask = None if config.mask is None else read_image(config.mask, max_pixels=max_pixels)
    except UserError as error:
        raise UserError(f"--mask: {error}") from None
    return StyleOptions(config.strength, config.preserve_color, mask, config.stroke_scale)


def _piped_job(config: InferenceConfig, given: frozenset[str]) -> Job:
    """From standard input to standard output."""
    if Processes.expected() > 1:
        raise UserError(f"--content_image {PIPE} is for one process: leave out torchrun")
    others = [f"--{name}" for name in ("output_dir", "overwrite", "skip_existing", "json") if name in given]
    if len(config.content_image) > 1:
        others.insert(0, "other photographs")
    if others:
        raise UserError(f"--content_image {PIPE} does not go with {others[0]}, for the result goes to standard output")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UserError(f"--content_image {PIPE} needs files: ... --content_image - < photo.jpg > result.jpg")
    limit = largest_file(config.max_pixels)
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise UserError(
            f"standard input has more bytes than a picture of --max_pixels {config.max_pixels} needs: give a smaller "
            "picture or a larger --max_pixels"
        )
    ending = result_ending(config.format, data)
    return Job(Path("standard input"), Path(PIPE), data=data, output=Path("standard output"), ending=ending)
