"""Picture files of every kind, to what a viewer would show; and files that are no pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.reading import read_image
from imaging.tensors import image_to_tensor, picture_batch, tensor_to_image
from utils.errors import ImageError

RGB = np.array(
    [[[10, 20, 30], [200, 0, 90]], [[0, 255, 1], [77, 78, 79]], [[5, 250, 130], [255, 255, 255]]], np.uint8
)

# What a viewer makes of the stored pixels under each value of EXIF's Orientation tag.
VIEWED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, 1),
}


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def read_array(path):
    return np.asarray(read_image(path))


@pytest.mark.parametrize("orientation", VIEWED)
def test_exif_orientation(tmp_path, orientation):
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path, exif=exif(orientation))
    np.testing.assert_array_equal(read_array(path), VIEWED[orientation](RGB))


@pytest.mark.parametrize("orientation", VIEWED)
def test_exif_orientation_of_a_jpeg_decoded_at_a_reduced_scale(tmp_path, make_picture, orientation):
    path = tmp_path / "photo.jpg"
    picture = make_picture(320, 240, seed=1)
    picture.save(path, quality=95, exif=exif(orientation))
    image = read_image(path, draft_size=60)
    viewed = Image.fromarray(np.ascontiguousarray(VIEWED[orientation](np.asarray(picture))))
    assert min(image.size) >= 60 and max(image.size) < 320  # reduced, but not below what was asked for
    expected = np.asarray(viewed.resize(image.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(image, float) - expected).mean() < 3


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])  # Pillow looks into a JPEG's before we do
@pytest.mark.parametrize("data", [b"Exif\0\0garbage", b"\xff" * 40, b""])
def test_broken_exif_is_ignored(tmp_path, data, name):
    path = tmp_path / name
    Image.fromarray(RGB).save(path, quality=95, exif=data)
    assert read_image(path).size == (2, 3)


# -- modes -----------------------------------------------------------------------------------------


def test_rgb_is_kept(tmp_path):
    path = tmp_path / "p.png"
    Image.fromarray(RGB).save(path)
    assert read_image(path).mode == "RGB"
    np.testing.assert_array_equal(read_array(path), RGB)


def test_alpha_is_kept(tmp_path):
    rgba = np.dstack([RGB, [[0, 255], [128, 3], [255, 7]]]).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").mode == "RGBA"
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), rgba)


def test_greyscale(tmp_path):
    grey = RGB[..., 0]
    Image.fromarray(grey).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").mode == "RGB"
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), np.dstack([grey] * 3))


def test_greyscale_with_alpha(tmp_path):
    Image.fromarray(RGB[..., :2].copy(), "LA").save(tmp_path / "p.png")
    grey, alpha = RGB[..., 0], RGB[..., 1]
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), np.dstack([grey, grey, grey, alpha]))


def test_one_bit(tmp_path):
    bits = np.array([[0, 1], [1, 1], [0, 0]], bool)
    Image.fromarray(bits).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), np.dstack([bits * np.uint8(255)] * 3))


def palette_picture():
    image = Image.new("P", (2, 1))
    image.putpalette([250, 10, 20, 30, 240, 50])
    image.putdata([1, 0])
    return image


def test_palette(tmp_path):
    palette_picture().save(tmp_path / "p.png")
    assert read_array(tmp_path / "p.png").tolist() == [[[30, 240, 50], [250, 10, 20]]]


def test_palette_with_a_transparent_colour(tmp_path):
    palette_picture().save(tmp_path / "p.png", transparency=1)
    assert read_array(tmp_path / "p.png").tolist() == [[[30, 240, 50, 0], [250, 10, 20, 255]]]


def test_palette_with_a_transparency_for_every_colour(tmp_path):
    palette_picture().save(tmp_path / "p.png", transparency=bytes([100, 200]))
    assert read_array(tmp_path / "p.png").tolist() == [[[30, 240, 50, 200], [250, 10, 20, 100]]]


def test_rgb_with_a_transparent_colour(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "p.png", transparency=(200, 0, 90))
    array = read_array(tmp_path / "p.png")
    assert array.shape == (3, 2, 4)
    assert array[0, 1, 3] == 0 and (array[..., 3] == 0).sum() == 1


def test_cmyk(tmp_path):
    inks = [[(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (255, 255, 255, 255)]]
    Image.fromarray(np.array(inks, np.uint8), "CMYK").save(tmp_path / "p.tif")
    seen = [[(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 0, 0), (0, 0, 0)]]
    np.testing.assert_array_equal(read_array(tmp_path / "p.tif"), seen)


def test_cmyk_jpeg(tmp_path):
    """Adobe's CMYK JPEGs store the inks inverted; a reader that forgets it shows a negative."""
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "p.jpg", quality=95)
    red, green, blue = read_array(tmp_path / "p.jpg")[8, 8]
    assert red > 230 and green < 25 and blue < 25


def test_unusable_colour_profile_is_ignored(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "p.tif", icc_profile=b"no profile")
    assert read_array(tmp_path / "p.tif")[0, 0].tolist() == [255, 0, 0]


