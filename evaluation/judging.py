"""Measure the pictures of a trained style one by one, and those that optimisation of the same objective makes."""

import math
from collections.abc import Sequence
from statistics import fmean

import torch
from tqdm import tqdm

from config import OBJECTIVE
from evaluation.measures import tone_figures
from evaluation.objective import criterion_of, unweighted
from evaluation.optimisation import optimize, starting_picture
from evaluation.report import FROM
from evaluation.trained import Objective, Style
from models.vgg19 import VGG19
from utils.errors import UserError

SCALES_PHOTOGRAPHS = 64
"""Photographs, the first ones, on which relative scales are measured where a model does not say its training's."""


class Judge:
    """Measures what one style makes of the photographs.

    Args:
        style: the trained style.
        objective: that it was trained for.
        vgg: the loss network.
        photographs: 1 x 3 x H x W each, uint8, RGB.
        bar: advances by one for each picture, and for each iteration of L-BFGS.

    Raises:
        UserError: if the model's file holds scales that no training has.
    """

    def __init__(self, style: Style, objective: Objective, vgg: VGG19, photographs: list[torch.Tensor], bar: tqdm):
        self.style, self.objective, self.photographs, self.bar = style, objective, photographs, bar
        self.device = next(vgg.parameters()).device
        scales_on = [self._on_device(photograph) for photograph in photographs[:SCALES_PHOTOGRAPHS]]
        try:
            self.criterion = criterion_of(objective.settings, vgg, style.painting, scales_on, objective.scales)
        except (TypeError, ValueError):
            raise UserError(f"{style.path} holds scales that no training has: give another file") from None

    def run(self, config) -> dict:
        """Paint the photographs, and measure the results; with L-BFGS as the settings of evaluation.compare say.

        Returns:
            The figures of a model, and ``"pictures"``: row by row, each N x 3 x H x W, uint8.
        """
        name, settings = self.style.name, self.objective.settings
        pictures = {"photographs": self.photographs, name: self.style.paint(self.photographs, self.bar)}
        rows = {row: self._measure_all(found) for row, found in pictures.items()}
        equalled = {}
        for start in config.starts if config.iterations else ():
            row = f"{FROM[start]}, {config.iterations} iterations"
            chosen = self.photographs[: config.lbfgs_photographs]
            found = [self._optimised(one, start, config.iterations, config.seed) for one in chosen]
            curves, pictures[row] = map(list, zip(*found))
            # The first iteration that is as low: 0 where the start is already, None where the last one is not yet.
            steps = [
                next((number for number, value in enumerate(curve) if value <= own["objective"]), None)
                for curve, own in zip(curves, rows[name])
            ]
            equalled[start] = {
                "iterations": steps, "quartiles": quartiles(steps), "run": config.iterations, "curves": curves
            }  # fmt: skip
            rows[row] = self._measure_all(pictures[row])
        return {
            "name": name,
            "model_path": self.style.path,
            "style_image": self.style.style_image,
            "provenance": self.style.checkpoint.provenance,
            "objective": {name: getattr(settings, name) for name in OBJECTIVE},
            "style_level": self.objective.level,
            "painting_size": settings.style_size or settings.image_size,
            "scales_of": "training" if self.objective.scales else "photographs",
            "scales": self.criterion.scales(),
            "rows": {row: {"summary": _summary(found), "per_photograph": found} for row, found in rows.items()},
            "iterations_equalled": equalled,
            "tones": tone_figures(self.style.stylizer, pictures[name], self.photographs, self.style.painting),
            "pictures": pictures,
        }

    def _on_device(self, picture: torch.Tensor) -> torch.Tensor:
        return picture.to(self.device).float()

    def _measure_all(self, pictures: list[torch.Tensor]) -> list[dict[str, float]]:
        return [self._measure(picture, photograph) for picture, photograph in zip(pictures, self.photographs)]

    @torch.no_grad()
    def _measure(self, picture: torch.Tensor, photograph: torch.Tensor) -> dict[str, float]:
        picture, photograph = self._on_device(picture), self._on_device(photograph)
        losses = self.criterion(picture, photograph)
        return {
            **unweighted(self.criterion, losses),
            "objective": losses.total.item(),
            "content_to_grey": losses.content_to_grey.item(),
        }

    def _optimised(
        self, photograph: torch.Tensor, start: str, iterations: int, seed: int
    ) -> tuple[list[float], torch.Tensor]:
        """The objective at the start and after each iteration, and the last picture, 1 x 3 x H x W, uint8."""
        target, objectives, before = self._on_device(photograph), [], self.bar.n
        for current in optimize(self.criterion, target, starting_picture(start, target, seed), iterations):
            self.bar.update(len(objectives) > 0)
            objectives.append(current.objective)
        self.bar.update(before + iterations - self.bar.n)  # it may have come to rest earlier
        return objectives, current.picture.round().byte().cpu()


def quartiles(values: Sequence[float | None]) -> list[float | None]:
    """Lower quartile, median and upper quartile by nearest rank, each one of the values.

    ``None``, for what is beyond all that was measured, counts as more than any number.
    """
    ordered = sorted(values, key=lambda value: math.inf if value is None else value)
    return [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.5, 0.75)]


def _summary(measured: list[dict[str, float]]) -> dict[str, dict]:
    """Means and quartiles."""
    columns = {name: [measures[name] for measures in measured] for name in measured[0]}
    return {name: {"mean": fmean(values), "quartiles": quartiles(values)} for name, values in columns.items()}
