"""Who computes when: several visitors take turns, tile by tile, and what is outdated stops."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

Report = Callable[[int, int | None], None]  # receives how much is done and how much there is, if anybody knows
Work = Callable[[threading.Event], None]  # ends soon after the event is set
_NEVER = threading.Event()


class Cancelled(Exception):
    """What was asked for is wanted no longer."""


class Turns:
    """Shares out ``most`` of something to those who wait, in their order; a request for more gets all of it."""

    def __init__(self, most: int = 1):
        self._condition, self._free, self._most = threading.Condition(), most, most
        self._queue: collections.deque[object] = collections.deque()

    @contextlib.contextmanager
    def taken(self, stop: threading.Event = _NEVER, amount: int = 1) -> Iterator[None]:
        """A block that holds so much. Raises Cancelled if ``stop`` is set before its turn comes."""
        amount = min(amount, self._most)
        self._take(amount, stop)
        try:
            yield
        finally:
            self._give_back(amount)

    def let_others(self) -> None:
        """To be called by whoever has the one turn: all who wait have theirs first."""
        if self._queue:
            self._give_back(1)
            self._take(1)

    def _take(self, amount: int, stop: threading.Event = _NEVER) -> None:
        mine = object()
        with self._condition:
            self._queue.append(mine)
            try:
                while not (stop.is_set() or (self._queue[0] is mine and self._free >= amount)):
                    self._condition.wait(0.1)
                if stop.is_set():
                    raise Cancelled
                self._free -= amount
            finally:
                self._queue.remove(mine)
                self._condition.notify_all()

    def _give_back(self, amount: int) -> None:
        with self._condition:
            self._free += amount
            self._condition.notify_all()


class TileBar:
    """What the engine takes for a progress bar: after each tile it passes the turn on, and ends what is to stop."""

    def __init__(self, turns: Turns, stop: threading.Event, report: Report | None = None):
        self.total = self.done = 0
        self._turns, self._stop, self._report = turns, stop, report

    def update(self, n: int = 1) -> None:
        self.done += n
        if self._report is not None:
            self._report(self.done, self.total)
        self._turns.let_others()
        if self._stop.is_set():
            raise Cancelled


class Newest:
    """Threads that do the newest of what they are given; with ``interrupt`` it stops what is under way."""

    def __init__(self, interrupt: bool = True, threads: int = 1):
        self._interrupt, self._pool = interrupt, ThreadPoolExecutor(threads)
        self._stop, self._newest = threading.Event(), Future()

    def give(self, work: Work) -> None:
        """Work to do next, in place of what was given before and not begun."""
        self._newest.cancel()  # if it waits
        if self._interrupt:
            self._stop.set()
        if self._stop.is_set():
            self._stop = threading.Event()
        self._newest = self._pool.submit(work, self._stop)

    def stop(self) -> None:
        """Stop what is under way and drop what waits."""
        self._stop.set()
        self._newest.cancel()

    def end(self, wait: bool = True) -> None:
        """The same, for good, with or without waiting until what is under way has stopped."""
        self.stop()
        self._pool.shutdown(wait)
