"""The temporal term, and the second views that it compares."""

import random

import pytest
import torch

from config import TrainingConfig
from losses.perceptual import PerceptualLoss
from losses.temporal import Views, temporal_loss
from tests.noise import pictures
from training import second_view
from training.second_view import grid, random_homography, second_views, soften

SIZE = 32


def shift(columns, rows, n=1, size=SIZE):
    """The motion under which a view shows at (x, y) what the first one has at (x + columns, y + rows)."""
    matrix = torch.eye(3)
    matrix[0, 2], matrix[1, 2] = 2 * columns / size, 2 * rows / size
    return grid(matrix.expand(n, 3, 3), size, size)


def test_a_homography_moves_places_as_written():
    matrix = torch.tensor(random_homography(random.Random(3)))
    places = grid(matrix[None], 6, 8)[0]
    for row, column in ((0, 0), (5, 7), (2, 6)):
        x, y, depth = matrix @ torch.tensor([(2 * column + 1) / 8 - 1, (2 * row + 1) / 6 - 1, 1])
        torch.testing.assert_close(places[row, column], torch.stack([x / depth, y / depth]), rtol=1e-5, atol=1e-6)


def test_loss_is_the_mean_squared_difference_where_both_see():
    stylized, moved, motion = pictures(2, seed=1), pictures(2, seed=2), shift(5, -3, 2)
    rolled = stylized.roll((-5, 3), (3, 2))
    inside = (slice(None), slice(None), slice(3, None), slice(None, -5))
    expected = ((moved - rolled)[inside] / 255).square().mean().item()
    assert temporal_loss(stylized, moved, motion).item() == pytest.approx(expected, rel=1e-3)
    moved[inside] = rolled[inside]  # all that differs now lies where one view alone looks
    assert temporal_loss(stylized, moved, motion).item() < 1e-9
    assert temporal_loss(stylized, moved, shift(SIZE, 0, 2)) == 0  # nothing in common


def test_a_pair_counts_the_same_in_any_batch():
    stylized, moved = pictures(2, seed=1), pictures(2, seed=2)
    motion = torch.cat([shift(1, 0), shift(9, 9)])  # of which less is seen
    alone = [temporal_loss(stylized[i : i + 1], moved[i : i + 1], motion[i : i + 1]).item() for i in (0, 1)]
    assert temporal_loss(stylized, moved, motion).item() == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_a_view_depends_on_its_photograph_and_seed_alone():
    """In whatever batch: several processes that share one out see what one process sees."""
    images = pictures(3, seed=1)
    views, motion = second_views(images, "abc")
    parts = [second_views(images[:1], "a"), second_views(images[1:], "bc")]
    torch.testing.assert_close(views, torch.cat([part[0] for part in parts]), rtol=0, atol=1e-2)
    torch.testing.assert_close(motion, torch.cat([part[1] for part in parts]))
    others = second_views(images, "def")
    assert not torch.equal(views, others[0]) and not torch.equal(motion, others[1])
    assert views.shape == images.shape and views.min() >= 0 and views.max() <= 255
    assert not torch.equal(motion[0], motion[1])


def test_some_photographs_are_softened():
    images = pictures(1, seed=1).expand(200, -1, -1, -1)
    softened, soft = soften(images, [str(number) for number in range(200)])
    assert abs(soft.float().mean().item() - second_view.SOFT) < 0.1
    assert torch.equal(softened[~soft], images[~soft])
    kept = softened[soft].std((2, 3)) / images[soft].std((2, 3))
    assert kept.max() < 1 and kept.min() < 0.3
    assert softened.min() >= 0 and softened.max() <= 255
    places = (softened[soft] - images[soft]).abs().amax(1).flatten(1)
    in_places = (places.quantile(0.1, 1) < 0.1 * places.quantile(0.9, 1)).float().mean()
    assert 0.1 < in_places < 1 - second_view.EVERYWHERE + 0.1  # the others are soft nearly everywhere


def test_a_view_shows_the_photograph_moved(monkeypatch):
    monkeypatch.setattr(second_view, "NOISE", 0.0)
    monkeypatch.setattr(second_view, "EXPOSURE", 0.0)
    images = torch.nn.functional.avg_pool2d(pictures(2, 2 * SIZE, seed=1), 9, 1, 4)[..., ::2, ::2]  # smooth
    views, motion = second_views(images, "ab")
    assert temporal_loss(images, views, motion) == 0 < temporal_loss(images.flip(3), views, motion)
    back = shift(0, 0, 2) - (motion - shift(0, 0, 2))  # the way back, but for what the motion bends
    assert temporal_loss(views, images, back) < 0.1 * temporal_loss(views, images, motion)


def objective(vgg, *paintings, temporal_weight=50.0, **weights):
    weights = {
        "style_weight": 1e4, "tv_weight": 1e-6, "checkerboard_weight": 0.3, "palette_weight": 0.0, "tone_weight": 0.0,
    } | weights  # fmt: skip
    return PerceptualLoss(TrainingConfig(temporal_weight=temporal_weight, **weights), vgg, paintings, SIZE)


def test_second_views_count_in_the_temporal_term_alone(vgg):
    criterion = objective(vgg, pictures(1, seed=7), pictures(1, seed=8))
    stylized, photographs, motion = pictures(4, seed=1), pictures(4, seed=2), shift(2, 1, 2)
    style = torch.tensor([1, 0, 1, 0])
    alone = criterion(stylized[:2], photographs[:2], style[:2])
    pair = criterion(stylized, photographs, style, Views(motion, torch.tensor([False, False])))
    temporal = pair.raw.pop("temporal").item()
    assert alone.raw.pop("temporal") == 0
    assert temporal == pytest.approx(temporal_loss(stylized[:2], stylized[2:], motion).item())
    assert pair.weighted["temporal"].item() == pytest.approx(50 * temporal, rel=1e-6)
    torch.testing.assert_close(pair.raw, alone.raw)
    torch.testing.assert_close(pair.style, alone.style)
    assert (pair.total - alone.total).item() == pytest.approx(50 * temporal, rel=1e-3)


def test_soft_photographs_count_in_all_but_the_style_term(vgg):
    criterion = objective(vgg, pictures(1, seed=7))
    stylized, photographs, motion = pictures(4, seed=1), pictures(4, seed=2), shift(2, 1, 2)
    views = [Views(motion, torch.tensor([one, False])) for one in (False, True)]
    sharp, soft = (criterion(stylized, photographs, views=one) for one in views)
    for values in ("raw", "weighted"):
        expected, found = getattr(sharp, values), getattr(soft, values)
        assert found["style"][0] == 0 < expected["style"][0] and found["style"][1] == expected["style"][1]
        torch.testing.assert_close(found | {"style": 0}, expected | {"style": 0})
    assert soft.total.item() == pytest.approx(sum(value.mean().item() for value in soft.weighted.values()))


def test_a_flat_photograph_has_no_temporal_gradient(vgg):
    no_others = dict.fromkeys(("content_weight", "style_weight", "tv_weight", "checkerboard_weight"), 0.0)
    criterion = objective(vgg, pictures(1, seed=7), temporal_weight=1.0, **no_others)
    stylized, photographs = pictures(4, seed=1).requires_grad_(), pictures(4, seed=2)
    photographs[1] = 90.0
    views = Views(shift(1, 0, 2), torch.tensor([False, False]))
    (gradient,) = torch.autograd.grad(criterion(stylized, photographs, views=views).total, stylized)
    assert [bool(part.any()) for part in gradient] == [True, False, True, False]
