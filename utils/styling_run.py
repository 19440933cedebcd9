"""Many photographs through one network: decoded ahead and encoded behind by threads, in bounded memory."""

import collections
import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from config import InferenceConfig
from data.errors import ImageError, UserError
from data.images import picture_size, read_image
from data.saving import result_ending, save_picture
from utils.device import Compute, default_num_workers
from utils.files import atomic_write
from utils.inputs import Job, names_several, plan_jobs
from utils.interrupts import Interrupts
from utils.report import StylingReport

MOST_PIXELS = 2**26
"""Of all pictures that wait decoded, and of all that wait to be encoded: 200 MB each. One picture may be larger."""


@dataclass
class _Waiting:
    job: Job
    pixels: int
    future: Future
    seconds: float = 0.0


class StylingRun:
    """The photographs of a command on their way from file to file.

    >>> with StylingRun(config, "starry_night") as run:
    ...     for job, image in run.photographs(compute):
    ...         run.stylise(job, image, stylizer.stylise)

    Threads decode and encode, and nothing else: all else happens in the caller's thread, results are reported in the
    order of the photographs, and a fault at any stage is reported with the photograph that it belongs to. Leaving the
    block early, as after a ``break``, finishes what was stylised and drops what was only decoded.

    Args:
        config: the settings of the command.
        style: names the results.

    Raises:
        UserError: if ``--content_image`` and ``--output_dir`` cannot be made sense of; nothing has been written then.
    """

    def __init__(self, config: InferenceConfig, style: str):
        if config.overwrite and config.skip_existing:
            raise UserError("--overwrite and --skip_existing exclude each other: leave one out")
        self.config = config
        self.several = names_several(config.content_image)
        self.jobs = plan_jobs(config.content_image, config.output_dir, style, result_ending)
        self._existing = {job.output for job in self.jobs if job.output.exists()}
        if self._existing and not (config.overwrite or config.skip_existing):
            self._refuse_to_replace()
        self.interrupts = Interrupts()
        self._encoding: collections.deque[_Waiting] = collections.deque()

    def _refuse_to_replace(self):
        first = next(job.output for job in self.jobs if job.output in self._existing)
        what = f"{first} exists already"
        if self.several:
            what = f"{len(self._existing)} of {len(self.jobs)} results exist already, such as {first}"
        raise UserError(
            f"{what}: add --overwrite to replace it, --skip_existing to leave it, or give another --output_dir"
        )

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        # Pillow's warnings of odd metadata are suppressed where a file is decoded, but with one list of filters for all
        # threads; so they are suppressed throughout.
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        self.report = StylingReport(len(self.jobs), self.config.output_dir, self.several, self.config.json)
        self._stack.callback(self.report.close)
        self._stack.enter_context(self.interrupts)
        return self

    def __exit__(self, kind, *exception):
        with self._stack:
            if kind is None:
                self._take_written(all_of_them=True)

    def photographs(self, compute: Compute) -> Iterator[tuple[Job, Image.Image]]:
        """The photographs that can be read, in order, until all are handed out or the run is interrupted."""
        workers = default_num_workers(compute.device) or 1
        self._most = workers + 1  # pictures that wait decoded, and that wait to be encoded
        self._readers = self._stack.enter_context(_pool(workers))
        self._writers = self._stack.enter_context(_pool(workers))
        waiting: collections.deque[_Waiting] = collections.deque()
        for job in self.jobs:
            if job.output in self._existing and self.config.skip_existing:
                self.report.skipped(job)
                continue
            width, height = picture_size(job.photograph.path, self.config.max_pixels)
            while waiting and not _fits(waiting, width * height, self._most):
                yield from self._decoded(waiting.popleft(), compute)
            if self.interrupts.received:
                return
            waiting.append(_Waiting(job, width * height, self._readers.submit(_read, job, self.config.max_pixels)))
        while waiting and not self.interrupts.received:
            yield from self._decoded(waiting.popleft(), compute)

    def _decoded(self, waiting: _Waiting, compute: Compute) -> Iterator[tuple[Job, Image.Image]]:
        if self.interrupts.received:
            return
        try:
            image = waiting.future.result()
        except ImageError as error:
            self._failed(waiting.job, error)
            return
        if not self._announced:
            self.report.say(f"Stylising on {compute.describe()}")
            self._announced = True
        yield waiting.job, image

    _announced = False

    def stylise(self, job: Job, image: Image.Image, stylise: Callable[[Image.Image], Image.Image]) -> None:
        """Stylise a photograph and have the result written."""
        since = time.perf_counter()
        try:
            result = stylise(image)
        except (MemoryError, RuntimeError) as error:  # PyTorch's out-of-memory errors are RuntimeErrors
            if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                raise
            size = f"{image.width} x {image.height}"
            reason = f"{job.photograph.path} needs more memory than there is, at {size} pixels: reduce it first"
            self._failed(job, UserError(reason))
            return
        seconds = time.perf_counter() - since
        future = self._writers.submit(_write, job, result)
        self._encoding.append(_Waiting(job, image.width * image.height, future, seconds))
        self._take_written()

    def _take_written(self, all_of_them: bool = False) -> None:
        """Report the results that are written; wait for the earliest while too many, or too large ones, are not."""
        waiting = self._encoding
        while waiting and (all_of_them or waiting[0].future.done() or not _fits(waiting, 0, self._most)):
            first = waiting.popleft()
            try:
                size = first.future.result()
            except UserError as error:
                self._failed(first.job, error)
            else:
                self.report.done(first.job, size, first.seconds)

    def _failed(self, job: Job, error: UserError) -> None:
        self.report.failed(job, str(error))
        if not self.several:
            raise error

    def exit_status(self) -> int:
        """Tell the summary; 0 if all went well, 1 if a photograph failed, 130 or 143 after a signal."""
        self.report.summary()
        if self.interrupts.received:
            return self.interrupts.exit_status
        return 1 if self.report.counts["failed"] else 0


def _fits(waiting: collections.deque[_Waiting], pixels: int, most: int) -> bool:
    return len(waiting) < most and sum(one.pixels for one in waiting) + pixels <= MOST_PIXELS


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _read(job: Job, max_pixels: int) -> Image.Image:
    if job.photograph.error:
        raise ImageError(job.photograph.error)
    return read_image(job.photograph.path, max_pixels=max_pixels)


def _write(job: Job, image: Image.Image) -> tuple[int, int]:
    with atomic_write(job.output) as file:
        save_picture(image, file, os.path.splitext(job.output)[1])
    return image.size
