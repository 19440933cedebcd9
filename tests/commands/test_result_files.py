"""The files that results become: format, quality, EXIF, colours; and standard input and output."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

import begin_inference
from inference.stylizer import Stylizer
from tests.drawing_png import encoded

FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif", "tiff": ".tif"}


@pytest.fixture(autouse=True)
def skip_without_avif(request):
    Image.init()
    callspec = getattr(request.node, "callspec", None)
    if callspec and "avif" in callspec.params.values() and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow cannot write AVIF: 11.3 and later do")


@pytest.fixture
def painted(stylize, tmp_path):
    """``painted(photograph, *flags)`` runs the command and returns its result, loaded."""

    def call(*arguments):
        stylize(*arguments).ok()
        (path,) = (tmp_path / "results").iterdir()
        with Image.open(path) as image:
            image.load()
            image.getexif()
        path.unlink()
        image.filename = path.name
        return image

    return call


# -- format and quality ----------------------------------------------------------------------------


@pytest.mark.parametrize("flag, mode", [*((name, "RGBA") for name in FORMATS), ("jpg", "RGB"), ("tif", "RGB")])
def test_every_format_is_written(painted, style_model, tmp_path, make_picture, flag, mode):
    name = {"jpg": "jpeg", "tif": "tiff"}.get(flag, flag)
    picture = make_picture(40, 30, seed=1).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(tmp_path / "photo.png")
    image = painted(tmp_path / "photo.png", "--format", flag)
    assert image.format == name.upper() and image.filename == f"photo_stripes{FORMATS[name]}"
    expected = Stylizer(style_model, "cpu", "float32").stylize(picture)
    if mode == "RGBA" and name == "jpeg":  # which has no transparency: white shows through
        expected = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), expected).convert("RGB")
    assert image.mode == expected.mode
    difference = np.abs(np.asarray(image, float) - np.asarray(expected, float)).mean()
    assert difference == 0 if name in ("png", "tiff") else difference < 4


@pytest.mark.parametrize("name", ["auto", "webp", "avif"])
def test_quality_makes_larger_files(stylize, tmp_path, make_picture, name):
    make_picture(64, 48, seed=1).save(tmp_path / "photo.jpg")
    sizes = []
    for quality in (5, 100):
        stylize(tmp_path / "photo.jpg", "--format", name, "--quality", quality, "--overwrite")
        (path,) = (tmp_path / "results").iterdir()
        sizes.append(path.stat().st_size)
        with Image.open(path) as image:
            assert image.format != "JPEG" or JpegImagePlugin.get_sampling(image) == 0  # colours at full resolution
    assert sizes[0] < sizes[1]


def test_a_quality_that_has_no_effect_is_refused(stylize, tmp_path, make_picture):
    photos = tmp_path / "photos"
    photos.mkdir()
    make_picture(20, 16, seed=1).save(photos / "one.png")
    for name in ("png", "tiff"):
        assert f"--format {name}" in stylize(photos / "one.png", "--format", name, "--quality", "90").error
    for photographs in (photos, photos / "one.png"):
        assert "--quality 90 means nothing to .png" in stylize(photographs, "--quality", "90").error
    assert not (tmp_path / "results").exists()
    make_picture(20, 16, seed=1).save(photos / "two.jpg")  # to which it means something
    assert stylize(photos, "--quality", "90").returncode == 0


def test_a_format_that_this_pillow_cannot_write_is_refused(stylize, tmp_path, monkeypatch):
    monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
    assert "--format avif" in stylize("content/mountains.jpg", "--format", "avif").error
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name, most", [("webp", 16383), ("jpeg", 65500)])
def test_a_picture_too_large_for_the_format_is_refused(stylize, tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(Stylizer, "stylize", lambda self, image, *args, **kwargs: image)
    Image.new("RGB", (most + 1, 1)).save(tmp_path / "photo.png")
    error = stylize(tmp_path / "photo.png", "--format", name).error
    assert f"photo_stripes{FORMATS[name]}" in error and str(most) in error and "--format" in error
    assert not list((tmp_path / "results").iterdir())
    Image.new("RGB", (most, 1)).save(tmp_path / "photo.png")
    assert stylize(tmp_path / "photo.png", "--format", name).returncode == 0


def test_what_is_named_as_a_jpeg_and_transparent_becomes_a_png(stylize, painted, tmp_path, make_picture):
    photo, earlier = tmp_path / "photo.jpg", tmp_path / "results" / "photo_stripes.png"
    picture = make_picture(20, 16, seed=1)
    picture.putalpha(100)
    picture.save(photo, "PNG")
    image = painted(photo)
    assert image.format == "PNG" and image.mode == "RGBA" and image.filename == "photo_stripes.png"
    earlier.write_bytes(b"mine")
    assert "photo_stripes.png" in stylize(photo).error
    assert stylize(photo, "--skip_existing").returncode == 0
    assert earlier.read_bytes() == b"mine"
    assert stylize(photo, "--overwrite").returncode == 0
    assert earlier.read_bytes() != b"mine"


def test_a_picture_that_is_not_what_it_is_named_as_leaves_the_results_of_others(stylize, tmp_path, make_picture):
    (tmp_path / "photos").mkdir()
    make_picture(20, 16, seed=1).convert("RGBA").save(tmp_path / "photos" / "photo.jpg", "PNG")
    make_picture(30, 16, seed=1).save(tmp_path / "photos" / "photo.png")
    assert stylize(tmp_path / "photos").returncode == 0
    for name, width in {"photo.jpg": 20, "photo.png": 30}.items():
        with Image.open(tmp_path / "results" / f"{name}_stripes.png") as image:
            assert image.width == width


# -- EXIF ------------------------------------------------------------------------------------------


def exif_of_a_camera(orientation=6):
    """EXIF with a camera, a place, maker notes and a thumbnail, as bytes."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Leica", orientation
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
        ExifTags.Base.ExifImageWidth: 4000, ExifTags.Base.ExifImageHeight: 3000,
        ExifTags.Base.MakerNote: b"a preview of the old picture",
    }  # fmt: skip
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.5)}
    data = exif.tobytes()
    thumbnail = b"\xff\xd8 thumbnail \xff\xd9"
    directory = struct.pack(">H", 2)
    for tag, value in ((513, len(data) - 6 + 30), (514, len(thumbnail))):  # JPEGInterchangeFormat and its length
        directory += struct.pack(">HHII", tag, 4, 1, value)
    data += directory + struct.pack(">I", 0) + thumbnail
    first = 6 + 8 + 2 + 12 * struct.unpack_from(">H", data, 14)[0]  # behind the first directory: where the next lies
    return data[:first] + struct.pack(">I", len(data) - 6 - 30 - len(thumbnail)) + data[first + 4 :]


