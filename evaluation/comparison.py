"""Trained styles judged on photographs that they have not seen, beside optimisation of the same objective."""

import dataclasses
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import torch
from PIL import Image

from config import TrainingConfig
from data.dataset import list_photographs
from evaluation import figures
from evaluation.compare import CompareConfig
from evaluation.curves import Curve, CurveFile, iterations_equalled, quartiles
from evaluation.measures import MESH_PERIODS, border, lpips_metric, mesh, ssim
from evaluation.objective import criterion_of, objective, style_batch, unweighted
from evaluation.optimisation import optimize, prepare_machine, starting_picture
from evaluation.pictures import read_square, read_whole, select_photographs
from evaluation.saving import PICTURES, PLOTS, write_json, write_picture
from evaluation.tones import judge_tones, tones_table
from evaluation.weights import OBJECTIVE
from imaging.tensors import image_to_tensor
from imaging.transparency import flatten
from inference.named_styles import choose_styles
from inference.options import StyleOptions
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint
from models.pretrained import load_vgg19
from training.resume import BEFORE
from utils.device import Compute, resolve_compute
from utils.errors import UserError
from utils.files import atomic_write, check_target
from utils.labels import file_labels
from utils.measuring import describe_machine, table, time_in_turns
from utils.progress import progress_bar
from utils.settings import shown, validate

SCALES_PHOTOGRAPHS = 64
"""Photographs, the first ones, on which relative scales are measured where a model does not say its training's."""

PAPER_ITERATIONS = (100, 300, 500)
"""Of the paper's table 1."""

TIMING_ROUNDS = 3

SURROUNDINGS = 32
"""Pixels on each side that a photograph has more where it is painted with its surroundings."""

_LARGEST_PAINTING = 2048  # longest side, pixels, at which its tones are measured

_RATIOS = {"border_mean": "border, mean", "border_contrast": "border, contrast"}
_CUTS = {"cut_mean": "border beside uncut, mean", "cut_contrast": "border beside uncut, contrast"}
_MESHES = {f"mesh_{period}": f"mesh, {period} px" for period in MESH_PERIODS}
_COLUMNS = {
    "objective": "sum",
    "content_to_grey": "content to grey",
    "ssim": "SSIM",
    **_MESHES,
    **_RATIOS,
    **_CUTS,
    "lpips": "LPIPS",
}
"""What is measured on a picture besides the terms of the objective, with its name in the table."""

_GEOMETRIC = _MESHES | _RATIOS | _CUTS
"""Measures whose mean over the photographs is the geometric one."""


@dataclass
class Style:
    """A style of a model, and its painting.

    Attributes:
        name: of the model, or of its style where it has several.
        path, style_image: its file, and that of its style image.
        checkpoint: the model of this style alone.
        painting: the style image at its own size.
        stylizer: paints with it.
    """

    name: str
    path: str
    style_image: str
    checkpoint: Checkpoint
    painting: Image.Image
    stylizer: Stylizer

    def judge_tones(self, pictures: list[torch.Tensor], photographs: list[torch.Tensor]) -> dict[str, float]:
        """See :func:`evaluation.tones.judge_tones`."""
        painting = self.painting.copy()
        painting.thumbnail((_LARGEST_PAINTING,) * 2, Image.Resampling.LANCZOS)
        return judge_tones(self.stylizer, pictures, photographs, image_to_tensor(flatten(painting))[None])


@dataclass
class Model(Style):
    """A style, and what it was trained for.

    Attributes:
        settings: of the objective, the level included in ``style_weight``.
        level: of the style term at the end of its training, 1 where the file does not say.
        scales: of its training; ``None`` where the file does not say, or flags make it another objective.
        style_pixels: the style image, 1 x 3 x H x W, RGB in [0, 255], at the size that it was trained with.
    """

    settings: TrainingConfig
    level: float
    scales: dict | None
    style_pixels: torch.Tensor


