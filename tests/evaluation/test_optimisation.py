"""Optimisation finds what it should."""

import pytest
import torch

from config import TrainingConfig
from evaluation.optimisation import optimize, style_batch
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, tensor_to_image
from losses.perceptual import Losses
from tests.noise import pictures
from utils.errors import UserError


def quadratic(target, scale=1.0):
    """An objective with a known minimum, that counts how often it is evaluated."""

    def criterion(images, photographs):
        criterion.evaluations += 1
        weights = torch.linspace(0.5, 2, images.numel()).view_as(images)
        total = (weights * (images - target) ** 2).sum() * scale
        values = {"content": total.detach()}
        return Losses(total, values, values, total.detach(), torch.tensor([0]))

    criterion.evaluations = 0
    return criterion


def run(criterion, start, iterations):
    return list(optimize(criterion, start, start, iterations))


@pytest.mark.parametrize("style_size, side", [(24, 24), (None, 40)])
def test_a_painting_is_learnt_at_its_size_and_smoothed(style_size, side):
    image = tensor_to_image(pictures(1, 48, seed=1)[0])
    settings = TrainingConfig(image_size=40, style_size=style_size, style_smoothing=1.5)
    expected = smooth_strokes(picture_batch(image, side), 1.5)
    assert torch.equal(style_batch(image, settings), expected) and expected.shape == (1, 3, side, side)


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_a_known_minimum_is_reached(scale):
    target = pictures(1, seed=0).clamp(16, 240)
    iterates = run(quadratic(target, scale), pictures(1, seed=1), 60)
    assert (iterates[-1].picture - target).abs().max() < 0.05
    assert iterates[-1].objective == pytest.approx(0, abs=scale)


def test_pixels_stay_in_range_where_the_minimum_does_not():
    target = torch.where(torch.arange(32) % 2 == 0, torch.tensor(-300.0), torch.tensor(600.0)).expand(1, 3, 32, 32)
    iterates = run(quadratic(target), pictures(1, seed=1), 60)
    for iterate in iterates:
        assert iterate.picture.min() >= 0 and iterate.picture.max() <= 255
    assert (iterates[-1].picture - target.clamp(0, 255)).abs().max() < 1


def test_an_iteration_is_one_of_lbfgs():
    """The same steps as of torch's L-BFGS run in one go, with hardly more evaluations than iterations."""
    start, target = pictures(1, seed=1), pictures(1, seed=0)
    criterion = quadratic(target, 1e-3)
    iterates = run(criterion, start, 8)
    assert criterion.evaluations <= 8 + 1 + 6  # the first line search has to find the scale

    variable = torch.asin((start / 127.5 - 1).clamp(-0.95, 0.95)).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [variable], max_iter=8, max_eval=1000, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )

    def closure():
        optimizer.zero_grad()
        total = quadratic(target, 1e-3)(127.5 * (1 + torch.sin(variable)), None).total
        total.backward()
        return total

    optimizer.step(closure)
    expected = 127.5 * (1 + torch.sin(variable.detach()))
    torch.testing.assert_close(iterates[-1].picture, expected, rtol=0, atol=1e-2)


def test_it_stops_where_nothing_is_left_to_gain():
    assert len(run(quadratic(pictures(1, seed=0), 0.0), pictures(1, seed=1), 5)) == 1


def test_an_objective_that_is_not_finite():
    with pytest.raises(UserError, match="the objective became nan after 0 iterations: give smaller weights"):
        run(quadratic(pictures(1, seed=0), float("nan")), pictures(1, seed=1), 3)
