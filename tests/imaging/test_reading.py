"""Picture files of every kind, to what a viewer would show; and files that are no pictures."""

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.formats import picture_endings, reads_heic
from imaging.reading import read_image
from imaging.tensors import image_to_tensor, picture_batch, tensor_to_image
from tests.drawing_png import chunk, encoded, png
from utils.errors import ImageError

RGB = np.array([[[10, 20, 30], [200, 0, 90]], [[0, 255, 1], [77, 78, 79]], [[5, 250, 130], [255, 255, 255]]], np.uint8)

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


@pytest.mark.parametrize("orientation", [2, 6, 7])
def test_exif_orientation_of_a_jpeg_decoded_at_a_reduced_scale(tmp_path, make_picture, orientation):
    path = tmp_path / "photo.jpg"
    picture = make_picture(320, 240, seed=1)
    picture.save(path, quality=95, exif=exif(orientation))
    image = read_image(path, draft_size=60)
    viewed = Image.fromarray(np.ascontiguousarray(VIEWED[orientation](np.asarray(picture))))
    assert min(image.size) >= 60 and max(image.size) < 320  # reduced, but not below what was asked for
    expected = np.asarray(viewed.resize(image.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(image, float) - expected).mean() < 3


# -- modes -----------------------------------------------------------------------------------------


GREY = RGB[..., 0]
ALPHA = np.array([[9, 255], [128, 3], [255, 7]], np.uint8)


@pytest.mark.parametrize(
    "image, expected",
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(np.dstack([RGB, ALPHA])), np.dstack([RGB, ALPHA])),
        (Image.fromarray(GREY), np.dstack([GREY] * 3)),
        (Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), np.dstack([GREY] * 3 + [ALPHA])),
        (Image.fromarray(GREY > 50), np.dstack([(GREY > 50) * np.uint8(255)] * 3)),
    ],
    ids=["RGB", "RGBA", "L", "LA", "1"],
)
def test_modes_of_a_png(tmp_path, image, expected):
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_array(tmp_path / "p.png"), expected)


@pytest.mark.parametrize(
    "options, alpha",
    [({}, None), ({"transparency": 1}, [0, 255]), ({"transparency": bytes([100, 200])}, [200, 100])],
    ids=["opaque", "a transparent colour", "a transparency for every colour"],
)
def test_palette(tmp_path, options, alpha):
    image = Image.new("P", (2, 1))
    image.putpalette([250, 10, 20, 30, 240, 50])
    image.putdata([1, 0])
    image.save(tmp_path / "p.png", **options)
    colours = [[30, 240, 50] if not alpha or alpha[0] else [255, 255, 255], [250, 10, 20]]
    expected = [[c + [a] for c, a in zip(colours, alpha)]] if alpha else [colours]
    assert read_array(tmp_path / "p.png").tolist() == expected


def test_what_nobody_sees_is_white(tmp_path):
    """Else it would spread, through the network or a resizing, into what is seen."""
    Image.fromarray(np.dstack([RGB, np.where(ALPHA < 9, 0, ALPHA)])).save(tmp_path / "p.png")
    array = read_array(tmp_path / "p.png")
    assert array[1, 1].tolist() == array[2, 1].tolist() == [255, 255, 255, 0]
    np.testing.assert_array_equal(array[ALPHA >= 9, :3], RGB[ALPHA >= 9])


@pytest.mark.parametrize(
    "bits, colour_type, row, transparent, first",
    [
        (2, 0, b"\x70", (3,), (85, 85, 85)),
        (8, 0, b"\x0a\xc8", (200,), (10, 10, 10)),
        (16, 0, struct.pack(">2H", 1000, 40000), (40000,), (4, 4, 4)),
        (8, 2, bytes([1, 2, 3, 4, 5, 6]), (4, 5, 6), (1, 2, 3)),
        (16, 2, struct.pack(">6H", 1000, 2000, 3000, 40000, 50000, 60000), (40000, 50000, 60000), (3, 7, 11)),
    ],
)
def test_the_transparent_colour_of_a_png_of_any_depth(tmp_path, bits, colour_type, row, transparent, first):
    """Two pixels in a row, the second one of that colour."""
    chunks = (
        chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)),
        chunk(b"IDAT", zlib.compress(b"\0" + row)),
    )
    (tmp_path / "p.png").write_bytes(png(2, 1, *chunks, bits=bits, colour_type=colour_type))
    assert read_array(tmp_path / "p.png").tolist() == [[[*first, 255], [255, 255, 255, 0]]]


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
        ([0.0, 255.0, 99.6], [0, 255, 100]),
        ([float("nan"), 1.0, 0.2], [0, 255, 51]),
        ([float("inf"), 1.0, float("-inf")], [0, 255, 0]),
    ],
)
def test_32_bit_integers_and_floating_point(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.int32 if type(values[0]) is int else np.float32)).save(tmp_path / "p.tif")
    array = read_array(tmp_path / "p.tif")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array[0], np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tif"])