def compare(config: CompareConfig) -> int:
    """Judge, print the tables, and write what is asked for.

    Returns:
        Exit status 0.

    Raises:
        UserError: naming the flag or file at fault.
    """
    _check(config)
    compute = prepare_machine(config.device, config.precision)
    lpips = lpips_metric(compute.device) if config.lpips else None
    paths, names = select_photographs(config.photographs, config.names)
    paths = paths[: config.photograph_count]
    styles = _read_styles(config)
    if config.tones_only:
        return _compare_tones(config, compute, styles, paths, names)
    models = [_read_model(style, config, compute) for style in styles]
    photographs, surrounded = (
        [read_square(path, config.image_size + more, config.max_pixels) for path in paths]
        for more in (0, 2 * SURROUNDINGS)
    )
    curves = CurveFile(config.curves)
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype)
    for model in models:
        trained_with = model.checkpoint.provenance.get("loss_network")
        if isinstance(trained_with, str) and not trained_with.endswith(vgg.fingerprint):
            warnings.warn(f"{model.path} was trained with other VGG-19 weights ({trained_with})", stacklevel=2)
            model.scales = None

    optimised = len(paths[: config.lbfgs_photographs]) if config.iterations else 0
    total = len(models) * (4 * len(paths) + optimised * len(config.starts) * config.iterations)
    with progress_bar(total, "picture or iteration") as bar:
        judges = [_Judge(config, compute, model, vgg, photographs, surrounded, lpips, curves, bar) for model in models]
        judged = [judge.run(optimised) for judge in judges]
    result = {
        "machine": describe_machine(compute),
        "photographs": file_labels(paths),
        "names": None if names is None else str(names),
        "image_size": config.image_size,
        "models": judged,
        "seconds": [] if config.no_timing else [_time(config, compute, model, vgg, paths[0]) for model in models],
    }
    _print(result)
    _write(config, result)
    return 0


def _compare_tones(config: CompareConfig, compute: Compute, styles: list[Style], paths, names) -> int:
    photographs = [read_square(path, config.image_size, config.max_pixels) for path in paths]
    judged = []
    with progress_bar(len(styles) * len(photographs), "picture") as bar:
        for style in styles:
            pictures = []
            for photograph in photographs:
                pictures.append(style.stylizer.stylize_tensor(photograph, output=torch.empty_like(photograph)))
                bar.update()
            tones = style.judge_tones(pictures, photographs)
            judged.append({"name": style.name, "model_path": style.path, "style_image": style.style_image, **tones})
    result = {
        "machine": describe_machine(compute),
        "photographs": file_labels(paths),
        "names": None if names is None else str(names),
        "image_size": config.image_size,
        "tones": judged,
    }
    _print_head(result)
    print(f"\n{tones_table(judged)}")
    if config.json is not None:
        write_json(config.json, result)
        print(f"Wrote {config.json}")
    return 0


def _check(config: CompareConfig) -> None:
    if config.image_size % 4:
        raise UserError(f"--image_size {config.image_size} is not a multiple of 4: give one, for the mesh is measured")
    for name, does in (("curves", "keeps"), ("plot", "draws")):
        if getattr(config, name) is not None and not config.iterations:
            raise UserError(f"--{name} {does} what L-BFGS does, which --iterations 0 leaves out: leave out one of them")
    for name in ("plot", "sheet", "curves", "lpips") if config.tones_only else ():
        if getattr(config, name):
            raise UserError(f"--{name} is not for --tones_only: leave out one of them")
    endings = {"json": (".json",), "plot": PLOTS, "sheet": PICTURES}
    for name, allowed in endings.items():
        if getattr(config, name) is not None:
            check_target(getattr(config, name), config.overwrite, allowed, f"--{name}")
    if config.plot is not None:
        figures.check_matplotlib()


# -- models ---------------------------------------------------------------------------------------------------------


def _read_styles(config: CompareConfig) -> list[Style]:
    chosen = choose_styles(config.model_path, config.style, print)
    paths = config.model_path if config.style is None else config.model_path * len(chosen)
    compute = resolve_compute(config.device, "auto")  # as begin_inference.py would
    styles = []
    for (name, checkpoint), path, style_image in zip(chosen, paths, _style_images(config, chosen), strict=True):
        painting = read_whole(style_image, "--style_image", config.max_pixels)
        stylizer = Stylizer(checkpoint.network, compute=compute)
        styles.append(Style(name, path, style_image, checkpoint, painting, stylizer))
    return styles


def _style_images(config: CompareConfig, chosen: list[tuple[str, Checkpoint]]) -> list[str]:
    """The path of each style's painting: in a folder, the picture with the name that the model says, or the style's."""
    given = config.style_image
    if len(given) == 1 and Path(given[0]).is_dir():
        pictures = {path.stem: str(path) for path in list_photographs(given[0], "--style_image")}
        found = []
        for name, checkpoint in chosen:
            trained_on = checkpoint.provenance.get("style")
            wanted = [Path(trained_on).stem] if isinstance(trained_on, str) else []
            path = next((pictures[stem] for stem in (*wanted, Path(name).name) if stem in pictures), None)
            if path is None:
                raise UserError(f"--style_image {given[0]} holds no painting named {name}: add it, or name the file")
            found.append(path)
        return found
    if len(given) not in (1, len(chosen)):
        raise UserError(
            f"--style_image names {len(given)} pictures for {len(chosen)} models or styles: give one "
            "for each, in their order, one for all, or a folder of paintings with the styles' names"
        )
    return list(given) * (len(chosen) if len(given) == 1 else 1)


