"""Measure how good a trained style is, as figure 5 and table 1 of Johnson, Alahi and Fei-Fei (2016) do, and more.

    python -m evaluation.compare --model_path wave.pth --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path gallery.pth --style wave --style_image wave.jpg --photographs photos/
    python -m evaluation.compare --model_path a.pth b.pth --style_image a.jpg b.jpg --photographs val2017/ \\
        --iterations 300 --json result.json --plot curves.png --sheet sheet.jpg
    python -m evaluation.compare --tones_only --model_path gallery --style all --style_image paintings/ \\
        --photographs photos/ --photograph_count 12

The command measures the objective that the model was trained for, on photographs that it has not seen. It also
optimises each photograph for the same objective, which takes minutes on a CPU: --lbfgs_photographs 5 does so for five,
--iterations 0 for none. --tones_only measures contrast and colours alone, for all styles of a gallery in a few minutes.
"""

from dataclasses import dataclass
from pathlib import Path

from config import OBJECTIVE, OVERWRITE_HELP, PRECISIONS, setting
from evaluation.weights import inference_setting, training_setting
from utils.errors import UserError
from utils.settings import parse_settings, run_command


def _as_trained(name: str, help: str, heading: str | None = None):
    """A setting of the training; left out, it is the model's own."""
    return training_setting(name, None, f"{help}; left out, as the model was trained", heading)


