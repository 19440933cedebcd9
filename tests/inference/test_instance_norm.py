"""Instance norm in tiles: the statistics are those of the whole picture, so the pixels are those of one pass."""

import pytest
import torch
from tqdm import tqdm

from inference.instance_norm import fix_statistics
from inference.stylizer import Stylizer
from utils.device import Compute

CPU = Compute(torch.device("cpu"), torch.float32)


def uneven_picture(height, width):
    """Dark on the right: tiles that took their own statistics would show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 3, height, width), generator=generator).to(torch.uint8)
    images[..., width // 2 :] //= 4
    return images


@pytest.mark.parametrize("norm, height, width", [("instance", 101, 150), ("mixed", 66, 203)])
def test_tiles_equal_one_pass(trained_like, norm, height, width):
    """Of sides that the strides do not divide; each picture of a batch has its own statistics."""
    network = trained_like(norm)
    images = torch.cat([uneven_picture(height, width), uneven_picture(height, width) // 2])
    one_pass = Stylizer(network, compute=CPU).stylize_tensor(images)
    tiled = Stylizer(network, compute=CPU, tile_size=64).stylize_tensor(images)
    torch.testing.assert_close(tiled, one_pass, rtol=0, atol=0.02)  # of 255: rounding
    # Seen to matter: the left half alone, with its own statistics, is another picture.
    half = Stylizer(network, compute=CPU).stylize_tensor(images[..., : width // 2])
    assert (half - one_pass[..., : width // 2])[..., :10].abs().max() > 3


def test_what_does_not_fit_into_the_cache_is_computed_again(trained_like):
    network, images = trained_like("instance", width=0.25), uneven_picture(40, 150)
    at_once, again = (
        fix_statistics(
            network, 40, 150, lambda place: images[(..., *place)], 76, CPU, tqdm(total=0, disable=True), size
        ).state_dict()
        for size in (2**30, 0)
    )
    for name, value in at_once.items():
        torch.testing.assert_close(value, again[name])