def _read_model(style: Style, config: CompareConfig, compute: Compute) -> Model:
    checkpoint, path = style.checkpoint, style.path
    settings, level = settings_of(checkpoint, config, path)
    others = ("content_layer", "style_layers", "style_octaves", "loss_scale", "style_size", "style_smoothing")
    as_trained = all(getattr(config, name) is None for name in others)
    scales = scales_of(checkpoint) if as_trained else None
    trained_on = checkpoint.provenance.get("style")
    is_known = isinstance(trained_on, str) and ":" not in trained_on  # a mixture has no picture of its own
    if is_known and Path(trained_on).stem != Path(style.style_image).stem:
        warnings.warn(f"{path} was trained on {trained_on}, and --style_image is {style.style_image}", stacklevel=2)
        scales = None
    pixels = style_batch(style.painting, settings).to(compute.device)
    return Model(**vars(style), settings=settings, level=level, scales=scales, style_pixels=pixels)


def settings_of(checkpoint: Checkpoint, config: CompareConfig, path: str) -> tuple[TrainingConfig, float]:
    """The objective that a model was trained for, but for what the flags say otherwise.

    Returns:
        ``(settings, level)``: with the style term's level at the end of the training included in ``style_weight``,
        unless that was given by its flag. A final model may not say the level, which is 1 then.

    Raises:
        UserError: if the file does not say what the objective was.
    """
    stored, level = checkpoint.provenance.get("settings"), checkpoint.provenance.get("style_level", 1.0)
    flags = (*OBJECTIVE, "style_size", "style_smoothing")
    given = {name: getattr(config, name) for name in flags if getattr(config, name) is not None}
    if not isinstance(stored, dict):
        needed = set(flags) - {"style_octave_weights", "style_smoothing"}
        missing = [f"--{name}" for name in flags if name in needed - set(given)]
        if missing:
            raise UserError(f"{path} does not say what it was trained for: give {', '.join(missing)}")
        stored = {}
    try:
        stored = {name: value for name, value in (BEFORE | stored).items() if name in (*flags, "image_size")}
        stored = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        settings = TrainingConfig(**{**stored, **given})
        validate(settings)
        if type(level) is not float or not 0 < level <= 1:
            raise UserError(f"the level of the style term is {level!r}")
    except (TypeError, UserError) as error:
        raise UserError(f"{path} holds settings that no training has ({error}): give another file") from None
    if "style_weight" in given:
        return settings, 1.0
    return dataclasses.replace(settings, style_weight=settings.style_weight * level), level


def scales_of(checkpoint: Checkpoint) -> dict | None:
    """The scales of a model's training, unchecked; ``None`` where its file does not say."""
    scales = (checkpoint.resume_state or {}).get("loss_scales", checkpoint.provenance.get("loss_scales"))
    return scales if scales is None or isinstance(scales, dict) else {}


# -- judging --------------------------------------------------------------------------------------------------------


