"""How fast trainings come down: their objective against steps and minutes, side by side.

python -m evaluation.descent checkpoints/scream_training checkpoints/scream_from_wave_training --plot descent.png

It reads the metrics.jsonl of each training's folder. On the first pass over the photographs each of them is new to the
network, so the means are those of photographs that it has not seen.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from config import OVERWRITE_HELP, setting
from evaluation.saving import PLOTS
from utils.errors import UserError
from utils.files import atomic_write, check_target
from utils.measuring import table
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class DescentConfig:
    """Settings of ``evaluation.descent``."""

    trainings: tuple[str, ...] = setting(
        (), "folders of trainings, NAME_training; the flag may be left out where they come first", metavar="FOLDER"
    )
    plot: str | None = setting(None, "file for a plot: .png, .svg or .pdf; needs matplotlib", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


@dataclass(frozen=True)
class Descent:
    """What a training tells of itself, line by line of its metrics.jsonl.

    Attributes:
        name: of the training.
        steps: at each line.
        minutes: that the steps up to it took, without what lay between: checkpoints, monitor pictures, breaks.
        objectives: means over the steps since the line before, of the weighted content and style terms and all others.
    """

    name: str
    steps: list[int]
    minutes: list[float]
    objectives: list[float]


def read_descent(folder: str | Path) -> Descent:
    """Read a training's metrics.jsonl.

    Raises:
        UserError: if there is nothing of a training in it, or it cannot be read.
    """
    from training.log import read_metrics  # here, so that --help answers without waiting for torch

    path = Path(folder, "metrics.jsonl")
    steps, minutes, objectives = [0], [0.0], []
    try:
        for line in read_metrics(path):
            minutes.append(minutes[-1] + (line["step"] - steps[-1]) * line["seconds_per_step"] / 60)
            steps.append(line["step"])
            objectives.append(line["total"])
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give the folder of a training") from None
    except (KeyError, TypeError):
        raise UserError(f"{path} is not what a training writes: give the folder of a training") from None
    if not objectives:
        raise UserError(f"{path} holds no line of a training: give the folder of one that has written some")
    return Descent(Path(folder).name.removesuffix("_training"), steps[1:], minutes[1:], objectives)


def descent_table(trainings: list[Descent]) -> str:
    """A row for each step at which any training has a line: minutes and objective of each."""
    lines = [dict(zip(t.steps, zip(t.minutes, t.objectives))) for t in trainings]
    rows = []
    for step in sorted(set().union(*lines)):
        cells = [f"{at[step][0]:.1f} min: {at[step][1]:.2f}" if step in at else "" for at in lines]
        rows.append([str(step), *cells])
    return table(["steps", *(training.name for training in trainings)], rows)


def plot_descents(trainings: list[Descent], file, format: str) -> None:
    """The objectives against minutes.

    Args:
        file: to be written in binary.
        format: ``"png"``, ``"svg"`` or ``"pdf"``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for training in trainings:
        axes.plot(training.minutes, training.objectives, label=training.name)
    axes.set(xlabel="minutes", ylabel="objective", xlim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(file, format=format, dpi=110)


def main() -> int:
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--trainings")
    config, _ = parse_settings(DescentConfig, __doc__, arguments)
    if config.plot:
        check_target(config.plot, config.overwrite, PLOTS, "--plot")
        from evaluation.figures import check_matplotlib

        check_matplotlib()
    trainings = [read_descent(folder) for folder in config.trainings]
    print(descent_table(trainings))
    if config.plot:
        with atomic_write(config.plot) as file:
            plot_descents(trainings, file, PLOTS[Path(config.plot).suffix.lower()])
        print(f"Wrote {config.plot}")
    return 0


if __name__ == "__main__":
    run_command(main)
