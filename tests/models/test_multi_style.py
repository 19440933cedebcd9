"""Many styles in one network: each alone, mixtures, files."""

import pytest
import torch

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from tests.noise import pictures
from utils.errors import UserError

STYLES = ("wave", "scream", "mosaic")


@pytest.fixture
def network(gallery):
    return load_checkpoint(gallery).network


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


@torch.no_grad()
def test_each_picture_of_a_batch_has_its_own_style(network):
    images = pictures(3, 21, 18)
    together = network(images, torch.tensor([2, 0, 0]))
    for image, number, result in zip(images, (2, 0, 0), together):
        assert_same(network.for_style(number)(image[None])[0], result)
    assert_same(network(images, 1), network.for_style(1)(images))
    assert (network(images, 1) - network(images, 2)).abs().mean() > 5


@torch.no_grad()
def test_a_mixture_interpolates_scales_and_shifts(network):
    images, weights = pictures(2, 21, 18), torch.tensor([[0.2, 0.0, 0.8], [0.5, 0.5, 0.0]])
    mixed, plain = network(images, weights), network.for_style([0.2, 0.0, 0.8])
    assert_same(plain(images[:1]), mixed[:1])
    for norm, table in zip(plain.norms(), network.norms()):
        torch.testing.assert_close(norm.weight, 0.2 * table.weight[0] + 0.8 * table.weight[2])
        torch.testing.assert_close(norm.bias, 0.2 * table.bias[0] + 0.8 * table.bias[2])


def test_a_picture_moves_the_scales_and_shifts_of_its_style_alone(network):
    network.train()(pictures(2, 21, 18), torch.tensor([1, 1])).square().mean().backward()
    for norm in network.norms():
        for table in (norm.weight, norm.bias):
            assert table.grad[1].abs().sum() > 0 and not table.grad[[0, 2]].any()


@torch.no_grad()
def test_begun_from_one_style_each_is_that_one(trained_like):
    plain = trained_like("instance")
    network = MultiStyleNet.begun_from(plain, STYLES)
    assert_same(network(pictures(3, 21, 18), torch.tensor([0, 1, 2])), plain(pictures(3, 21, 18)))


@torch.no_grad()
def test_begun_from_several_styles_are_found_by_name(network):
    other = MultiStyleNet.begun_from(network, ("new", "mosaic"))
    assert_same(other(pictures(3, 21, 18), 1), network(pictures(3, 21, 18), 2))
    assert_same(other(pictures(3, 21, 18), 0), network.for_style([1 / 3] * 3)(pictures(3, 21, 18)))


@pytest.mark.parametrize(
    "change",
    [{"styles": ["a", "a"]}, {"styles": []}, {"styles": ["../a"]}, {"styles": "ab"}, {"norm": "batch"}],
)
def test_a_file_with_an_odd_architecture_is_refused(network, tmp_path, change, monkeypatch):
    architecture = {**network.architecture(), **change}
    monkeypatch.setattr(network, "architecture", lambda: architecture)
    save_checkpoint(tmp_path / "m.pth", Checkpoint(network, {}))
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(tmp_path / "m.pth")