@dataclass(frozen=True)
class CompareConfig:
    """Settings of ``evaluation.compare``."""

    model_path: tuple[str, ...] = inference_setting(
        "model_path", help="trained styles, or checkpoints of a training", heading="What is judged, and on what"
    )
    style: tuple[str, ...] | None = inference_setting(
        "style",
        help="styles of a model that has several: names, mixtures, or all; left out, the first",
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
        256, "side of the square, in the middle of each photograph, that is judged; a multiple of 4, pixels",
        minimum=36, maximum=4096,
    )  # fmt: skip

    content_layer: str | None = _as_trained("content_layer", "layer of the content term", "The objective")
    content_weight: float | None = _as_trained("content_weight", "weight of the content term")
    style_weight: float | None = _as_trained("style_weight", "weight of the style term, its level included")
    tv_weight: float | None = _as_trained("tv_weight", "weight of total variation")
    checkerboard_weight: float | None = _as_trained("checkerboard_weight", "weight of the term against the mesh")
    palette_weight: float | None = _as_trained("palette_weight", "weight of the term for the painting's colours")
    tone_weight: float | None = _as_trained("tone_weight", "weight of the term for darks and lights")
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

    timed_sizes: tuple[int, ...] = setting(
        (256, 512, 1024),
        "sides of the squares on which network and L-BFGS are timed, pixels",
        minimum=32,
        maximum=4096,
        heading="The machine",
    )
    no_timing: bool = setting(False, "leave the timing out")
    device: str = inference_setting("device")
    precision: str = setting(
        "float32",
        "arithmetic of the loss network; the styles paint in the precision of begin_inference.py",
        choices=PRECISIONS,
    )
    max_pixels: int = inference_setting("max_pixels")

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
    plot: str | None = setting(
        None, "file for a plot of the objective against iterations: .png, .svg or .pdf", metavar="FILE"
    )
    sheet: str | None = setting(None, "file for a sheet of the pictures: .png, .jpg, .webp or .tif", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def compare(config: CompareConfig) -> int:
    """Judge, print the tables, and write what is asked for.

    Returns:
        Exit status 0.

    Raises:
        UserError: naming the flag or file at fault.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation import figures
    from evaluation.optimisation import prepare_machine
    from evaluation.pictures import select_photographs
    from evaluation.saving import PLOTS, write_json, write_picture
    from evaluation.tables import print_result
    from evaluation.trained import read_styles
    from utils.files import atomic_write
    from utils.labels import file_labels
    from utils.measuring import describe_machine

    _check(config)
    compute = prepare_machine(config.device, config.precision)
    paths, names = select_photographs(config.photographs, config.names)
    paths = paths[: config.photograph_count]
    styles = read_styles(config.model_path, config.style, config.style_image, config.device, config.max_pixels)
    measured = _tones(config, styles, paths) if config.tones_only else _judge(config, compute, styles, paths)
    result = {
        "machine": describe_machine(compute),
        "photographs": file_labels(paths),
        "names": None if names is None else str(names),
        "image_size": config.image_size,
        **measured,
    }
    pictures = [model.pop("pictures") for model in result["models"]]
    print_result(result)
    if config.json is not None:
        write_json(config.json, result)
    if config.plot is not None:
        with atomic_write(config.plot) as file:
            figures.plot(result["models"], file, PLOTS[Path(config.plot).suffix.lower()])
    if config.sheet is not None:
        write_picture(config.sheet, figures.sheet(result["photographs"], pictures))
    for path in (config.json, config.plot, config.sheet):
        if path is not None:
            print(f"Wrote {path}")
    return 0


def _check(config: CompareConfig) -> None:
    from evaluation.figures import check_matplotlib
    from evaluation.saving import PICTURES, PLOTS
    from utils.files import check_target

    if config.image_size % 4:
        raise UserError(f"--image_size {config.image_size} is not a multiple of 4: give one, for the mesh is measured")
    if config.plot is not None and not config.iterations:
        raise UserError("--plot draws what L-BFGS does, which --iterations 0 leaves out: leave out one of them")
    if config.plot is not None and config.tones_only:
        raise UserError("--plot is not for --tones_only: leave out one of them")
    if config.teacher and not config.tones_only:
        raise UserError("--teacher goes with --tones_only: add it, or leave out --teacher")
    for name, allowed in {"json": (".json",), "plot": PLOTS, "sheet": PICTURES}.items():
        if getattr(config, name) is not None:
            check_target(getattr(config, name), config.overwrite, allowed, f"--{name}")
    if config.plot is not None:
        check_matplotlib()


def _tones(config: CompareConfig, styles: list, paths: list[Path]) -> dict:
    """What the styles make of the photographs, and its contrast and colours."""
    import dataclasses

    from evaluation.measures import psnr
    from evaluation.pictures import read_square
    from inference.stylizer import Stylizer
    from models.checkpoints import load_checkpoint
    from utils.progress import progress_bar

    if len(config.teacher) not in (0, len(styles)):
        raise UserError(f"--teacher names {len(config.teacher)} models for {len(styles)} styles: give one for each")
    teachers = [
        dataclasses.replace(style, stylizer=Stylizer(load_checkpoint(path, "--teacher").network, config.device))
        for style, path in zip(styles, config.teacher)
    ]
    photographs = [read_square(path, config.image_size, config.max_pixels) for path in paths]
    models = []
    with progress_bar((len(styles) + len(teachers)) * len(photographs), "picture") as bar:
        for number, style in enumerate(styles):
            pictures = style.paint(photographs, bar)
            model = {
                "name": style.name, "model_path": style.path, "style_image": style.style_image,
                "tones": style.judge_tones(pictures, photographs),
                "pictures": {"photographs": photographs, style.name: pictures},
            }  # fmt: skip
            if teachers:
                model["tones"]["psnr"] = psnr(pictures, teachers[number].paint(photographs, bar))
            models.append(model)
    return {"models": models, "seconds": []}


def _judge(config: CompareConfig, compute, styles: list, paths: list[Path]) -> dict:
    """The objective and all other measures, and the times."""
    import warnings

    from evaluation.judging import Judge, time_beside_optimisation
    from evaluation.pictures import read_square
    from evaluation.trained import as_trained
    from models.pretrained import load_vgg19
    from utils.progress import progress_bar

    given = {name: getattr(config, name) for name in OBJECTIVE if getattr(config, name, None) is not None}
    models = [as_trained(style, given, compute.device) for style in styles]
    photographs = [read_square(path, config.image_size, config.max_pixels) for path in paths]
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype)
    for model in models:
        trained_with = model.checkpoint.provenance.get("loss_network")
        if isinstance(trained_with, str) and not trained_with.endswith(vgg.fingerprint):
            warnings.warn(f"{model.path} was trained with other VGG-19 weights ({trained_with})", stacklevel=2)
            model.scales = None
    optimised = len(paths[: config.lbfgs_photographs]) if config.iterations else 0
    total = len(models) * (len(paths) + optimised * len(config.starts) * config.iterations)
    with progress_bar(total, "picture or iteration") as bar:
        judges = [Judge(model, vgg, photographs, compute, bar) for model in models]
        judged = [judge.run(optimised, config.iterations, config.starts, config.seed) for judge in judges]
    timed = () if config.no_timing else models
    seconds = [
        time_beside_optimisation(model, vgg, compute, paths[0], config.timed_sizes, config.max_pixels)
        for model in timed
    ]
    return {"models": judged, "seconds": seconds}


def main() -> int:
    config, _ = parse_settings(CompareConfig, __doc__)
    return compare(config)


if __name__ == "__main__":
    run_command(main)
