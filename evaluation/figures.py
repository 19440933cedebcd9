"""A plot of optimisation beside a network's level, and a sheet of pictures."""

from typing import BinaryIO

import numpy as np
import torch
from PIL import Image

from evaluation.optimisation import quartiles
from imaging.sheets import contact_sheet
from imaging.tensors import tensor_to_image
from utils.errors import UserError

SHEET_PHOTOGRAPHS = 12

FROM = {"photograph": "L-BFGS from the photograph", "noise": "L-BFGS from noise"}
"""What optimisation is called, by its start."""


def check_matplotlib() -> None:
    """Raise a ``UserError`` where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise UserError("--plot needs matplotlib: pip install -r requirements-extra.txt, or leave --plot out") from None


def plot(models: list[dict], file: BinaryIO, format: str) -> None:
    """Figure 5 of the paper: the objective against iterations of L-BFGS, with the network's as a line; a panel a model.

    Medians over the photographs, with the quartiles as a band.

    Args:
        models: as in the JSON that ``evaluation.compare`` writes.
        format: ``"png"``, ``"svg"`` or ``"pdf"``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    figure = Figure(figsize=(5.5 * len(models), 4.2), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(models), squeeze=False)[0], models):
        for start, equalled in model["iterations_equalled"].items():
            iterations = range(equalled["run"] + 1)
            # A curve that ended early stays where it came to rest.
            curves = [[c[min(number, len(c) - 1)] for number in iterations] for c in equalled["curves"]]
            low, middle, high = np.array([quartiles(values) for values in zip(*curves)]).T
            (line,) = axes.plot(iterations, middle, label=FROM[start])
            axes.fill_between(iterations, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        name = model["name"]
        low, middle, high = model["rows"][name]["summary"]["objective"]["quartiles"]
        axes.axhline(middle, color="black", label=f"{name}, one pass of the network")
        axes.axhspan(low, high, color="black", alpha=0.1, linewidth=0)
        axes.set(xlabel="iterations of L-BFGS", ylabel="objective", yscale="log", title=name)
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(file, format=format, dpi=110)


def sheet(names: list[str], models: list[dict[str, list[torch.Tensor]]]) -> Image.Image:
    """Photograph, then what each model and optimisation made of it, a row a photograph, for the first twelve.

    Args:
        names: of the photographs.
        models: for each, row names and N pictures, 1 x 3 x H x W, uint8; the first row are the photographs. Where some
            rows have fewer pictures, the sheet has as many rows.
    """
    count = min(SHEET_PHOTOGRAPHS, *(len(pictures) for rows in models for pictures in rows.values()))
    (first, photographs), *_ = models[0].items()
    columns = [(name, pictures) for rows in models for name, pictures in rows.items() if name != first]
    cells = []
    for number, name in enumerate(names[:count]):
        cells.append((name, photographs[number]))
        cells += [(title, pictures[number]) for title, pictures in columns]
    return contact_sheet([(name, tensor_to_image(cell[0])) for name, cell in cells], columns=len(columns) + 1)
