"""Progress on standard error: a bar in a terminal, a line now and then in a log file."""

import os
import sys

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30


class _Lines(tqdm):
    """Prints in whole lines what a bar would show, and redraws nothing."""

    monitor_interval = 0  # no thread, which would be there to redraw a bar that stands still

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        text = str(self) if msg is None else msg
        if text:
            print(text, file=self.fp, flush=True)
        return False

    @classmethod
    def write(cls, s: str, file=None, end: str = "\n", nolock: bool = False) -> None:
        print(s, file=file or sys.stdout, end=end)


def progress_bar(total: int, unit: str, initial: int = 0, disable: bool = False, delay: float = 0) -> tqdm:
    """Progress on standard error, from ``delay`` seconds on. ``write`` puts a message beside it."""
    windowed = sys.stderr is None  # a program with a window may have no standard error
    common = {"total": total, "unit": unit, "initial": initial, "disable": disable or windowed}
    if windowed or not sys.stderr.isatty():
        form = "{unit} {n_fmt} of {total_fmt}, {elapsed} so far, {remaining} left, {rate_fmt}{postfix}"
        at_ends = {"delay": max(delay, 1e-6), "leave": False}  # no line at the start, nor one at the end
        return _Lines(**common, **at_ends, mininterval=SECONDS_BETWEEN_LINES, miniters=1, bar_format=form)
    try:
        sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        sized = False
    return tqdm(**common, delay=delay, **({"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}))