def test_16_bit_png(tmp_path):
    values = np.array([[0, 65535, 32768], [257, 128, 129]], np.uint16)
    Image.fromarray(values).save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.mode.startswith("I")  # else this test says nothing
    expected = [[0, 255, 128], [1, 0, 1]]  # round(v / 65535 * 255)
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), np.dstack([expected] * 3))


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0, 100, 255], [0, 100, 255]),  # 8-bit numbers in a 32-bit container
        ([0, 65535, 32768], [0, 255, 128]),  # 16-bit numbers
        ([0, 2**30, 2**29], [0, 255, 128]),  # anything larger: its maximum is white
        ([-500, 0, 255], [0, 0, 255]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_32_bit_integers(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.int32)).save(tmp_path / "p.tif")
    np.testing.assert_array_equal(read_array(tmp_path / "p.tif")[0, :, 0], expected)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0.0, 1.0, 0.5], [0, 255, 128]),
        ([0.0, 255.0, 99.6], [0, 255, 100]),
        ([float("nan"), 1.0, 0.2], [0, 255, 51]),
        ([float("inf"), 1.0, float("-inf")], [0, 255, 0]),
        ([-0.5, 1.0, 0.0], [0, 255, 0]),
    ],
)
def test_floating_point(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "p.tif")
    array = read_array(tmp_path / "p.tif")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array[0], np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("extension", ["gif", "webp", "png"])
def test_first_frame_of_an_animation(tmp_path, extension):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"p.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert read_array(path)[4, 4, :3].tolist() == [255, 0, 0]


def test_a_single_pixel(tmp_path):
    Image.fromarray(RGB[:1, :1]).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), RGB[:1, :1])


def test_a_name_that_lies_about_the_format(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "p.jpg", format="PNG")
    np.testing.assert_array_equal(read_array(tmp_path / "p.jpg"), RGB)


# -- no pictures -----------------------------------------------------------------------------------


@pytest.fixture
def broken_files(tmp_path, make_picture, png_without_pixels):
    """Names of files in ``tmp_path`` that are no pictures."""
    folder = tmp_path
    make_picture(64, 48, seed=0).save(folder / "whole.jpg", quality=90)
    make_picture(64, 48, seed=0).save(folder / "whole.png")
    jpeg, png = (folder / "whole.jpg").read_bytes(), (folder / "whole.png").read_bytes()
    contents = {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png[: len(png) // 2],
        "header_alone.jpg": jpeg[:40],
        "corrupt.png": png[:60] + bytes(len(png) - 60),
        "empty.jpg": b"",
        "text.png": b"this is no picture",
        "page.jpg": b"<!DOCTYPE html><html>404 Not Found</html>",
        "huge_header.png": png_without_pixels(100_000, 100_000),
        "no_pixels.png": png_without_pixels(20, 20),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return [*contents, "folder.jpg", "missing.jpg"]


def test_files_that_are_no_pictures_are_refused_by_name(tmp_path, broken_files):
    for name in broken_files:
        with pytest.raises(ImageError) as error:
            read_image(tmp_path / name)
        message = str(error.value)
        assert str(tmp_path / name) in message and "\n" not in message, message
        assert ":" in message, f"{message!r} does not say what to do"


def test_the_reason_is_told(tmp_path, broken_files):
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    for name, reason in {
        "missing.jpg": "does not exist",
        "folder.jpg": "is a folder",
        "empty.jpg": "empty",
        "huge_header.png": "10000000000 pixels, more than --max_pixels",
        "text.png": "no format that this Pillow decodes",
        "truncated.jpg": "truncated",
        "phone.jpg": "HEIC, which Pillow does not decode; export it as JPEG",
    }.items():
        with pytest.raises(ImageError, match=reason):
            read_image(tmp_path / name)


# -- tensors ---------------------------------------------------------------------------------------


def test_tensors_and_back():
    tensor = image_to_tensor(Image.fromarray(RGB))
    assert tensor.dtype == torch.uint8 and tensor.shape == (3, 3, 2)
    assert tensor[:, 1, 0].tolist() == [0, 255, 1]
    np.testing.assert_array_equal(np.asarray(tensor_to_image(tensor)), RGB)
    np.testing.assert_array_equal(np.asarray(tensor_to_image(tensor.float())), RGB)


def test_values_are_rounded_and_clamped():
    values = torch.tensor([-3.0, 0.4, 0.6, 254.6, 300.0]).expand(3, 1, 5)
    assert np.asarray(tensor_to_image(values))[0, :, 0].tolist() == [0, 0, 1, 255, 255]


def test_tensors_show_what_is_seen_on_white():
    """Two pictures that look the same train the same, whatever colours lie under what is transparent."""
    alpha = np.array([[0, 255], [128, 255], [255, 0]], np.uint8)
    for hidden in (0, 99):
        rgb = np.where(alpha[..., None] == 0, hidden, RGB).astype(np.uint8)
        image = Image.fromarray(np.dstack([rgb, alpha]))
        tensor = picture_batch(image)
        assert tensor.shape == (1, 3, 3, 2) and tensor.dtype == torch.float32
        seen = (RGB * (alpha[..., None] / 255) + 255 - alpha[..., None]).round()
        np.testing.assert_allclose(tensor[0].permute(1, 2, 0).numpy(), seen, atol=1)


@pytest.mark.parametrize("size, expected", [((60, 30), (20, 40)), ((30, 60), (40, 20)), ((7, 7), (20, 20))])
def test_short_side(make_picture, size, expected):
    picture = make_picture(*size, seed=2)
    tensor = picture_batch(picture, short_side=20)
    assert tensor.shape == (1, 3, *expected)
    assert (tensor.mean(dim=(0, 2, 3)) - torch.tensor(np.asarray(picture).mean(axis=(0, 1)))).abs().max() < 2
