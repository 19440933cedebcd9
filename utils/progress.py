"""Progress bars."""

import sys
import time

from tqdm import tqdm


class _Bar(tqdm):
    """A progress bar whose times are right when the machine's clock is set, and that has no thread of its own."""

    monitor_interval = 0  # the thread would be there to redraw a bar that stands still

    def __init__(self, *args, **kwargs):
        super().__init__(*args, miniters=1, **kwargs)  # without the thread: look at the clock at every step
        self._time = time.monotonic
        self.start_t = self.last_print_t = self._time()


def progress_bar(total: int, unit: str, initial: int = 0, disable: bool = False, delay: float = 0) -> tqdm:
    """A progress bar on standard error, from ``delay`` seconds on."""
    seconds = 0.5 if sys.stderr.isatty() else 30  # a log file need not hold every state of the bar
    return _Bar(
        total=total,
        initial=initial,
        unit=unit,
        dynamic_ncols=True,
        mininterval=seconds,
        disable=disable,
        delay=delay,
    )
