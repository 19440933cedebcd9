"""Batches of photographs as one endless stream with a position, read ahead by worker processes."""

import multiprocessing
import multiprocessing.connection
import signal
import threading
import warnings
from collections.abc import Iterator

import torch

from data.dataset import STALLED, PhotographDataset
from utils.errors import UserError

LARGEST_UNREADABLE_SHARE = 0.1

MOST_STALLED = 3
"""Photographs that a stream gives up waiting for before it takes the whole folder to be out of reach."""

MOST_LOST_IN_A_ROW = 3
"""Times that reading processes are replaced without a batch in between before the cause is taken to be lasting."""


class _Chunks(torch.utils.data.Sampler):
    """Chunks of (position, index) pairs from a position on, without end, passing over known unreadable files."""

    def __init__(self, dataset, start, size, unreadable, shard, shards):
        self.dataset, self.start, self.size, self.unreadable = dataset, start, size, unreadable
        self.shard, self.shards = shard, shards

    def __iter__(self):
        n = len(self.dataset)
        epoch, rank = divmod(self.start, n)
        chunk, number = [], 0
        while True:
            order = self.dataset.order(epoch)
            for here in range(rank, n):
                if order[here] not in self.unreadable:
                    chunk.append((epoch * n + here, order[here]))
                if len(chunk) == self.size:
                    if number % self.shards == self.shard:
                        yield chunk
                    chunk, number = [], number + 1
            epoch, rank = epoch + 1, 0


def _init_worker(worker_id: int) -> None:
    """Set up a process that decodes photographs for another one."""
    # Ctrl-C reaches the whole process group, and "timeout" and batch systems send SIGTERM to it; the training process
    # finishes its step and shuts the workers down itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


class PhotographStream:
    """An iterator over batches of random crops, reproducible from any position.

    The order of photographs, and each crop, follow from the data set's seed and the position alone: neither the
    number of workers nor an unreadable file changes what the remaining positions yield. A worker that is killed is
    replaced, which changes nothing either.

    Args:
        dataset: the photographs.
        batch_size: photographs a batch.
        start: position of the first photograph, 0 or a ``position`` of an earlier stream.
        num_workers: reading processes; 0 reads in this one.
        pin_memory: whether batches are page-locked, for copies to a CUDA device that do not wait.
        shard, shards: of the batches, this stream yields every ``shards``-th from number ``shard`` on: the share of one
            of several processes.

    Attributes:
        position: where to start a stream that goes on after the last batch handed out.
        unreadable: the data set's, which is added to.
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
        self.dataset, self.batch_size, self.pin_memory = dataset, batch_size, pin_memory
        self.position = start
        self.num_workers, self._shard, self._shards = num_workers, shard, shards
        self.unreadable = dataset.unreadable
        self._stalled = self._lost_in_a_row = 0
        self._open()

    def _open(self) -> None:
        """Read on from the position."""
        self._start = self.position
        chunks = _Chunks(self.dataset, self._start, self.batch_size, self.unreadable, self._shard, self._shards)
        loader = torch.utils.data.DataLoader(
            self.dataset,
            batch_size=None,  # a chunk is a batch already
            sampler=chunks,
            num_workers=self.num_workers,
            prefetch_factor=4 if self.num_workers else None,
            worker_init_fn=_init_worker if self.num_workers else None,
            collate_fn=_unchanged,
            generator=torch.Generator(),  # else the loader would draw from the global one
        )
        others = set(multiprocessing.active_children())
        self._loader = iter(loader)
        self._workers = [child for child in multiprocessing.active_children() if child not in others]
        # torch's answer to the end of a child is an exception in whatever is running just then, such as the middle of a
        # step: here it is noticed when the next batch is asked for.
        # (Windows has no such signal, and outside the main thread torch sets no answer to it.)
        answered = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
        if answered and getattr(signal.getsignal(signal.SIGCHLD), "__module__", "").startswith("torch."):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._crops = torch.empty(0, 3, self.dataset.image_size, self.dataset.image_size, dtype=torch.uint8)
        self._positions: list[int] = []

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self

    def __next__(self) -> torch.Tensor:
        """The next batch: batch_size x 3 x size x size, uint8, RGB.

        Raises:
            UserError: when more than a tenth of the photographs, or all, turn out unreadable; when several of them do
                not finish; when the reading processes are killed again and again.
        """
        while len(self._positions) < self.batch_size:
            positions, crops, failures = self._next_chunk()
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
        while True:
            lost = self._lost_worker(0)
            if lost is None:
                try:
                    chunk = next(self._loader)
                except (RuntimeError, OSError, EOFError):  # torch's word for it, or that of the connection
                    lost = self._lost_worker(5)
                    if lost is None:
                        raise
                else:
                    self._lost_in_a_row = 0
                    return chunk
            self._replace_workers(lost)

    def _lost_worker(self, seconds: float) -> multiprocessing.Process | None:
        """One that has ended, or does so within some seconds."""
        ended = multiprocessing.connection.wait([worker.sentinel for worker in self._workers], seconds)
        return next((worker for worker in self._workers if worker.sentinel in ended), None)

    def _replace_workers(self, lost: multiprocessing.Process) -> None:
        lost.join()
        status = lost.exitcode
        reason = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        self._lost_in_a_row += 1
        if self._lost_in_a_row > MOST_LOST_IN_A_ROW:
            raise UserError(
                f"the processes that read photographs are lost again and again ({reason}): give fewer with "
                "--num_workers if memory is short, or --num_workers 0"
            )
        warnings.warn(f"process {lost.pid}, which read photographs, was lost ({reason}) and is replaced", stacklevel=2)
        self.close()
        self._open()

    def _note_unreadable(self, index: int, reason: str) -> None:
        if index in self.unreadable:  # read ahead before the first failure was known
            return
        self.unreadable[index] = reason
        warnings.warn(f"skipped: {reason}", stacklevel=2)
        self._stalled += STALLED in reason
        if self._stalled > MOST_STALLED:
            raise UserError(f"--dataset_dir is out of reach ({reason}, as {MOST_STALLED} others before it): see to it")
        bad, n = len(self.unreadable), len(self.dataset)
        if bad == n or bad > n * LARGEST_UNREADABLE_SHARE:
            raise UserError(
                f"{bad} of the {n} photographs in --dataset_dir cannot be read, more than a tenth; the last was "
                f"{self.dataset.paths[index]}: remove the broken files or give another folder"
            )

    def close(self) -> None:
        """Stop the workers, and wait for their end. The stream is of no use afterwards."""
        self._loader = None  # tells them, and waits a while
        for worker in self._workers:
            worker.kill()  # what is left hangs in a file
            worker.join()
        self._workers, self._crops = [], None  # these lie in memory shared with them, an open file


def _unchanged(item):
    """What the data set gives, as it is: in place of the loader's own collation."""
    return item
