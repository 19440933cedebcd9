"""Tiles give the pixels of one pass, and the margin between them is the network's own reach."""

import pytest
import torch

from inference.stylizer import Stylizer
from inference.tiling import tiles


def reach(network):
    """The farthest input pixel, in rows or columns, with a gradient from any of the 4 phases of an output pixel."""
    size, centre = 160, 80
    network = network.double()
    farthest = 0
    for phase in range(4):
        images = (torch.rand(1, 3, size, size, dtype=torch.float64) * 255).requires_grad_()
        pixel = centre + phase
        network(images)[0, :, pixel, pixel].sum().backward()
        touched = images.grad[0].abs().sum(0).nonzero()
        farthest = max(farthest, (touched - pixel).abs().max().item())
    return farthest


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_halo_is_the_reach_of_the_network(trained_like, upsample):
    network = trained_like(upsample=upsample, width=0.125)
    # Rounded up to the stride, and not beyond: a larger margin would be a guess.
    assert reach(network) <= network.reach() < reach(network) + 8


@pytest.mark.parametrize("length, size, margin", [(100, 32, 8), (33, 32, 60), (1000, 256, 60), (5, 4, 4)])
def test_tiles_cover_every_pixel_once(length, size, margin):
    covered = torch.zeros(length, length, dtype=torch.int)
    for tile in tiles(length, length, size, margin):
        covered[tile.target] += 1
        for source, inside, target in zip(tile.source, tile.inside, tile.target):
            assert source.start % 4 == 0  # where the strides of one pass would be
            assert source.start + inside.start == target.start and source.start + inside.stop == target.stop
            assert target.stop - target.start <= size
            assert source.start == 0 or target.start - source.start == margin
            assert source.stop == length or source.stop - target.stop == margin
    assert (covered == 1).all()


@pytest.mark.parametrize("upsample, height, width", [("transposed", 150, 203), ("resize", 64, 200)])
def test_tiles_equal_one_pass(trained_like, upsample, height, width):
    network = trained_like(upsample=upsample)
    images = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    one_pass = Stylizer(network, "cpu", "float32").stylize_tensor(images)
    tiled = Stylizer(network, "cpu", "float32", tile_size=64).stylize_tensor(images)
    torch.testing.assert_close(tiled, one_pass, rtol=0, atol=0.02)  # of 255: rounding
