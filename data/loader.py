"""Batches of photographs as one endless stream with a position."""

import itertools
import multiprocessing
import signal
import threading
import warnings
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from data.dataset import PhotographDataset
from utils.errors import UserError
from utils.interrupts import ctrl_c_waits

READING_SECONDS = 120
"""Seconds after which reading processes that deliver nothing, from a network folder that hangs say, are given up."""

_LOOK_SECONDS = 5
"""Seconds between two looks whether the processes that are waited for are alive."""


def _chunks(dataset: PhotographDataset, start: int, size: int) -> Iterator[list[tuple[int, int]]]:
    """Chunks of (position, index) pairs from a position on, without end, passing over known unreadable files."""
    chunk = []
    for position in itertools.count(start):
        epoch, place = divmod(position, len(dataset))
        if place == 0 or position == start:
            order = dataset.order(epoch)
        if order[place] not in dataset.unreadable:
            chunk.append((position, order[place]))
        if len(chunk) == size:
            yield chunk
            chunk = []


def _init_worker(worker_id: int) -> None:
    # Ctrl-C reaches the whole process group, and "timeout" and batch systems send SIGTERM to it; the training process
    # finishes its step and shuts the workers down itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


def _by_value(chunk):
    """A chunk that goes through a pipe; a tensor would through shared memory, of which containers have little."""
    positions, crops, failures = chunk
    return positions, crops.numpy(), failures


class PhotographStream:
    """An iterator over batches of random crops, batch_size x 3 x size x size, uint8, RGB.

    The order of photographs, and each crop, follow from the data set's seed and the position alone: neither the
    number of workers nor an unreadable file changes what the remaining positions yield.

    Args:
        dataset: the photographs; those that turn out unreadable are added to its ``unreadable``.
        start: 0, or a ``position`` of an earlier stream.
        num_workers: reading processes; 0 reads in this one.
        pin_memory: whether batches are page-locked, for copies to a CUDA device that do not wait.
        shard, shards: of the batches, this stream yields every ``shards``-th from number ``shard`` on: the share of one
            of several processes.

    Attributes:
        position: where to start a stream that goes on after the last batch handed out.

    Raises:
        UserError: in a process that a script without a guarded main module is starting; from a batch on when more than
            a tenth of the photographs, or all, turn out unreadable, or when a reading process is lost or delivers
            nothing for :data:`READING_SECONDS`.
    """

    def __init__(
        self,
        dataset: PhotographDataset,
        batch_size: int,
        start: int = 0,
        num_workers: int = 0,
        pin_memory: bool = False,
        shard: int = 0,
        shards: int = 1,
    ):
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # This is a reading process, which imports the script that started the training, and so begins it again.
            raise UserError(_NO_GUARD)
        self.dataset, self.batch_size, self.pin_memory = dataset, batch_size, pin_memory
        self.position = self._start = start
        self._shards = shards
        loader = DataLoader(
            dataset,
            batch_size=None,  # a chunk is a batch already
            sampler=itertools.islice(_chunks(dataset, start, batch_size), shard, None, shards),
            num_workers=num_workers,
            collate_fn=_by_value,
            prefetch_factor=4 if num_workers else None,
            timeout=_LOOK_SECONDS if num_workers else 0,
            worker_init_fn=_init_worker if num_workers else None,
            generator=torch.Generator(),  # else the loader would draw from the global one
        )
        others = set(multiprocessing.active_children())
        try:
            # torch complains of an iterator that was begun in part: Ctrl-C waits, and what may be short is tried first.
            with ctrl_c_waits():
                multiprocessing.Lock()
                self._loader = iter(loader)
        except OSError as error:
            raise UserError(
                f"the system starts no processes that read photographs ({error.strerror}): give --num_workers 0"
            ) from None
        self._workers = [child for child in multiprocessing.active_children() if child not in others]
        # torch's answer to the end of a child is an exception in whatever is running just then, such as the middle of a
        # step: here it is noticed when the next batch is asked for.
        # (Windows has no such signal, and outside the main thread torch sets no answer to it.)
        answered = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
        if answered and getattr(signal.getsignal(signal.SIGCHLD), "__module__", "").startswith("torch."):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._crops = torch.empty(0, 3, dataset.image_size, dataset.image_size, dtype=torch.uint8)
        self._positions: list[int] = []

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self

    def __next__(self) -> torch.Tensor:
        while len(self._positions) < self.batch_size:
            positions, crops, failures = self._next_chunk()
            crops = torch.from_numpy(crops)
            for index, reason in failures.items():
                self._note_unreadable(index, reason)
            self._positions += positions
            # Without failures, the rule, the chunk is the batch and nothing is copied.
            self._crops = torch.cat([self._crops, crops]) if len(self._crops) else crops
        batch, self._crops = self._crops.split([self.batch_size, len(self._crops) - self.batch_size])
        self.position = self._positions[self.batch_size - 1] + 1
        if self._shards > 1:  # after the batches of the other shards as well
            group = self.batch_size * self._shards
            self.position = self._start + -(-(self.position - self._start) // group) * group
        del self._positions[: self.batch_size]
        return batch.pin_memory() if self.pin_memory else batch

    def _next_chunk(self):
        for _ in range(READING_SECONDS // _LOOK_SECONDS):
            lost = next((worker.exitcode for worker in self._workers if not worker.is_alive()), None)
            if lost == 1 and multiprocessing.get_start_method() != "fork":
                raise UserError(_NO_GUARD)
            if lost is not None:
                reason = signal.Signals(-lost).name if lost < 0 else f"exit status {lost}"
                raise UserError(
                    f"a process that reads photographs was lost ({reason}), as where memory is short: give fewer with "
                    "--num_workers, or --num_workers 0"
                )
            try:
                return next(self._loader)
            except (RuntimeError, OSError, EOFError) as error:  # torch's word for a lost worker, or its connection's
                if "timed out" not in str(error):
                    for worker in self._workers:
                        worker.join(1)
                    if all(worker.is_alive() for worker in self._workers):
                        raise
        raise UserError(f"--dataset_dir gave no photograph for {READING_SECONDS} seconds: see to the folder")

    def _note_unreadable(self, index: int, reason: str) -> None:
        if index in self.dataset.unreadable:  # read ahead before the first failure was known
            return
        self.dataset.unreadable[index] = reason
        warnings.warn(f"skipped: {reason}", stacklevel=2)
        bad, n = len(self.dataset.unreadable), len(self.dataset)
        if bad == n or bad > n * 0.1:
            raise UserError(
                f"{bad} of the {n} photographs in --dataset_dir cannot be read, more than a tenth; the last was "
                f"{self.dataset.paths[index]}: remove the broken files or give another folder"
            )

    def close(self) -> None:
        """Stop the workers, and wait for their end."""
        self._loader = None  # tells them, and waits a while
        for worker in self._workers:
            worker.kill()  # what is left hangs in a file
            worker.join()
        self._workers = []


_NO_GUARD = (
    "the processes that read photographs could not be started: a script that calls train() has to do so below the line "
    'if __name__ == "__main__":, or with num_workers=0'
)
