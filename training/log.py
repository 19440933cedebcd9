"""What a training tells of its losses: the progress bar, metrics.jsonl, and the plot of it."""

import json
import math
import sys
import time
from pathlib import Path

import torch

from losses.perceptual import TERMS, Losses
from utils.errors import UserError, one_line
from utils.files import atomic_write
from utils.progress import progress_bar


class NonFiniteLoss(Exception):
    """A loss became infinite or not-a-number; the message says which, and at which step."""


class TrainingLog:
    """Progress bar and ``metrics.jsonl``.

    Losses are kept on the device until :meth:`flush`: fetching them makes the host wait for the GPU, so it is done at
    the cadence of the log alone.

    Args:
        path: of ``metrics.jsonl``; lines after ``start_step``, of a run that is being resumed, are dropped. ``None``
            writes and shows nothing: for all but the first of several processes.
        start_step, total_steps: where the training stands, and where it ends.
        batch_size: for the speed in photographs a second.
        styles: names; of several each has its own means.
    """

    def __init__(
        self, path: Path | None, start_step: int, total_steps: int, batch_size: int, styles: tuple[str, ...] = ("",)
    ):
        self.path, self.batch_size, self.styles = path, batch_size, styles
        self._pending: list[tuple[int, torch.Tensor]] = []
        self._window: list[list[float]] = []
        self._since = time.perf_counter()
        if path is not None:
            kept = _lines_up_to(path, start_step)
            with atomic_write(path) as file:
                file.writelines(kept)
        self._bar = progress_bar(total_steps, unit="step", initial=start_step, disable=path is None)

    def add(self, step: int, losses: Losses) -> None:
        """Take note of a step's losses, without waiting for them."""
        values = torch.cat([losses.raw, losses.weighted, losses.content_to_grey.reshape(1), losses.by_style.flatten()])
        self._pending.append((step, values))
        self._bar.update(1)

    def flush(self) -> None:
        """Fetch the losses noted so far, show the latest, and check them.

        Raises:
            NonFiniteLoss: for the first step with a loss that is not finite.
        """
        if not self._pending:
            return
        steps, values = zip(*self._pending)
        self._pending = []
        rows = torch.stack(values).tolist()  # the one synchronisation with the device
        for step, row in zip(steps, rows):
            for term, value in zip(TERMS + TERMS, row):  # as they are, and weighted
                if not math.isfinite(value):
                    raise NonFiniteLoss(f"the {term} loss is {value} at step {step}")
        self._window += rows
        weighted = rows[-1][len(TERMS) : 2 * len(TERMS)]
        shown = {term: f"{value:.3g}" for term, value in zip(TERMS, weighted) if value}  # those that have a weight
        self._bar.set_postfix(shown, refresh=False)

    def write_line(self, step: int, lr: float, style_levels: list[float]) -> None:
        """Write the means since the last line to ``metrics.jsonl``."""
        self.flush()
        if self.path is None:
            self._window = []
            return
        now, n = time.perf_counter(), len(self._window)
        means = [sum(column) / n for column in zip(*self._window)]
        seconds = (now - self._since) / n
        line = {
            "step": step,
            "raw": dict(zip(TERMS, means)),
            "weighted": dict(zip(TERMS, means[len(TERMS) :])),
            "total": sum(means[len(TERMS) : 2 * len(TERMS)]),
            "content_to_grey": means[2 * len(TERMS)],
            "style_level": sum(style_levels) / len(style_levels),
            "lr": lr,
            "seconds_per_step": round(seconds, 5),
            "photographs_per_second": round(self.batch_size / seconds, 2),
        }
        if len(self.styles) > 1:
            rows = iter(means[2 * len(TERMS) + 1 :])
            line["styles"] = {
                name: {"content": content / share, "style": style / share, "level": level}
                for name, level, share, content, style in zip(self.styles, style_levels, rows, rows, rows)
                if share  # a style may have had no photograph in so few steps
            }
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error.strerror}): free some space, then resume") from None
        self._window, self._since = [], now

    def message(self, text: str) -> None:
        """Print a line beside the progress."""
        if self.path is not None:
            self._bar.write(one_line(text, sys.stdout), file=sys.stdout)

    def close(self) -> None:
        self._bar.close()


def _lines_up_to(path: Path, step: float) -> list[bytes]:
    """The whole lines of a metrics file that belong to steps up to ``step``."""
    if step == 0 or not path.is_file():
        return []
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):  # cut short by a crash
            continue
    return kept


def read_metrics(path: Path) -> list[dict]:
    """The whole lines of a ``metrics.jsonl``; none where there is no such file.

    Raises:
        OSError: if it cannot be read.
    """
    return [json.loads(line) for line in _lines_up_to(path, math.inf)]


def plot_losses(metrics: Path, path: Path) -> None:
    """Plot the weighted losses of a ``metrics.jsonl`` to a PNG, where matplotlib is installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    lines = read_metrics(metrics)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    for term in TERMS:
        values = [line["weighted"].get(term, 0) for line in lines]  # a term that an earlier version did not know
        if any(values):
            axes.plot([line["step"] for line in lines], values, label=term)
    axes.set(xlabel="step", ylabel="weighted loss", yscale="log")
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        canvas.print_png(file)