@pytest.mark.parametrize(
    "source, name", [("jpg", "webp"), ("png", "avif"), ("webp", "tiff"), ("tif", "jpeg"), ("avif", "png")]
)
def test_exif_is_kept_and_the_orientation_reset(painted, tmp_path, make_picture, name, source):
    make_picture(40, 24, seed=1).save(tmp_path / f"photo.{source}", exif=exif_of_a_camera())
    image = painted(tmp_path / f"photo.{source}", "--format", name)
    exif = image.getexif()
    assert image.size == (24, 40) and exif.get(ExifTags.Base.Orientation, 1) == 1  # Pillow leaves it out of AVIF
    assert exif[ExifTags.Base.Make] == "Leica"
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    assert camera[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
    assert (camera[ExifTags.Base.ExifImageWidth], camera[ExifTags.Base.ExifImageHeight]) == (24, 40)
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 31.0, 12.5)
    assert ExifTags.Base.MakerNote not in camera and not exif.get_ifd(ExifTags.IFD.IFD1)
    # Of a TIFF, the tags of the old file's pixels are not those of the new one's.
    assert ExifTags.Base.StripOffsets not in exif or name == "tiff"


@pytest.mark.parametrize("damage", ["garbage", "wrong type", "too long"])
def test_broken_exif_never_stops_a_picture(painted, tmp_path, make_picture, damage):
    exif = exif_of_a_camera()
    if damage == "garbage":
        exif = b"Exif\0\0" + bytes(range(256))
    elif damage == "wrong type":
        sound, broken = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0), struct.pack(">HHII", 0x0112, 9, 1, 2**32 - 1)
        exif = exif.replace(sound, broken)
    else:  # than a JPEG holds
        tags = Image.Exif()
        tags[ExifTags.Base.ImageDescription] = "x" * 70_000
        exif = tags.tobytes()
    path = tmp_path / ("photo.png" if damage == "too long" else "photo.jpg")
    make_picture(40, 24, seed=1).save(path, exif=exif)
    assert painted(path, "--format", "jpeg").size == (40, 24)


# -- colours ---------------------------------------------------------------------------------------


def with_primaries(profile, *primaries):
    """An ICC profile with other XYZ values (D50) of red, green and blue."""
    for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries):
        (start,) = struct.unpack_from(">I", profile, profile.index(name) + 4)
        packed = struct.pack(">iii", *(round(value * 65536) for value in values))
        profile = profile[: start + 8] + packed + profile[start + 20 :]
    return profile


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WIDE = with_primaries(SRGB, (0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))  # Adobe RGB


@pytest.mark.parametrize("name", FORMATS)
def test_the_profile_is_kept(painted, tmp_path, make_picture, name):
    make_picture(40, 24, seed=1).save(tmp_path / "photo.jpg", icc_profile=WIDE)
    assert painted(tmp_path / "photo.jpg", "--format", name).info["icc_profile"] == WIDE


