"""The engine: pictures in place and by tiles, short memory, stroke size, blends."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tqdm import tqdm

from imaging.oklab import oklab_to_rgb, rgb_to_oklab
from imaging.tensors import image_to_tensor
from inference.options import WORKING_SHORT_SIDE, StyleOptions, StylizeError
from inference.stylizer import Blend, Stylizer


@pytest.fixture(scope="module")
def network(trained_like):
    return trained_like(width=0.25)


@pytest.fixture(scope="module")
def stylizer(network):
    return Stylizer(network, "cpu", "float32")


def noise(width, height, mode="RGB", seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)).convert(mode)


def assert_same(image, expected, levels=1):
    """Equal but for values that lie on the edge between two grey levels."""
    assert image.size == expected.size and image.mode == expected.mode
    difference = np.abs(np.asarray(image, int) - np.asarray(expected, int))
    assert difference.max() <= levels and (difference > 0).mean() < 0.01


# -- tiles, in place -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_painting_over_the_picture_by_tiles_equals_one_pass(network, stylizer, mode):
    """Tiles look at rows and columns of the photograph that were painted over already."""
    content_image = noise(203, 150, mode)
    one_pass = stylizer.stylize(content_image)
    before = np.asarray(content_image).copy()
    tiled = Stylizer(network, "cpu", "float32", tile_size=64)
    assert_same(tiled.stylize(content_image), one_pass)
    assert np.array_equal(np.asarray(content_image), before)
    result = tiled.stylize(content_image, in_place=True)
    assert result is content_image
    assert_same(result, one_pass)
    if mode == "RGBA":
        assert np.array_equal(np.asarray(result)[..., 3], before[..., 3])


@pytest.mark.parametrize("norm, options", [("instance", StyleOptions()), ("batch", StyleOptions(stroke_scale=1.5))])
def test_the_bar_ends_full(trained_like, norm, options):
    with tqdm(total=0, file=io.StringIO()) as bar:
        Stylizer(trained_like(norm), "cpu", "float32", tile_size=64).stylize(noise(150, 101), options, bar=bar)
        assert bar.n == bar.total >= 4


@pytest.mark.parametrize(
    "call",
    [
        lambda stylizer: stylizer.stylize(Image.new("CMYK", (8, 8))),
        lambda stylizer: stylizer.stylize("photo.jpg"),
        lambda stylizer: stylizer.stylize(np.zeros((8, 8, 3))),
        lambda stylizer: stylizer.stylize_tensor(torch.zeros(1, 9, 8, 3)),
        lambda stylizer: stylizer.stylize(noise(40, 30), StyleOptions(mask=Image.new("L", (30, 40)))),
        lambda stylizer: Stylizer("none.pth", "cpu"),
        lambda stylizer: Stylizer("none.pth", "gpu"),
        lambda stylizer: Stylizer("none.pth", "cpu", "float16"),
        lambda stylizer: Stylizer(stylizer.network, "cpu", tile_size=63),
    ],
)
def test_what_the_engine_cannot_do_is_said_without_flags(stylizer, call):
    """Films and pages have other names for its options than the command."""
    with pytest.raises((StylizeError, ValueError)) as error:
        call(stylizer)
    assert "--" not in str(error.value)


OPTIONS = {
    "as trained": StyleOptions(),
    "mask": StyleOptions(strength=0.7, mask=Image.linear_gradient("L").resize((45, 32))),
    "colours": StyleOptions(preserve_color=True),
    "larger strokes": StyleOptions(stroke_scale=1.7, strength=0.8),
    "smaller strokes": StyleOptions(stroke_scale=0.6),
    "nothing": StyleOptions(strength=0),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_tensors_have_all_options_of_pictures_and_tiles_are_not_seen(network, make_picture, name):
    """A batch of two by tiles, against pictures at once, which are rounded between the resizing and the network."""
    pictures = [make_picture(90, 64, seed=seed) for seed in (1, 2)]
    batch = torch.stack([image_to_tensor(picture) for picture in pictures])
    small, large = (Stylizer(network, "cpu", "float32", tile_size=size) for size in (40, 2048))
    result = small.stylize_tensor(batch, OPTIONS[name])
    expected = [np.asarray(large.stylize(picture, OPTIONS[name]), float) for picture in pictures]
    difference = np.abs(result.permute(0, 2, 3, 1).numpy() - np.stack(expected))
    assert difference.max() <= (0.52 if "strokes" not in name else 50) and difference.mean() < 2
    for stylizer in (small, large):
        rounded = torch.empty_like(batch)
        assert stylizer.stylize_tensor(batch, OPTIONS[name], rounded) is rounded
        plain = stylizer.stylize_tensor(batch, OPTIONS[name])
        torch.testing.assert_close(rounded.float(), plain, rtol=0, atol=0.501)
    torch.testing.assert_close(rounded.float(), result, rtol=0, atol=0.52)


# -- short memory ----------------------------------------------------------------------------------


class ShortOfMemory(Stylizer):
    """Fails as PyTorch does wherever a pass has more than ``most`` pixels."""

    most = 28_500  # tiles of 100 with their margin fit

    def _pass(self, images):
        if images.shape[-1] * images.shape[-2] > self.most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate ...")
        return super()._pass(images)


@pytest.mark.parametrize("norm, upsample", [("batch", "transposed"), ("batch", "resize"), ("instance", "transposed")])
def test_where_memory_is_short_tiles_become_smaller(trained_like, norm, upsample):
    network, content_image = trained_like(norm, upsample, width=0.25), noise(203, 150)
    short = ShortOfMemory(network, "cpu", "float32", tile_size=204)
    assert_same(short.stylize(content_image), Stylizer(network, "cpu", "float32").stylize(content_image))
    assert 64 <= short.tile_size < 204
    tensor = image_to_tensor(content_image)[None]
    short = ShortOfMemory(network, "cpu", "float32", tile_size=204)
    expected = Stylizer(network, "cpu", "float32").stylize_tensor(tensor)
    torch.testing.assert_close(short.stylize_tensor(tensor), expected, rtol=0, atol=0.02)


def test_where_not_even_a_small_tile_fits_that_is_said(network):
    short = ShortOfMemory(network, "cpu", "float32")
    short.most = 100
    with pytest.raises(MemoryError, match="64 x 64"):
        short.stylize(noise(100, 90))


@pytest.mark.parametrize("free, expected", [(2**40, 1024), (2**28, 340), (2**20, 64), (None, 1024)])
def test_tiles_fit_into_the_memory_that_is_free(network, monkeypatch, free, expected):
    """Of 256 MiB half holds 461 x 461 pixels of 630 bytes; 60 on either side are the margin."""
    monkeypatch.setattr("inference.stylizer.available_memory", lambda device: free)
    assert Stylizer(network, "cpu", "float32", tile_size=1024).tile_size == expected


# -- stroke size -----------------------------------------------------------------------------------


def test_working_size():
    assert StyleOptions().working_size(1280, 720) == (1280, 720)  # as it is
    assert StyleOptions().working_size(6000, 4000) == (1080, WORKING_SHORT_SIDE)
    assert StyleOptions().working_size(4000, 6000) == (WORKING_SHORT_SIDE, 1080)
    assert StyleOptions(stroke_scale=2).working_size(300, 201) == (150, 100)
    assert StyleOptions(stroke_scale=0.5).working_size(300, 201) == (600, 402)
    assert StyleOptions(stroke_scale=1).working_size(6000, 4000) == (6000, 4000)
    assert StyleOptions(stroke_scale=64).working_size(40, 30) == (1, 1)


class Negative(Stylizer):
    """Stands in for a style: the negative, in which every detail can be told."""

    def _pass(self, images):
        return 255 - images.float()


def test_larger_strokes_have_the_photographs_detail(network, make_picture):
    """The result is the style of the reduced photograph, with the lightness that reduction took away."""
    coarse = np.asarray(make_picture(240, 160, seed=1), float)
    fine = np.where(np.indices((160, 240)).sum(0) % 2, 12.0, -12.0)[..., None]  # of single pixels, and grey
    content_image = Image.fromarray((coarse.clip(20, 235) + fine).round().astype(np.uint8))
    plain = np.asarray(content_image, float) - fine
    result = Negative(network, "cpu", "float32").stylize(content_image, StyleOptions(stroke_scale=4))
    difference = np.asarray(result, float) - (255 - plain + fine)  # detail as in the photograph, not as in the negative
    assert np.abs(difference).mean() < 3
    assert np.abs(np.asarray(result, float) - (255 - plain - fine)).mean() > 15


# -- blends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norms", [("batch", "batch"), ("instance", "batch")])
def test_a_blend_is_the_mixture_in_oklab_also_in_tiles(trained_like, norms):
    content_image = noise(150, 90)
    tensor = image_to_tensor(content_image)[None]
    networks = [trained_like(norm, width=0.25, seed=seed) for seed, norm in enumerate(norms)]
    parts = [Stylizer(network, "cpu", "float32") for network in networks]
    one, other = (rgb_to_oklab(part.stylize_tensor(tensor)) for part in parts)
    expected = oklab_to_rgb(0.75 * one + 0.25 * other)
    torch.testing.assert_close(Blend(parts, [3, 1]).stylize_tensor(tensor), expected, rtol=0, atol=0.02)
    small = Blend([Stylizer(network, "cpu", "float32", tile_size=64) for network in networks], [3, 1])
    torch.testing.assert_close(small.stylize_tensor(tensor), expected, rtol=0, atol=0.05)
    assert_same(small.stylize(content_image), Blend(parts, [3, 1]).stylize(content_image))
