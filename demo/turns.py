"""Who computes when: several visitors take turns, tile by tile, and what is outdated stops."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator

Report = Callable[[int, int | None], None]
"""Receives how much is done and how much there is, ``None`` where nobody knows."""


class Cancelled(Exception):
    """What was asked for is wanted no longer."""


class Turns:
    """A lock that goes to whoever has waited longest, so that none of several visitors waits for all of another's."""

    def __init__(self):
        self._condition = threading.Condition()
        self._queue: collections.deque[object] = collections.deque()

    def __enter__(self):
        mine = object()
        with self._condition:
            self._queue.append(mine)
            self._condition.wait_for(lambda: self._queue[0] is mine)
        return self

    def __exit__(self, *exception):
        with self._condition:
            self._queue.popleft()
            self._condition.notify_all()

    def let_others(self) -> None:
        """To be called by whoever has the turn: all who wait have theirs first."""
        with self._condition:
            if len(self._queue) == 1:
                return
        self.__exit__()
        self.__enter__()


class Room:
    """Pixels that may be held decoded at a time by all visitors together; those who came first have them first.

    Args:
        pixels: in all. What asks for more has the room to itself.
    """

    def __init__(self, pixels: int):
        self._condition, self._free, self._most = threading.Condition(), pixels, pixels
        self._queue: collections.deque[object] = collections.deque()

    @contextlib.contextmanager
    def taken(self, pixels: int, stop: threading.Event) -> Iterator[None]:
        """A block that holds so many.

        Raises:
            Cancelled: if ``stop`` is set while it waits.
        """
        pixels, mine = min(pixels, self._most), object()
        with self._condition:
            self._queue.append(mine)
            try:
                while not (self._queue[0] is mine and self._free >= pixels):
                    if stop.is_set():
                        raise Cancelled
                    self._condition.wait(0.1)
                self._free -= pixels
            finally:
                self._queue.remove(mine)
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._free += pixels
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


Work = Callable[[threading.Event], None]


class Newest:
    """A thread that does the newest of what it is given, and nothing that is outdated.

    Args:
        interrupt: whether newer work stops that under way, or waits for its end.
    """

    def __init__(self, interrupt: bool = True):
        self._interrupt, self._condition = interrupt, threading.Condition()
        self._next: Work | None = None
        self._stop, self._ended, self._thread = threading.Event(), False, None

    def give(self, work: Work) -> None:
        """Work to do next, in place of what was given before and not begun."""
        with self._condition:
            if self._ended:
                return
            self._next = work
            if self._interrupt:
                self._stop.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._condition.notify()

    def stop(self) -> None:
        """Stop what is under way and drop what waits."""
        with self._condition:
            self._next = None
            self._stop.set()

    def end(self) -> None:
        """The same, for good."""
        with self._condition:
            self._ended, self._next = True, None
            self._stop.set()
            self._condition.notify()

    def join(self, patience: float) -> None:
        """Wait for its end, so many seconds at most."""
        if self._thread is not None:
            self._thread.join(patience)

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._ended or self._next is not None)
                if self._ended:
                    return
                work, self._next, self._stop = self._next, None, threading.Event()
                stop = self._stop
            with contextlib.suppress(Cancelled):
                work(stop)
