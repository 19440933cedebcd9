"""The work of evaluation.compare: styles paint photographs, and the pictures are measured one by one."""

import json
import math
from collections.abc import Sequence
from statistics import fmean

import torch
from tqdm import tqdm

from config import OBJECTIVE
from evaluation.measures import psnr, tone_figures
from evaluation.optimisation import criterion_of, optimize, starting_picture, unweighted
from evaluation.pictures import ENDINGS, read_square, select_photographs, write_picture
from evaluation.report import FROM, print_result, sheet
from evaluation.trained import Objective, Style, objective_of, read_styles
from inference.stylizer import Stylizer
from losses.perceptual import PerceptualLoss
from models import pretrained
from models.checkpoints import load_checkpoint
from models.vgg19 import VGG19
from utils.device import resolve_compute
from utils.errors import UserError
from utils.files import atomic_write, check_target
from utils.labels import file_labels
from utils.measuring import describe_machine
from utils.progress import progress_bar


def judge(config) -> None:
    """Judge, print the tables, and write what the settings of ``evaluation.compare`` ask for. Raises UserError."""
    if config.teacher and not config.tones_only:
        raise UserError("--teacher goes with --tones_only: add it, or leave out --teacher")
    for name, endings in {"json": (".json",), "sheet": ENDINGS}.items():
        if getattr(config, name) is not None:
            check_target(getattr(config, name), config.overwrite, endings, f"--{name}")
    compute = resolve_compute(config.device, config.precision)
    paths, names = select_photographs(config.photographs, config.names)
    paths = paths[: config.photograph_count]
    styles = read_styles(config)
    if len(config.teacher) not in (0, len(styles)):
        raise UserError(f"--teacher names {len(config.teacher)} models for {len(styles)} styles: give one for each")
    teachers = [Stylizer(load_checkpoint(path, "--teacher").network, config.device) for path in config.teacher]
    photographs = [read_square(path, config.image_size, config.max_pixels) for path in paths]
    objectives, iterations = [], 0
    if not config.tones_only:
        vgg = pretrained.load_vgg19(config.vgg_weights, compute.device, compute.dtype)
        given = {name: getattr(config, name) for name in OBJECTIVE if getattr(config, name) is not None}
        objectives = [objective_of(style, given, vgg.fingerprint) for style in styles]
        criteria = [_criterion(style, of, vgg, photographs) for style, of in zip(styles, objectives)]
        iterations = len(photographs[: config.lbfgs_photographs]) * len(config.starts) * config.iterations
    models, sheets = [], []
    total = (len(styles) + len(teachers)) * len(photographs) + len(styles) * iterations
    with progress_bar(total, "picture" if config.tones_only else "picture or iteration") as bar:
        for number, style in enumerate(styles):
            own = _painted(style.stylizer, photographs, bar)
            pictures = {"photographs": photographs, style.name: own}
            model = {"name": style.name, "model_path": style.path, "style_image": style.style_image}
            if not config.tones_only:
                model |= _figures(style, objectives[number], criteria[number], pictures, config, bar)
            model["tones"] = tone_figures(style.stylizer, own, photographs, style.painting)
            if teachers:
                model["tones"]["psnr"] = psnr(own, _painted(teachers[number], photographs, bar))
            models.append(model)
            sheets.append(pictures)
    result = {
        "machine": describe_machine(compute),
        "photographs": file_labels(paths),
        "names": None if names is None else str(names),
        "image_size": config.image_size,
        "models": models,
    }
    print_result(result)
    if config.json is not None:
        with atomic_write(config.json) as file:
            file.write(json.dumps(result, indent=1).encode())
        print(f"Wrote {config.json}")
    if config.sheet is not None:
        write_picture(config.sheet, sheet(result["photographs"], sheets), {})
        print(f"Wrote {config.sheet}")


