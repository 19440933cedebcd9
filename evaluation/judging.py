"""Measure the pictures of a trained style one by one, and those that optimisation of the same objective makes."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from tqdm import tqdm

from config import OBJECTIVE
from evaluation.figures import FROM
from evaluation.measures import MESH_PERIODS, border, mesh, ssim
from evaluation.objective import criterion_of, objective, unweighted
from evaluation.optimisation import iterations_equalled, optimize, quartiles, starting_picture
from evaluation.pictures import read_square
from evaluation.trained import Model
from inference.options import StyleOptions
from models.vgg19 import VGG19
from utils.device import Compute
from utils.errors import UserError
from utils.measuring import time_in_turns

SCALES_PHOTOGRAPHS = 64
"""Photographs, the first ones, on which relative scales are measured where a model does not say its training's."""

_TIMING_ROUNDS = 3

_BORDER = ("border_mean", "border_contrast")
_MESH = tuple(f"mesh_{period}" for period in MESH_PERIODS)


class Judge:
    """Measures what one model makes of the photographs.

    Args:
        model: the trained style.
        vgg: the loss network.
        photographs: 1 x 3 x H x W each, uint8, RGB.
        compute: device and precision of the loss network.
        bar: advances by one for each picture, and for each iteration of L-BFGS.

    Raises:
        UserError: if the model's file holds scales that no training has.
    """

    def __init__(
        self,
        model: Model,
        vgg: VGG19,
        photographs: list[torch.Tensor],
        compute: Compute,
        bar: tqdm,
    ):
        self.model, self.compute, self.bar = model, compute, bar
        self.photographs = photographs
        scales_on = [self._on_device(photograph) for photograph in photographs[:SCALES_PHOTOGRAPHS]]
        try:
            self.criterion = criterion_of(model.settings, vgg, model.style_pixels, scales_on, model.scales)
        except (TypeError, ValueError):
            raise UserError(f"{model.path} holds scales that no training has: give another file") from None

    def run(self, optimised: int, iterations: int, starts: Sequence[str], seed: int) -> dict:
        """Paint the photographs, and measure the results.

        Args:
            optimised: how many photographs are optimised beside it, the first ones.
            iterations, starts, seed: of L-BFGS.

        Returns:
            The figures of a model, and ``"pictures"``: row by row, each N x 3 x H x W, uint8.
        """
        pictures = {"photographs": self.photographs, self.model.name: self.model.paint(self.photographs, self.bar)}
        rows = {name: self._measure_all(found) for name, found in pictures.items()}
        own = rows[self.model.name]
        equalled = {}
        for start in starts if optimised else ():
            found = [
                self._optimised(photograph, start, iterations, seed) for photograph in self.photographs[:optimised]
            ]
            curves, name = [curve for curve, _ in found], f"{FROM[start]}, {iterations} iterations"
            steps = [iterations_equalled(curve, measures["objective"]) for curve, measures in zip(curves, own)]
            equalled[start] = {
                "iterations": steps, "quartiles": quartiles(steps), "run": iterations, "curves": curves
            }  # fmt: skip
            pictures[name] = [picture for _, picture in found]
            rows[name] = self._measure_all(pictures[name])
        settings = self.model.settings
        return {
            "name": self.model.name,
            "model_path": self.model.path,
            "style_image": self.model.style_image,
            "provenance": self.model.checkpoint.provenance,
            "objective": {name: getattr(settings, name) for name in OBJECTIVE},
            "style_level": self.model.level,
            "painting_size": settings.style_size or settings.image_size,
            "scales_of": "training" if self.model.scales else "photographs",
            "scales": self.criterion.scales(),
            "rows": {name: {"summary": _summary(found), "per_photograph": found} for name, found in rows.items()},
            "iterations_equalled": equalled,
            "tones": self.model.judge_tones(pictures[self.model.name], self.photographs),
            "pictures": pictures,
        }

    def _on_device(self, picture: torch.Tensor) -> torch.Tensor:
        return picture.to(self.compute.device).float()

    def _measure_all(self, pictures: list[torch.Tensor]) -> list[dict[str, float]]:
        return [self._measure(picture, photograph) for picture, photograph in zip(pictures, self.photographs)]

    def _measure(self, picture: torch.Tensor, photograph: torch.Tensor) -> dict[str, float]:
        is_photograph = picture is photograph
        picture, photograph = self._on_device(picture), self._on_device(photograph)
        losses = objective(self.criterion, picture, photograph)
        edge = border(picture)[0]
        if not is_photograph:
            edge = edge / border(photograph)[0]
        return {
            **unweighted(self.criterion, losses),
            "objective": losses.total.item(),
            "content_to_grey": losses.content_to_grey.item(),
            "ssim": ssim(picture, photograph).item(),
            **{f"mesh_{period}": mesh(picture, period).item() for period in MESH_PERIODS},
            **dict(zip(_BORDER, edge.tolist())),
        }

    def _optimised(
        self, photograph: torch.Tensor, start: str, iterations: int, seed: int
    ) -> tuple[list[float], torch.Tensor]:
        """The objective at the start and after each iteration, and the last picture, 1 x 3 x H x W, uint8."""
        target, objectives, before = self._on_device(photograph), [], self.bar.n
        for current in optimize(self.criterion, target, starting_picture(start, target, seed), iterations):
            objectives.append(current.objective)
            self.bar.update(before + current.number - self.bar.n)
        self.bar.update(before + iterations - self.bar.n)  # it may have come to rest earlier
        return objectives, current.picture.round().byte().cpu()


def _summary(measured: list[dict[str, float]]) -> dict[str, dict]:
    summary = {}
    for name in measured[0]:
        values = [measures[name] for measures in measured]
        if name in (*_BORDER, *_MESH):
            mean = math.exp(fmean(math.log(max(value, 1e-12)) for value in values))
        else:
            mean = fmean(values)
        summary[name] = {"mean": mean, "quartiles": quartiles(values)}
    return summary


def time_beside_optimisation(
    model: Model, vgg: VGG19, compute: Compute, path: Path, sizes: Sequence[int], max_pixels: int
) -> list[dict]:
    """Seconds of the network and of an iteration of L-BFGS, in turns, on squares of several sizes of a photograph."""
    timed, at_own_size = [], StyleOptions(stroke_scale=1)
    for size in sizes:
        photograph = read_square(path, size, max_pixels).to(compute.device).float()
        criterion = criterion_of(model.settings, vgg, model.style_pixels, [photograph], model.scales)
        rounds, warmup = _TIMING_ROUNDS, 2  # the first two: the start itself, and the longest line search
        iterates = optimize(criterion, photograph, starting_picture("noise", photograph), rounds + warmup)
        calls = {
            "network": lambda photograph=photograph: model.stylizer.stylize_tensor(photograph, at_own_size),
            "iteration": lambda iterates=iterates: next(iterates),
        }
        seconds = time_in_turns(calls, compute.device, rounds, warmup)
        timed.append({"size": size, **{name: median(values) for name, values in seconds.items()}})
    return timed