class _Judge:
    """Measures the pictures of one model."""

    def __init__(self, config, compute, model, vgg, photographs, surrounded, lpips, curves, bar):
        self.config, self.compute, self.model, self.vgg = config, compute, model, vgg
        self.photographs, self.surrounded = photographs, surrounded
        self.lpips, self.curves, self.bar = lpips, curves, bar
        scales_on = [self._on_device(photograph) for photograph in photographs[:SCALES_PHOTOGRAPHS]]
        try:
            self.criterion = criterion_of(model.settings, vgg, model.style_pixels, scales_on, model.scales)
        except (TypeError, ValueError):
            raise UserError(f"{model.path} holds scales that no training has: give another file") from None

    def run(self, optimised: int) -> dict:
        """The result of a model, and ``"pictures"``: row by row, each N x 3 x H x W, uint8."""
        pictures = {"photographs": self.photographs, self.model.name: self._stylized(self.photographs)}
        rows = {name: self._measure_all(found) for name, found in pictures.items()}
        own = rows[self.model.name]
        for measures, cut in zip(own, self._cuts()):
            measures.update(cut)
        equalled = {}
        for start in self.config.starts if optimised else ():
            found = [self._curve(photograph, start) for photograph in self.photographs[:optimised]]
            steps = [
                iterations_equalled(curve.objectives, measures["objective"]) for curve, measures in zip(found, own)
            ]
            equalled[start] = {
                "iterations": steps,
                "quartiles": quartiles(steps),
                "run": min(curve.asked for curve in found),
                "curves": [curve.objectives for curve in found],
            }
            name = f"{figures.FROM[start]}, {equalled[start]['run']} iterations"
            pictures[name] = [curve.picture for curve in found]
            rows[name] = self._measure_all(pictures[name])
        settings = self.model.settings
        return {
            "name": self.model.name,
            "model_path": self.model.path,
            "style_image": self.model.style_image,
            "provenance": self.model.checkpoint.provenance,
            "objective": {name: getattr(settings, name) for name in OBJECTIVE},
            "style_level": self.model.level,
            "style_size": settings.style_size or settings.image_size,
            "style_smoothing": settings.style_smoothing,
            "scales_of": "training" if self.model.scales else "photographs",
            "scales": self.criterion.scales(),
            "rows": {name: {"summary": _summary(found), "per_photograph": found} for name, found in rows.items()},
            "iterations_equalled": equalled,
            "tones": self.model.judge_tones(pictures[self.model.name], self.photographs),
            "pictures": pictures,
        }

    def _on_device(self, picture: torch.Tensor) -> torch.Tensor:
        return picture.to(self.compute.device).float()

    def _stylized(self, photographs: list[torch.Tensor]) -> list[torch.Tensor]:
        """As begin_inference.py would write them."""
        pictures = []
        for photograph in photographs:
            pictures.append(self.model.stylizer.stylize_tensor(photograph, output=torch.empty_like(photograph)))
            self.bar.update()
        return pictures

    def _cuts(self) -> list[dict[str, float]]:
        """What the edge itself does: the border of a picture over that of the same pixels, painted with what lies
        around them in the photograph. A style that raises faint contrast raises that of a calm border anywhere."""
        inside = (..., slice(SURROUNDINGS, -SURROUNDINGS), slice(SURROUNDINGS, -SURROUNDINGS))
        uncut = self._stylized(self.surrounded)
        cut = self._stylized([photograph[inside].contiguous() for photograph in self.surrounded])
        ratios = [border(alone)[0] / border(whole[inside])[0] for alone, whole in zip(cut, uncut)]
        return [dict(zip(_CUTS, ratio.tolist())) for ratio in ratios]

    def _measure_all(self, pictures: list[torch.Tensor]) -> list[dict[str, float]]:
        return [self._measure(picture, photograph) for picture, photograph in zip(pictures, self.photographs)]

    def _measure(self, picture: torch.Tensor, photograph: torch.Tensor) -> dict[str, float]:
        is_photograph = picture is photograph
        picture, photograph = self._on_device(picture), self._on_device(photograph)
        losses = objective(self.criterion, picture, photograph)
        edge = border(picture)[0]
        if not is_photograph:
            edge = edge / border(photograph)[0]
        measures = {
            **unweighted(self.criterion, losses),
            "objective": losses.total.item(),
            "content_to_grey": losses.content_to_grey.item(),
            "ssim": ssim(picture, photograph).item(),
            **{f"mesh_{period}": mesh(picture, period).item() for period in MESH_PERIODS},
            **dict(zip(_RATIOS, edge.tolist())),
        }
        if self.lpips is not None:
            measures["lpips"] = self.lpips(picture, photograph)
        return measures

    def _curve(self, photograph: torch.Tensor, start: str) -> Curve:
        settings, iterations = self.model.settings, self.config.iterations
        seed = self.config.seed if start == "noise" else None
        key = self.curves.key(
            [getattr(settings, name) for name in OBJECTIVE], self.criterion.scales(), self.vgg.fingerprint,
            str(self.compute.dtype), self.model.style_pixels.byte(), photograph, start, seed,
        )  # fmt: skip
        found = self.curves.get(key, iterations)
        before = self.bar.n
        if found is None:
            target, objectives = self._on_device(photograph), []
            for current in optimize(self.criterion, target, starting_picture(start, target, seed or 0), iterations):
                objectives.append(current.objective)
                self.bar.update(before + current.number - self.bar.n)
            found = Curve(objectives, iterations, current.picture.round().byte().cpu())
            self.curves.put(key, found)
        self.bar.update(before + iterations - self.bar.n)
        return found


