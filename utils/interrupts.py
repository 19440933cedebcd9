"""Ctrl-C and SIGTERM, taken note of and answered between two steps."""

import os
import signal
import threading


class Interrupts:
    """Within the block, SIGINT and SIGTERM set :attr:`received` and do nothing else.

    A second signal meets Python's own handling again, for whoever will not wait for the step to end. Outside the main
    thread, which alone may answer signals, the block changes nothing: there a program does what it likes with them.

    Args:
        notice: a line that is written to standard error when a signal is received.

    Attributes:
        received: the signal, or ``None``.
    """

    def __init__(self, notice: str | None = None):
        self._notice = notice
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
        self.received = signal.Signals(number)
        signal.signal(number, self._previous[number])
        if self._notice:
            # Not by print: a signal may come amidst one, which cannot be entered twice.
            os.write(2, f"\n{self._notice}\n".encode())

    @property
    def name(self) -> str:
        """Of the signal; it may have reached another of several processes instead."""
        return self.received.name if self.received else "a signal to another process"

    @property
    def exit_status(self) -> int:
        """What shells expect of a process that ended for the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.received or signal.SIGTERM)