def test_first_frame_of_an_animation(tmp_path, extension):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"p.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    image = read_image(path)
    assert np.asarray(image)[4, 4, :3].tolist() == [255, 0, 0]
    (remark,) = image.info["remarks"]
    assert str(path) in remark and "first" in remark
    frames[0].save(path, **options)
    assert read_image(path).info["remarks"] == []


# -- no pictures -----------------------------------------------------------------------------------


def test_files_that_are_no_pictures_are_refused_by_name_with_the_reason(tmp_path, make_picture, png_without_pixels):
    jpeg, png = (encoded(make_picture(64, 48, seed=0), kind) for kind in ("JPEG", "PNG"))
    contents = {
        "header_alone.jpg": (jpeg[:40], "a damaged or incomplete JPEG"),
        "corrupt.png": (png[:60] + bytes(len(png) - 60), ": "),
        "empty.jpg": (b"", "empty"),
        "text.png": (b"this is no picture", "no format that this Pillow decodes"),
        "huge_header.png": (png_without_pixels(100_000, 100_000), "10000000000 pixels, more than --max_pixels"),
        "no_pixels.png": (png_without_pixels(20, 20), ": "),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    more = {"folder.jpg": (None, "is a folder"), "missing.jpg": (None, "does not exist")}
    for name, (_, reason) in (contents | more).items():
        with pytest.raises(ImageError, match=reason) as error:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)
    for name in ("header_alone.jpg", "no_pixels.png", "text.png"):  # what holds no pixel is no part of a picture
        with pytest.raises(ImageError):
            read_image(tmp_path / name, partial=True)


RAW = "a camera's raw file: export a JPEG of it"


@pytest.mark.parametrize(
    "head, what",
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "a film"),
        (b"\x1aE\xdf\xa3\x9f", "a film"),
        (b"\n<!DOCTYPE html><html>404", "a web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="', "an SVG drawing"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"PK\3\4\x14\0", "an archive"),
        (b"II*\0\x08\0\0\0", "a damaged or incomplete TIFF"),
        (b"RIFF\xff\0\0\0WEBPVP8 ", "a damaged or incomplete WEBP"),
        (b"II*\0\x10\0\0\0CR\2\0", RAW),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", RAW),
        (b"FUJIFILMCCD-RAW 0201FF", RAW),
        (b"\0\0\0\x18ftypavci\0\0\0\0mif1avci", "a HEIF picture of a kind that"),
        (b"\0\0\0\x14ftypmif2\0\0\0\0mif2\0\0\0\x15infe\2\0\0\0\0\1\0\0unci", "a HEIF picture of a kind that"),
        (b"\0\0\0\x14ftypmif2\0\0\0\0mif2\0\0\0\x15infe\2\0\0\0\0\1\0\0hvc1", "a HEIF picture of a kind that"),
        (b"\0\0\0\x14ftypunif\0\0\0\0unif", "a HEIF picture of a kind that is not read here"),
    ],
)
def test_what_is_no_picture_is_named_by_its_first_bytes(tmp_path, head, what):
    (tmp_path / "p.jpg").write_bytes(head + bytes(40))
    with pytest.raises(ImageError, match=f"p.jpg is {what}"):
        read_image(tmp_path / "p.jpg")


def tiff(tags: dict[int, int]) -> bytes:
    """A picture of 4 x 4 grey pixels with further tags, of one number each."""
    tags = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 400, 278: 4, 279: 16, **tags}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries).ljust(400, b"\0") + bytes(range(16))


