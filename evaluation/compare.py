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

import dataclasses
import functools
import json
from dataclasses import dataclass

from config import OBJECTIVE, OVERWRITE_HELP, PRECISIONS, setting, shared_setting, with_objective
from utils.errors import UserError
from utils.settings import run_command


@functools.partial(with_objective, as_trained=True)
@dataclass(frozen=True)
class CompareConfig:
    """Settings of ``evaluation.compare``."""

    model_path: tuple[str, ...] = shared_setting(
        "model_path", help="trained styles, or checkpoints of a training", heading="What is judged, and on what"
    )
    style: tuple[str, ...] | None = shared_setting(
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
    """Judge, print the tables, and write what is asked for.

    Raises:
        UserError: naming the flag or file at fault.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation.optimisation import prepare_machine
    from evaluation.pictures import ENDINGS, read_square, select_photographs, write_picture
    from evaluation.report import print_result, sheet
    from evaluation.trained import read_styles
    from utils.files import atomic_write, check_target
    from utils.labels import file_labels
    from utils.measuring import describe_machine

    if config.teacher and not config.tones_only:
        raise UserError("--teacher goes with --tones_only: add it, or leave out --teacher")
    for name, endings in {"json": (".json",), "sheet": ENDINGS}.items():
        if getattr(config, name) is not None:
            check_target(getattr(config, name), config.overwrite, endings, f"--{name}")
    compute = prepare_machine(config.device, config.precision)
    paths, names = select_photographs(config.photographs, config.names)
    paths = paths[: config.photograph_count]
    styles = read_styles(config)
    photographs = [read_square(path, config.image_size, config.max_pixels) for path in paths]
    judged = _tones(config, styles, photographs) if config.tones_only else _judge(config, compute, styles, photographs)
    pictures = [model.pop("pictures") for model in judged]
    result = {
        "machine": describe_machine(compute),
        "photographs": file_labels(paths),
        "names": None if names is None else str(names),
        "image_size": config.image_size,
        "models": judged,
    }
    print_result(result)
    if config.json is not None:
        with atomic_write(config.json) as file:
            file.write(json.dumps(result, indent=1).encode())
    if config.sheet is not None:
        write_picture(config.sheet, sheet(result["photographs"], pictures), {})
    for path in (config.json, config.sheet):
        if path is not None:
            print(f"Wrote {path}")


def _tones(config: CompareConfig, styles: list, photographs: list) -> list[dict]:
    """What the styles make of the photographs, and its contrast and colours."""
    from evaluation.measures import psnr, tone_figures
    from inference.stylizer import Stylizer
    from models.checkpoints import load_checkpoint
    from utils.progress import progress_bar

    if len(config.teacher) not in (0, len(styles)):
        raise UserError(f"--teacher names {len(config.teacher)} models for {len(styles)} styles: give one for each")
    teachers = [
        dataclasses.replace(style, stylizer=Stylizer(load_checkpoint(path, "--teacher").network, config.device))
        for style, path in zip(styles, config.teacher)
    ]
    models = []
    with progress_bar((len(styles) + len(teachers)) * len(photographs), "picture") as bar:
        for number, style in enumerate(styles):
            pictures = style.paint(photographs, bar)
            tones = tone_figures(style.stylizer, pictures, photographs, style.painting)
            if teachers:
                tones["psnr"] = psnr(pictures, teachers[number].paint(photographs, bar))
            models.append({
                "name": style.name, "model_path": style.path, "style_image": style.style_image, "tones": tones,
                "pictures": {"photographs": photographs, style.name: pictures},
            })  # fmt: skip
    return models


def _judge(config: CompareConfig, compute, styles: list, photographs: list) -> list[dict]:
    """The objective and all other measures."""
    from evaluation.judging import Judge
    from evaluation.trained import objective_of
    from models.pretrained import load_vgg19
    from utils.progress import progress_bar

    given = {name: getattr(config, name) for name in OBJECTIVE if getattr(config, name) is not None}
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype)
    objectives = [objective_of(style, given, vgg.fingerprint) for style in styles]
    optimised = len(photographs[: config.lbfgs_photographs]) if config.iterations else 0
    total = len(styles) * (len(photographs) + optimised * len(config.starts) * config.iterations)
    with progress_bar(total, "picture or iteration") as bar:
        judges = [Judge(style, objective, vgg, photographs, bar) for style, objective in zip(styles, objectives)]
        return [judge.run(config) for judge in judges]


if __name__ == "__main__":
    run_command(compare, CompareConfig, __doc__)
