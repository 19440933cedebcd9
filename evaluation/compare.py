"""Measure how good a trained style is, as figure 5 of Johnson, Alahi and Fei-Fei (2016) does, and more.

    python -m evaluation.compare --model_path wave.pth --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path gallery.pth --style wave --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path a.pth b.pth --style_image a.jpg b.jpg --photographs val2017/ \\
        --iterations 300 --json result.json --sheet sheet.jpg
    python -m evaluation.compare --tones_only --model_path gallery --style all --style_image paintings/ \\
        --photographs photos/ --photograph_count 12

The command measures the objective that the model was trained for, on photographs that it has not seen. It also
optimises each photograph for the same objective, which takes minutes on a CPU: --lbfgs_photographs 5 does so for five,
--iterations 0 for none. --tones_only measures contrast and colours alone, for all styles of a gallery in a few minutes.
"""

import functools
from dataclasses import dataclass

from config import OVERWRITE_HELP, PRECISIONS, setting, shared_setting, with_objective
from utils.settings import run_command


@functools.partial(with_objective, as_trained=True)
@dataclass(frozen=True)
class CompareConfig:
    """Settings of ``evaluation.compare``."""

    model_path: tuple[str, ...] = shared_setting(
        "model_path", help="trained styles, or checkpoints of a training", heading="What is judged, and on what"
    )
    style: tuple[str, ...] | None = shared_setting(
        "style", help="styles of a model that has several: names, mixtures, or all; left out, the first"
    )
    style_image: tuple[str, ...] = setting(
        (),
        "the style image of each model or style, in their order; or one for all; or a folder of paintings with the "
        "styles' names",
        metavar="PICTURE|FOLDER",
    )
    photographs: tuple[str, ...] = setting(
        ("photos",), "photographs to judge by: files, folders with their subfolders", metavar="PICTURE|FOLDER"
    )
    names: str | None = setting(
        None,
        "file with the names of the photographs to take, in their order, without endings, one a line; left out, "
        "evaluation/held_out.txt if it names any of them, and all of them otherwise",
        metavar="FILE",
    )
    photograph_count: int | None = setting(None, "photographs to take, the first ones; left out, all", minimum=1)
    image_size: int = setting(
        256, "side of the square, in the middle of each photograph, that is judged, pixels",
        minimum=36, maximum=4096,
    )  # fmt: skip

    iterations: int = setting(
        100, "iterations of L-BFGS on each photograph; 0 for none", minimum=0, heading="Optimisation beside it"
    )
    starts: tuple[str, ...] = setting(
        ("photograph", "noise"), "what L-BFGS begins with", choices=("photograph", "noise")
    )
    lbfgs_photographs: int | None = setting(
        None, "photographs to optimise, the first ones; left out, all that are judged", minimum=1
    )
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)

    vgg_weights: str | None = shared_setting("vgg_weights", heading="The machine")
    device: str = shared_setting("device")
    precision: str = setting(
        "float32",
        "arithmetic of the loss network; the styles paint in the precision of begin_inference.py",
        choices=PRECISIONS,
    )
    max_pixels: int = shared_setting("max_pixels")

    tones_only: bool = setting(
        False,
        "measure contrast, palette and plain grounds alone, which needs no loss network: seconds a style",
        heading="What is measured",
    )
    teacher: tuple[str, ...] = setting(
        (),
        "with --tones_only: the teacher of each model, in their order; PSNR between their pictures is printed",
        metavar="MODEL",
    )

    json: str | None = setting(
        None, "file for all figures, photograph by photograph: .json", metavar="FILE", heading="What is written"
    )
    sheet: str | None = setting(None, "file for a sheet of the pictures: .png, .jpg, .webp or .tif", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def compare(config: CompareConfig) -> None:
    """Judge, print the tables, and write what is asked for. Raises UserError."""
    from evaluation.judging import judge  # here, so that --help and a mistyped flag answer without waiting for torch

    judge(config)


if __name__ == "__main__":
    run_command(compare, CompareConfig, __doc__)
