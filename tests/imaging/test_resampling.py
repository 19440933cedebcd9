"""Parts of a resized picture are parts of the whole, and the whole is Pillow's bicubic."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.resampling import resized, resized_region


@pytest.mark.parametrize("size", [(131, 95), (40, 30), (50, 37), (20, 15)])
def test_the_whole_is_pillows_bicubic(size):
    image = Image.fromarray(np.random.default_rng(0).integers(70, 186, (37, 50, 3), np.uint8))
    expected = np.asarray(image.resize(size, Image.Resampling.BICUBIC), float)
    result = resized_region(image, size, (0, 0, *size))[0].permute(1, 2, 0).numpy().clip(0, 255)
    np.testing.assert_allclose(result, expected, atol=1.6)  # Pillow rounds between its two passes


@pytest.mark.parametrize("size", [(31, 40), (20, 15), (300, 260)])
def test_tensors_are_resized_by_pillows_lanczos(size):
    image = Image.fromarray(np.random.default_rng(0).integers(70, 186, (37, 50, 3), np.uint8))
    expected = np.asarray(image.resize(size, Image.Resampling.LANCZOS), float)
    images = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].repeat(2, 1, 1, 1)
    for result in resized(images, size):
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy().clip(0, 255), expected, atol=1.6)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("RGBA", 4)])
@pytest.mark.parametrize("size", [(131, 95), (20, 15)])
def test_parts_join(mode, channels, size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 50, 4), np.uint8)).convert(mode)
    width, height = size
    whole = resized_region(image, size, (0, 0, width, height))
    assert whole.shape == (1, channels, height, width)
    for left, top, right, bottom in [(0, 0, 7, 9), (7, 0, width, 9), (13, 9, 18, height)]:
        part = resized_region(image, size, (left, top, right, bottom))
        torch.testing.assert_close(part, whole[..., top:bottom, left:right], rtol=0, atol=1e-3)


def test_the_same_size_is_the_same_picture():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 50), np.uint8))
    assert np.array_equal(resized_region(image, (50, 37), (0, 0, 50, 37))[0, 0].numpy(), np.asarray(image))
