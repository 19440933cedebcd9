"""Strength, colours and masks, against what they promise pixel by pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.oklab import oklab_to_rgb, rgb_to_oklab
from inference.options import StyleOptions, StylizeError, with_colours_of

SIZE, BOX = (40, 30), (0, 0, 40, 30)


@pytest.fixture(scope="module")
def content_image():
    return torch.randint(0, 256, (1, 3, 30, 40), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture(scope="module")
def stylized():
    return torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(1)) * 255


def test_the_ends_of_strength_are_exact(content_image, stylized):
    assert torch.equal(StyleOptions(strength=0).apply(content_image, stylized, SIZE, BOX), content_image)
    assert torch.equal(StyleOptions(strength=1).apply(content_image, stylized, SIZE, BOX), stylized)


@pytest.mark.parametrize("wrong", [{"strength": 1.1}, {"strength": -0.1}, {"stroke_scale": 0}, {"stroke_scale": -1.0}])
def test_values_out_of_bounds_are_refused(wrong):
    with pytest.raises(StylizeError, match=f"^{next(iter(wrong))} must"):
        StyleOptions(**wrong)


def test_strength_mixes_in_oklab(content_image, stylized):
    result = StyleOptions(strength=0.3).apply(content_image, stylized, SIZE, BOX)
    expected = oklab_to_rgb(0.7 * rgb_to_oklab(content_image) + 0.3 * rgb_to_oklab(stylized))
    torch.testing.assert_close(result, expected, rtol=0, atol=0.01)


def test_colours_are_the_photographs_and_lightness_the_paintings():
    """Where sRGB has the colour; elsewhere it has less of it, of the same hue and lightness."""
    content_image = torch.tensor([[140.0, 120, 100], [255, 0, 0]]).T[None, :, :, None]
    stylized = torch.tensor([[60.0, 90, 200], [250, 250, 250]]).T[None, :, :, None]
    source, style = rgb_to_oklab(content_image), rgb_to_oklab(stylized)
    result = rgb_to_oklab(with_colours_of(content_image, stylized))
    torch.testing.assert_close(result[:, 0], style[:, 0], rtol=0, atol=2e-3)
    torch.testing.assert_close(result[..., :1, :][:, 1:], source[..., :1, :][:, 1:], rtol=0, atol=1e-3)
    red, pink = source[0, 1:, 1, 0], result[0, 1:, 1, 0]
    assert 0 < pink.norm() < 0.3 * red.norm()  # a red as light as that is pink
    torch.testing.assert_close(pink / pink.norm(), red / red.norm(), rtol=0, atol=0.02)


def test_greys_stay_grey_exactly(stylized):
    grey = torch.arange(1200).remainder(256).float().view(1, 1, 30, 40).expand(1, 3, -1, -1)
    result = with_colours_of(grey, stylized)
    assert torch.equal(result[:, 0], result[:, 1]) and torch.equal(result[:, 0], result[:, 2])
    torch.testing.assert_close(rgb_to_oklab(result)[:, 0], rgb_to_oklab(stylized)[:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [SIZE, (400, 300)])
def test_a_mask_is_exact_where_plain_and_soft_at_edges(content_image, stylized, size):
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[:, size[0] // 2 :] = 255
    options = StyleOptions(mask=Image.fromarray(mask))
    result = options.apply(content_image, stylized, SIZE, BOX)
    assert torch.equal(result[..., :17], content_image[..., :17])
    assert torch.equal(result[..., 23:], stylized[..., 23:])
    # Painted in black and white, and yet there are steps between.
    white = torch.full_like(stylized, 255)
    row = StyleOptions(mask=options.mask).apply(torch.zeros_like(stylized), white, SIZE, BOX)[0, 0, 15]
    assert (row.diff() >= 0).all() and ((row > 0) & (row < 255)).sum() >= (2 if size != SIZE else 1)


def test_grey_of_a_mask_is_strength_there(content_image, stylized):
    mask = Image.new("L", (80, 60), 102)  # 0.4
    result = StyleOptions(strength=0.5, mask=mask).apply(content_image, stylized, SIZE, BOX)
    expected = StyleOptions(strength=0.2).apply(content_image, stylized, SIZE, BOX)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-3)
