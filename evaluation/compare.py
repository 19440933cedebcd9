"""How good a trained style is: the figure 5 and table 1 of Johnson, Alahi and Fei-Fei (2016), and more, for any model.

    python -m evaluation.compare --model_path wave.pth --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path gallery.pth --style wave --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path a.pth b.pth --style_image a.jpg b.jpg --photographs val2017/ \\
        --iterations 300 --curves curves.pt --json result.json --plot curves.png --sheet sheet.jpg
    python -m evaluation.compare --tones_only --model_path gallery --style all --style_image paintings/ \\
        --photographs photos/ --photograph_count 12

Judges the objective that the model was trained for on photographs that it has not seen, and optimises each of them for
the same objective: minutes a photograph on a CPU. --iterations 0 leaves that out, --lbfgs_photographs 5 does a few.
"""

from dataclasses import dataclass

from config import OVERWRITE_HELP, PRECISIONS, setting
from evaluation.weights import inference_setting, training_setting
from utils.settings import parse_settings, run_command


def _as_trained(name: str, help: str):
    """The setting of the training of this name, which the model itself says where it is left out."""
    return training_setting(name, None, f"{help}; left out, as the model was trained")


@dataclass(frozen=True)
class CompareConfig:
    """Settings of ``evaluation.compare``."""

    # What is judged, and on what
    model_path: tuple[str, ...] = inference_setting(
        "model_path", help="trained styles, or checkpoints of a training, whose level is taken as well"
    )
    style: tuple[str, ...] | None = inference_setting(
        "style",
        help="style of a model that has several, as --style of begin_inference.py: a name or a mixture; several of "
        "these, or all, are judged one after the other; left out, the first",
    )
    style_image: tuple[str, ...] = setting(
        (),
        "the style image of each model or style, in their order, one for all, or a folder of paintings with the "
        "styles' names; a model holds no more than its name",
        metavar="PICTURE|FOLDER",
    )
    photographs: tuple[str, ...] = setting(
        ("photos",), "photographs to judge by: files, folders with their subfolders", metavar="PICTURE|FOLDER"
    )
    names: str | None = setting(
        None,
        "file with the names of the photographs to take, without endings, one a line; left out, "
        "evaluation/held_out.txt if it names any of them, and all of them otherwise",
        metavar="FILE",
    )
    photograph_count: int | None = setting(None, "photographs to take, the first ones; left out, all", minimum=1)
    image_size: int = setting(
        256, "side of the square, in the middle of each photograph, that is judged; a multiple of 4, pixels",
        minimum=36, maximum=4096,
    )  # fmt: skip

    # The objective
    content_layer: str | None = _as_trained("content_layer", "layer of the content term")
    content_weight: float | None = _as_trained("content_weight", "weight of the content term")
    style_weight: float | None = _as_trained("style_weight", "weight of the style term, its level included")
    tv_weight: float | None = _as_trained("tv_weight", "weight of total variation")
    checkerboard_weight: float | None = _as_trained("checkerboard_weight", "weight of the term against the mesh")
    style_layers: tuple[str, ...] | None = _as_trained("style_layers", "layers of the style term")
    style_layer_weights: tuple[float, ...] | None = _as_trained(
        "style_layer_weights", "weights of the style layers among themselves"
    )
    style_octaves: int | None = _as_trained("style_octaves", "sizes at which the style term compares")
    style_octave_weights: tuple[float, ...] | None = _as_trained(
        "style_octave_weights", "weights of these sizes among themselves"
    )
    loss_scale: str | None = _as_trained("loss_scale", "scales of the terms")
    style_size: int | None = _as_trained("style_size", "short side that the style images are resized to, pixels")
    style_smoothing: float | None = _as_trained(
        "style_smoothing", "pixels that the style images are smoothed over along their strokes"
    )
    vgg_weights: str | None = training_setting("vgg_weights")

    # Optimisation beside it
    iterations: int = setting(100, "iterations of L-BFGS on each photograph; 0 for none", minimum=0)
    starts: tuple[str, ...] = setting(
        ("photograph", "noise"), "what L-BFGS begins with", choices=("photograph", "noise")
    )
    lbfgs_photographs: int | None = setting(
        None, "photographs to optimise, the first ones; left out, all that are judged", minimum=1
    )
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)
    curves: str | None = setting(
        None,
        "file that keeps what L-BFGS did, for the next model of the same style image and weights, and for going on "
        "after an interruption; made if need be",
        metavar="FILE",
    )

    # The machine
    timed_sizes: tuple[int, ...] = setting(
        (256, 512, 1024), "sides of the squares on which network and L-BFGS are timed, pixels", minimum=32, maximum=4096
    )
    no_timing: bool = setting(False, "leave the timing out")
    device: str = inference_setting("device")
    precision: str = setting(
        "float32",
        "arithmetic of the loss network; styles are painted in that of begin_inference.py",
        choices=PRECISIONS,
    )
    max_pixels: int = inference_setting("max_pixels")

    # What is measured
    tones_only: bool = setting(
        False,
        "measure contrast, palette and plain grounds alone, which needs no loss network: seconds a style",
    )

    # What is written beside the tables
    lpips: bool = setting(
        False, "measure LPIPS as well, by the package of that name, which downloads its AlexNet (233 MB) once"
    )
    json: str | None = setting(None, "file for all figures, photograph by photograph: .json", metavar="FILE")
    plot: str | None = setting(
        None, "file for a plot of the objective against iterations: .png, .svg or .pdf", metavar="FILE"
    )
    sheet: str | None = setting(None, "file for a sheet of the pictures: .png, .jpg, .webp or .tif", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def main() -> int:
    config, _ = parse_settings(CompareConfig, __doc__)
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation.comparison import compare

    return compare(config)


if __name__ == "__main__":
    run_command(main)
