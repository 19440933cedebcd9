"""Ctrl-C and SIGTERM, taken note of and answered between two steps."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Within the block, which is short and must not be left half done, Ctrl-C waits for its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if received:
            signal.raise_signal(signal.SIGINT)


class Interrupts:
    """Within the block, a first SIGINT or SIGTERM sets :attr:`received` and says what is done ``now``.

    The same signal once more says what is ``lost``, and meets Python's own handling, for whoever will not wait for the
    step to end. One of the other kind does not count as a second: torchrun answers Ctrl-C with SIGTERM. Outside the
    main thread, which alone may answer signals, the block changes nothing.
    """

    def __init__(self, now: str, lost: str):
        self._now, self._lost, self._seen = now, lost, set()
        self.received: signal.Signals | None = None

    def __enter__(self):
        in_main_thread = threading.current_thread() is threading.main_thread()
        answered = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
        self._previous = {number: signal.signal(number, self._take_note) for number in answered}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _take_note(self, number, frame):
        if number in self._seen:
            _say(f"Ended at once: {self._lost}")
            signal.signal(number, self._previous[number])
            signal.raise_signal(number)
            return
        self._seen.add(number)
        if self.received is None:
            _say(f"{self._now}. Once more ends at once")
        self.received = signal.Signals(number)

    @property
    def name(self) -> str:
        """The name of the signal; another of several processes may have received it."""
        return self.received.name if self.received else "a signal to another process"

    @property
    def exit_status(self) -> int:
        """What shells expect of a process that ended for the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.received or signal.SIGTERM)


def _say(text: str) -> None:
    # Not by print: a signal may come amidst one, which cannot be entered twice.
    os.write(2, f"\n{text}\n".encode())
