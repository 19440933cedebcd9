"""How a training reports its losses."""

import json
import math
import sys
import time
from pathlib import Path

import torch

from losses.perceptual import Losses
from training.health import Unsound
from utils.errors import UserError, one_line
from utils.files import atomic_write
from utils.processes import mean_over_processes
from utils.progress import progress_bar


class TrainingLog:
    """Progress bar and ``metrics.jsonl``.

    Losses stay on the device until :meth:`flush`, for fetching them makes the host wait for the GPU.

    Args:
        path: of ``metrics.jsonl``; lines after ``start_step`` are dropped. ``None`` writes and shows nothing.
        batch_size: for the speed in photographs a second.
        styles: names; with several, each has its own means.
    """

    def __init__(
        self,
        path: Path | None,
        start_step: int,
        total_steps: int,
        batch_size: int,
        styles: tuple[str, ...] = ("",),
    ):
        self.path, self.batch_size, self.styles = path, batch_size, styles
        self._names: list[tuple[str, ...]] = []  # of what is measured at each step
        self._pending: list[tuple[int, torch.Tensor]] = []
        self._window: list[dict[tuple[str, ...], float]] = []
        self._since = time.perf_counter()
        if path is not None:
            kept = _lines_up_to(path, start_step)
            with atomic_write(path) as file:
                file.writelines(kept)
        self._bar = progress_bar(total_steps, unit="step", initial=start_step, disable=path is None)

    def add(self, step: int, losses: Losses) -> None:
        """Take note of a step's losses, without waiting for them."""
        measured = {("raw", term): value.mean() for term, value in losses.raw.items()}
        measured |= {("weighted", term): value.mean() for term, value in losses.weighted.items()}
        if losses.content_to_grey is not None:
            measured["content_to_grey",] = losses.content_to_grey
        if len(self.styles) > 1:
            measured |= self._by_style(losses)
        self._names = list(measured)
        values = mean_over_processes(torch.stack([value.float() for value in measured.values()]))
        self._pending.append((step, values))
        self._bar.update(1)

    def _by_style(self, losses: Losses) -> dict[tuple[str, ...], torch.Tensor]:
        """Each style's share of the batch, and what its photographs contribute to the mean of each term."""
        chosen = torch.nn.functional.one_hot(losses.style, len(self.styles)).T.float() / len(losses.style)  # S x N
        means = {"share": chosen.sum(1)}
        means |= {term: chosen @ value.float() for term, value in losses.weighted.items() if value.dim()}
        return {("style", style, name): v[i] for name, v in means.items() for i, style in enumerate(self.styles)}

    def flush(self) -> None:
        """Fetch the losses noted so far, and show the latest. Raises Unsound at the first that is not finite."""
        if not self._pending:
            return
        steps, values = zip(*self._pending)
        self._pending = []
        # The one synchronisation with the device.
        rows = [dict(zip(self._names, row, strict=True)) for row in torch.stack(values).tolist()]
        for step, row in zip(steps, rows):
            for name, value in row.items():
                if not math.isfinite(value):
                    raise Unsound(f"the {name[-1]} loss is {value} at step {step}")
        if self.path is not None:
            self._window += rows
        shown = {name[1]: f"{v:.3g}" for name, v in rows[-1].items() if name[0] == "weighted" and v}  # has a weight
        self._bar.set_postfix(shown, refresh=False)

    def write_line(self, step: int, lr: float, style_levels: list[float]) -> None:
        """Write the means since the last line to ``metrics.jsonl``."""
        self.flush()
        now, n = time.perf_counter(), len(self._window)
        means = {name: sum(row[name] for row in self._window) / n for name in self._names}
        raw = {name[1]: mean for name, mean in means.items() if name[0] == "raw"}
        weighted = {name[1]: mean for name, mean in means.items() if name[0] == "weighted"}
        seconds = (now - self._since) / n
        line = {
            "step": step,
            "raw": raw,
            "weighted": weighted,
            "total": sum(weighted.values()),
            "content_to_grey": means.get(("content_to_grey",)),
            "style_level": sum(style_levels) / len(style_levels),
            "lr": lr,
            "seconds_per_step": round(seconds, 5),
            "photographs_per_second": round(self.batch_size / seconds, 2),
        }
        if len(self.styles) > 1:
            line["styles"] = {}
            for style, level in zip(self.styles, style_levels):
                own = {name[2]: mean for name, mean in means.items() if name[:2] == ("style", style)}
                if share := own.pop("share"):  # a style may have had no photograph in so few steps
                    line["styles"][style] = {term: mean / share for term, mean in own.items()} | {"level": level}
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UserError(f"{self.path} cannot be written ({error.strerror}): free some space, then resume") from None
        self._window, self._since = [], now

    def message(self, text: str) -> None:
        if self.path is not None:
            self._bar.write(one_line(text, sys.stdout), file=sys.stdout)

    def close(self) -> None:
        self._bar.close()


def _lines_up_to(path: Path, step: float) -> list[bytes]:
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
    """The whole lines of a ``metrics.jsonl``; none where there is no such file."""
    return [json.loads(line) for line in _lines_up_to(path, math.inf)]


def plot_losses(metrics: Path, path: Path) -> None:
    """Plot the weighted losses to a PNG, where matplotlib is installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    lines = read_metrics(metrics)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    for term in dict.fromkeys(term for line in lines for term in line["weighted"]):
        values = [line["weighted"].get(term, 0) for line in lines]  # a term that an earlier version did not know
        if any(values):
            axes.plot([line["step"] for line in lines], values, label=term)
    axes.set(xlabel="step", ylabel="weighted loss", yscale="log")
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        canvas.print_png(file)