def _criterion(style: Style, objective: Objective, vgg: VGG19, photographs: list[torch.Tensor]) -> PerceptualLoss:
    """The objective as a function; scales that the model does not say are measured on the first 64 photographs."""
    device = next(vgg.parameters()).device
    scales_on = [photograph.to(device).float() for photograph in photographs[:64]]
    try:
        return criterion_of(objective.settings, vgg, style.painting, scales_on, objective.scales)
    except (TypeError, ValueError):
        raise UserError(f"{style.path} holds scales that no training has: give another file") from None


def _painted(stylizer: Stylizer, photographs: list[torch.Tensor], bar: tqdm) -> list[torch.Tensor]:
    """Photographs, 1 x 3 x H x W each, uint8, as begin_inference.py would write them."""
    pictures = []
    for photograph in photographs:
        pictures.append(stylizer.stylize_tensor(photograph, output=torch.empty_like(photograph)))
        bar.update()
    return pictures


def _figures(style: Style, objective: Objective, criterion: PerceptualLoss, pictures: dict, config, bar: tqdm) -> dict:
    """What the objective says of pictures, by their rows; those that optimisation makes join them as further rows."""
    photographs, settings, equalled = pictures["photographs"], objective.settings, {}
    rows = {row: _measured(criterion, found, photographs) for row, found in pictures.items()}
    levels = [measures["objective"] for measures in rows[style.name]]
    for start in config.starts if config.iterations else ():
        row = f"{FROM[start]}, {config.iterations} iterations"
        chosen = photographs[: config.lbfgs_photographs]
        curves, pictures[row] = map(list, zip(*(_optimised(criterion, one, start, config, bar) for one in chosen)))
        rows[row] = _measured(criterion, pictures[row], photographs)
        # The first iteration that is as low: 0 where the start is already, None where the last one is not yet.
        steps = [
            next((number for number, value in enumerate(curve) if value <= level), None)
            for curve, level in zip(curves, levels)
        ]
        equalled[start] = {
            "iterations": steps, "quartiles": quartiles(steps), "run": config.iterations, "curves": curves
        }  # fmt: skip
    return {
        "provenance": style.checkpoint.provenance,
        "objective": {name: getattr(settings, name) for name in OBJECTIVE},
        "style_level": objective.level,
        "painting_size": settings.style_size or settings.image_size,
        "scales_of": "training" if objective.scales else "photographs",
        "scales": criterion.scales(),
        "rows": {row: {"summary": _summary(found), "per_photograph": found} for row, found in rows.items()},
        "iterations_equalled": equalled,
    }


@torch.no_grad()
def _measured(
    criterion: PerceptualLoss, pictures: list[torch.Tensor], photographs: list[torch.Tensor]
) -> list[dict[str, float]]:
    found, device = [], criterion.grey.device
    for picture, photograph in zip(pictures, photographs):
        losses = criterion(picture.to(device).float(), photograph.to(device).float())
        sums = {"objective": losses.total.item(), "content_to_grey": losses.content_to_grey.item()}
        found.append(unweighted(criterion, losses) | sums)
    return found


def _optimised(
    criterion: PerceptualLoss, photograph: torch.Tensor, start: str, config, bar: tqdm
) -> tuple[list[float], torch.Tensor]:
    """The objective at the start and after each iteration, and the last picture, 1 x 3 x H x W, uint8."""
    target, objectives, before = photograph.to(criterion.grey.device).float(), [], bar.n
    for current in optimize(criterion, target, starting_picture(start, target, config.seed), config.iterations):
        bar.update(len(objectives) > 0)
        objectives.append(current.objective)
    bar.update(before + config.iterations - bar.n)  # it may have come to rest earlier
    return objectives, current.picture.round().byte().cpu()


def quartiles(values: Sequence[float | None]) -> list[float | None]:
    """Lower quartile, median and upper quartile by nearest rank; ``None`` counts as more than any number."""
    ordered = sorted(values, key=lambda value: math.inf if value is None else value)
    return [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.5, 0.75)]


def _summary(measured: list[dict[str, float]]) -> dict[str, dict]:
    columns = {name: [measures[name] for measures in measured] for name in measured[0]}
    return {name: {"mean": fmean(values), "quartiles": quartiles(values)} for name, values in columns.items()}