@pytest.mark.parametrize(
    "name, tags, is_raw",
    [
        ("p.tif", {}, False),
        ("p.tif", {254: 0, 330: 300}, False),  # a picture in several sizes, the largest first
        ("p.tif", {50706: 0x401}, True),  # a DNG
        ("p.tif", {254: 1, 330: 300}, True),  # a preview, and what it is of
        ("p.tif", {262: 32803}, True),  # a sensor's colours
        ("p.NEF", {}, True),
        ("p.arw", {259: 32767}, True),
    ],
)
def test_the_preview_of_a_cameras_raw_file_is_not_taken_for_it(tmp_path, name, tags, is_raw):
    (tmp_path / name).write_bytes(tiff(tags))
    if not is_raw:
        assert read_array(tmp_path / name)[..., 0].flatten().tolist() == list(range(16))
        return
    with pytest.raises(ImageError, match=f"{name} is {RAW}"):
        read_image(tmp_path / name, partial=True)


def test_heic_is_read_under_any_name(tmp_path, make_picture):
    pytest.importorskip("pillow_heif")
    assert reads_heic() and ".heic" in picture_endings()
    make_picture(64, 48, seed=1).save(tmp_path / "p.jpg", "HEIF", quality=90)
    difference = np.asarray(read_image(tmp_path / "p.jpg"), float) - np.asarray(make_picture(64, 48, seed=1))
    assert np.abs(difference).mean() < 4


# -- pictures whose end is missing -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["JPEG", "JPEG progressive", "PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("kept", [0.6, 1.0])
def test_a_picture_whose_end_is_missing_is_read_as_far_as_it_goes(tmp_path, make_picture, name, kept):
    """For inference, with a remark; a training, which has others, leaves it out."""
    path, picture = tmp_path / "p.jpg", make_picture(240, 320, seed=1)
    picture.save(path, name.split()[0], progressive="progressive" in name)
    whole, content = np.asarray(read_image(path), float), path.read_bytes()
    path.write_bytes(content[: min(len(content) - 2, int(kept * len(content)))])
    if kept == 1 and name in ("PNG", "GIF"):  # whose last bytes say nothing
        assert read_image(path, partial=True).info["remarks"] == []
        return
    with pytest.raises(ImageError, match="p.jpg cannot be read as a picture .its end is missing.: give another"):
        read_image(path)
    image = read_image(path, partial=True)
    assert image.info["remarks"] == [f"{path} is damaged (its end is missing): what can be read of it is taken"]
    right = np.abs(np.asarray(image, float) - whole).max(axis=-1) < (60 if "progressive" in name else 8)
    assert right.mean() > kept - 0.2


# -- TIFF ------------------------------------------------------------------------------------------


def test_a_compression_that_is_lacking_is_no_damage(tmp_path, make_picture):
    path = tmp_path / "p.tif"
    make_picture(32, 24, seed=1).save(path, compression="tiff_lzw")
    content = path.read_bytes()
    entry = content.index(struct.pack("<HHI", 259, 3, 1)) + 8
    path.write_bytes(content[:entry] + struct.pack("<H", 34661) + content[entry + 2 :])
    with pytest.raises(ImageError, match="is a TIFF of compression 34661, which the Pillow installed here does not"):
        read_image(path)


def test_libtiff_keeps_quiet_and_its_numbers_are_put_into_words(tmp_path, make_picture, capfd):
    path = tmp_path / "p.tif"
    make_picture(64, 48, seed=1).save(path, compression="tiff_lzw")
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(300) + content[400:])
    with pytest.raises(ImageError, match="cannot be read as a picture .its data are damaged."):
        read_image(path)
    assert capfd.readouterr() == ("", "")


# -- tensors ---------------------------------------------------------------------------------------


def test_tensors_and_back():
    tensor = image_to_tensor(Image.fromarray(RGB))
    assert tensor.dtype == torch.uint8 and tensor.shape == (3, 3, 2)
    assert tensor[:, 1, 0].tolist() == [0, 255, 1]
    for given in (tensor, tensor.float()):
        np.testing.assert_array_equal(np.asarray(tensor_to_image(given)), RGB)
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
