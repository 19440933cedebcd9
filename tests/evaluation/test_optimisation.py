"""Optimisation finds what it should, and the objective that it minimises is the training's."""

import pytest
import torch

from config import TrainingConfig
from evaluation.objective import criterion_of, style_batch
from evaluation.optimisation import iterations_equalled, optimize, starting_picture
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, tensor_to_image
from losses.perceptual import Losses
from utils.errors import UserError


def picture(seed, height=32, width=32):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 255


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


def run(criterion, start, iterations, photograph=None):
    return list(optimize(criterion, start if photograph is None else photograph, start, iterations))


@pytest.mark.parametrize("style_size, side", [(24, 24), (None, 40)])
def test_a_painting_is_learnt_at_its_size_and_smoothed(style_size, side):
    image = tensor_to_image(picture(1, 48, 48)[0])
    settings = TrainingConfig(image_size=40, style_size=style_size, style_smoothing=1.5)
    expected = smooth_strokes(picture_batch(image, side), 1.5)
    assert torch.equal(style_batch(image, settings), expected) and expected.shape == (1, 3, side, side)


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_a_known_minimum_is_reached(scale):
    target = picture(0).clamp(16, 240)
    iterates = run(quadratic(target, scale), picture(1), 60)
    assert (iterates[-1].picture - target).abs().max() < 0.05
    assert iterates[-1].objective == pytest.approx(0, abs=scale)


def test_pixels_stay_in_range_where_the_minimum_does_not():
    target = torch.where(torch.arange(32) % 2 == 0, torch.tensor(-300.0), torch.tensor(600.0)).expand(1, 3, 32, 32)
    iterates = run(quadratic(target), picture(1), 60)
    for iterate in iterates:
        assert iterate.picture.min() >= 0 and iterate.picture.max() <= 255
    assert (iterates[-1].picture - target.clamp(0, 255)).abs().max() < 1


def test_what_is_yielded():
    start, criterion = picture(1), quadratic(picture(0))
    before = start.clone()
    iterates = run(criterion, start, 6)
    assert len(iterates) == 7
    torch.testing.assert_close(iterates[0].picture, start.clamp(6.375, 248.625), rtol=0, atol=1e-3)
    assert torch.equal(start, before)
    objectives = [iterate.objective for iterate in iterates]
    assert objectives == sorted(objectives, reverse=True)
    for iterate in iterates:
        assert iterate.objective == pytest.approx(quadratic(picture(0))(iterate.picture, None).total.item(), rel=1e-4)
        assert not iterate.losses.total.requires_grad and not iterate.picture.requires_grad


def test_an_iteration_is_one_of_lbfgs():
    """The same steps as of torch's L-BFGS run in one go, with hardly more evaluations than iterations."""
    start, target = picture(1), picture(0)
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
    assert len(run(quadratic(picture(0), 0.0), picture(1), 5)) == 1


def test_an_objective_that_is_not_finite():
    with pytest.raises(UserError, match="the objective became nan after 0 iterations: give smaller weights"):
        run(quadratic(picture(0), float("nan")), picture(1), 3)


def test_starts():
    photograph = picture(0)
    assert torch.equal(starting_picture("photograph", photograph), photograph)
    noise = starting_picture("noise", photograph, 1)
    assert torch.equal(noise, starting_picture("noise", photograph, 1))
    assert not torch.equal(noise, starting_picture("noise", photograph, 2))
    assert 0 <= noise.min() < 5 and 250 < noise.max() <= 255 and noise.mean() == pytest.approx(127.5, abs=5)


def test_the_trainings_objective_falls(vgg):
    photograph, start = picture(0), "noise"
    criterion = criterion_of(TrainingConfig(), vgg, picture(5, 32, 48), [photograph])
    iterates = run(criterion, starting_picture(start, photograph), 6, photograph)
    assert iterates[-1].objective < 0.6 * iterates[0].objective
    with torch.no_grad():
        found = criterion(iterates[-1].picture, photograph)
    assert found.total.item() == pytest.approx(iterates[-1].objective, rel=1e-4)


# -- curves ---------------------------------------------------------------------------------------------------------


def test_iterations_equalled():
    curve = [70.0, 40.0, 22.0, 22.0, 10.0, 7.5]
    assert [iterations_equalled(curve, level) for level in (80, 70, 69, 22, 21.9, 7.5)] == [0, 0, 1, 2, 4, 5]
    assert iterations_equalled(curve, 7.4) is None