def test_the_network_sees_and_gives_srgb(painted, tmp_path, make_picture, monkeypatch):
    """A picture in a wide gamut is shown, by a viewer that knows profiles, as its sRGB twin is stylised."""
    wide = Image.blend(make_picture(40, 24, seed=1), Image.new("RGB", (40, 24), "grey"), 0.4)
    wide.save(tmp_path / "photo.png", icc_profile=WIDE)
    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(WIDE)), ImageCms.createProfile("sRGB")
    twin = ImageCms.profileToProfile(wide, own, srgb, renderingIntent=1)
    seen = []

    def paint(image):
        return Image.blend(image.convert("RGB"), Image.new("RGB", image.size, (200, 120, 60)), 0.5)

    monkeypatch.setattr(Stylizer, "stylize", lambda self, image, *args, **kwargs: seen.append(image) or paint(image))
    result = painted(tmp_path / "photo.png")
    shown = ImageCms.profileToProfile(result, own, srgb, renderingIntent=1)
    far = np.abs(np.asarray(twin, float) - np.asarray(wide, float)).max()
    assert far > 15  # else this test says nothing
    assert np.abs(np.asarray(seen[0], float) - np.asarray(twin, float)).max() <= 1
    assert np.abs(np.asarray(shown, float) - np.asarray(paint(twin), float)).max() <= 3


@pytest.mark.parametrize("kind", ["broken", "grey", "inks"])
def test_a_profile_that_is_not_the_results_is_left_out(painted, tmp_path, make_picture, kind):
    picture = make_picture(40, 24, seed=1)
    if kind == "grey":
        picture, profile = picture.convert("L"), WIDE.replace(b"RGB ", b"GRAY").replace(b"rTRC", b"kTRC")
    elif kind == "inks":
        picture, profile = picture.convert("CMYK"), WIDE.replace(b"RGB ", b"CMYK")
    else:
        profile = WIDE[:200]
    picture.save(tmp_path / "photo.jpg", icc_profile=profile)
    assert "icc_profile" not in painted(tmp_path / "photo.jpg").info


def test_inks_are_seen_through_their_profile(painted, tmp_path, make_picture):
    """One of which, version 2, says that every mixture of inks is the same grey."""
    identity = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += 4 * identity + 16 * bytes((128, 128, 128)) + 3 * identity
    table += bytes(-len(table) % 4)
    head = struct.pack(">I4sI", 128 + 4 + 12 + len(table), b"none", 0x02100000) + b"prtrCMYKLab "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061) + bytes(48)
    profile = head + struct.pack(">I4sII", 1, b"A2B0", 128 + 4 + 12, len(table)) + table
    make_picture(40, 24, seed=1).convert("CMYK").save(tmp_path / "photo.jpg", icc_profile=profile)
    image = painted(tmp_path / "photo.jpg", "--format", "png", "--strength", "0")
    assert "icc_profile" not in image.info
    assert np.ptp(np.asarray(image)) == 0


# -- standard input and output ---------------------------------------------------------------------


@pytest.fixture
def pipe(call_cli, style_model, monkeypatch):
    """``pipe(data, *flags)`` gives the command ``data`` on standard input."""

    def call(data, *more):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        return call_cli("begin_inference.py", "--model_path", style_model, "--content_image", "-", *more)

    return call


@pytest.mark.parametrize("kind, more, expected", [("PNG", [], "PNG"), ("JPEG", [], "JPEG"), ("JPEG", ["webp"], "WEBP")])
def test_a_pipe(style_model, tmp_path, make_picture, kind, more, expected):
    """On the real command line."""
    command = [sys.executable, begin_inference.__file__, "--model_path", style_model, "--content_image", "-"]
    command += ["--format", *more] if more else []
    data = encoded(make_picture(40, 24, seed=1), kind)
    result = subprocess.run(command, input=data, capture_output=True, cwd=tmp_path, check=True)
    assert b"Stylising on" in result.stderr and b"Wrote standard output, 40 x 24" in result.stderr
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert image.size == (40, 24) and image.format == expected
    assert not list(tmp_path.iterdir())


def test_a_pipe_with_no_picture(pipe):
    for data in (b"", b"no picture"):
        result = pipe(data)
        assert result.error.startswith("error: standard input ") and result.stdout == ""


def test_a_pipe_with_more_than_a_picture_needs(pipe, make_picture):
    picture = encoded(make_picture(8, 8, seed=1), "PNG")
    error = pipe(picture + bytes(2**20 + 16 * 64), "--max_pixels", 64).error
    assert "standard input has more bytes than a picture of" in error


def test_what_makes_no_sense_with_a_pipe_is_refused(pipe):
    for more in (["photo.jpg"], ["--output_dir", "x"], ["--overwrite"], ["--skip_existing"], ["--json"]):
        assert ("other photographs" if more[0] == "photo.jpg" else more[0]) in pipe(b"", *more).error
