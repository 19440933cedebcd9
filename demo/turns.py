"""Who computes when: several visitors take turns, tile by tile, and what is outdated stops."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

Report = Callable[[int, int | None], None]
"""Receives how much is done and how much there is, ``None`` where nobody knows."""

_NEVER = threading.Event()


class Cancelled(Exception):
    """What was asked for is wanted no longer."""


class Turns:
    """So much of something at a time, for whoever has waited longest: no visitor waits for all of another's work.

    Args:
        most: in all. What asks for more has all of it.
    """

    def __init__(self, most: int = 1):
        self._condition, self._free, self._most = threading.Condition(), most, most
        self._queue: collections.deque[object] = collections.deque()

    @contextlib.contextmanager
    def taken(self, stop: threading.Event = _NEVER, amount: int = 1) -> Iterator[None]:
        """A block that holds so much.

        Raises:
            Cancelled: if ``stop`` is set before its turn comes.
        """
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
    """What the engine takes for a progress bar: it passes the turn on after each tile, and stops what is outdated.

    Args:
        turns: which the caller has.
        stop: set by whoever wants the work no longer.
        report: receives tiles that are done and those there are.
    """

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
    """Threads that do the newest of what they are given, and nothing that is outdated.

    Args:
        interrupt: whether newer work stops that under way, or waits for its end.
        threads: that work at a time.
    """

    def __init__(self, interrupt: bool = True, threads: int = 1):
        self._interrupt, self._pool, self._lock = interrupt, ThreadPoolExecutor(threads), threading.Lock()
        self._stop, self._given, self._last = threading.Event(), [], None

    def give(self, work: Callable[[threading.Event], None]) -> None:
        """Work to do next, in place of what was given before and not begun."""
        with self._lock:
            if self._last is not None:
                return
            self._cancel(self._interrupt)
            if self._stop.is_set():
                self._stop = threading.Event()
            under_way = (future for future in self._given if not future.done())
            self._given = [*under_way, self._pool.submit(self._do, work, self._stop)]

    def stop(self) -> None:
        """Stop what is under way and drop what waits."""
        with self._lock:
            self._cancel()

    def end(self) -> Future:
        """The same, for good. The result comes once what is under way has ended."""
        with self._lock:
            self._cancel()
            if self._last is None:
                self._last = self._pool.submit(wait, self._given)
                self._pool.shutdown(wait=False)
            return self._last

    def _cancel(self, under_way: bool = True) -> None:
        if under_way:
            self._stop.set()
        if self._given:
            self._given[-1].cancel()  # if it waits

    def _do(self, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        with contextlib.suppress(Cancelled):
            work(stop)