def _summary(measured: list[dict[str, float]]) -> dict[str, dict]:
    summary = {}
    for name in measured[0]:
        values = [measures[name] for measures in measured]
        if name in _GEOMETRIC:
            mean = math.exp(fmean(math.log(max(value, 1e-12)) for value in values))
        else:
            mean = fmean(values)
        summary[name] = {"mean": mean, "quartiles": quartiles(values)}
    return summary


def _time(config: CompareConfig, compute: Compute, model: Model, vgg, path: Path) -> list[dict]:
    """Seconds of the network and of an iteration of L-BFGS, in turns, on squares of several sizes."""
    timed, at_own_size = [], StyleOptions(stroke_scale=1)
    for size in config.timed_sizes:
        photograph = read_square(path, size, config.max_pixels).to(compute.device).float()
        criterion = criterion_of(model.settings, vgg, model.style_pixels, [photograph], model.scales)
        rounds, warmup = TIMING_ROUNDS, 2  # the first two: the start itself, and the longest line search
        iterates = optimize(criterion, photograph, starting_picture("noise", photograph), rounds + warmup)
        calls = {
            "network": lambda photograph=photograph: model.stylizer.stylize_tensor(photograph, at_own_size),
            "iteration": lambda iterates=iterates: next(iterates),
        }
        seconds = time_in_turns(calls, compute.device, rounds, warmup)
        timed.append({"size": size, **{name: median(values) for name, values in seconds.items()}})
    return timed


# -- results --------------------------------------------------------------------------------------------------------


def _print_head(result: dict) -> None:
    names = result["photographs"]
    source = f" of {result['names']}" if result["names"] else ""
    first = f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    print(f"{len(names)} photographs{source}, {result['image_size']} x {result['image_size']} pixels: {first}")
    print(result["machine"]["device"])


def _print(result: dict) -> None:
    _print_head(result)
    for number, model in enumerate(result["models"]):
        objective = dict(model["objective"])
        scale = objective.pop("loss_scale")
        weights = ", ".join(f"{name} {shown(value)}" for name, value in objective.items() if value is not None)
        level = f" (its level of {model['style_level']:.3g} included)" if model["style_level"] != 1 else ""
        if scale == "relative":
            scale += ", of its training" if model["scales_of"] == "training" else ", measured on these photographs"
        print(f"\n## {model['name']}\n")
        smoothed = f", smoothed over {model['style_smoothing']:g}" if model["style_smoothing"] else ""
        painting = f"{model['style_image']} at {model['style_size']} pixels{smoothed}"
        print(f"Scales {scale}; {weights}{level}; {painting}.\n")
        print(_measures_table(model))
        print(f"\n{_equalled_table(model)}" if model["iterations_equalled"] else "\nNo L-BFGS beside it.")
        if result["seconds"]:
            print(f"\n{_seconds_table(result['seconds'][number])}")
    print(f"\n## Tones\n\n{tones_table([{**model, **model['tones']} for model in result['models']])}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _measures_table(model: dict) -> str:
    rows = {name: row["summary"] for name, row in model["rows"].items()}
    found = list(dict.fromkeys(name for summary in rows.values() for name in summary))
    columns = [name for name in found if name not in _COLUMNS] + [name for name in _COLUMNS if name in found]
    lines = [
        [name, *(_number(summary[column]["mean"]) if column in summary else "-" for column in columns)]
        for name, summary in rows.items()
    ]
    titles = [_COLUMNS.get(column, column.replace("_", " ")) for column in columns]
    return table(["mean over the photographs", *titles], lines)


def _equalled_table(model: dict) -> str:
    def text(value, run):
        return f"> {run}" if value is None else str(value)

    rows = []
    for start, equalled in model["iterations_equalled"].items():
        low, middle, high = (text(value, equalled["run"]) for value in equalled["quartiles"])
        better = sum(value is None for value in equalled["iterations"])
        rows.append([figures.FROM[start], middle, f"{low} to {high}", f"{better} of {len(equalled['iterations'])}"])
    return table(["", "iterations equalled, median", "quartiles", "better than all iterations run"], rows)


def _seconds_table(timed: list[dict]) -> str:
    rows = []
    for entry in timed:
        ratios = [f"{count * entry['iteration'] / entry['network']:,.0f}" for count in PAPER_ITERATIONS]
        rows.append([f"{entry['size']}²", f"{entry['network']:.3g}", f"{entry['iteration']:.3g}", *ratios])
    ratios = [f"{count} iterations : network" for count in PAPER_ITERATIONS]
    return table(["picture", "network, s", "one L-BFGS iteration, s", *ratios], rows)


def _write(config: CompareConfig, result: dict) -> None:
    pictures = [model.pop("pictures") for model in result["models"]]
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
