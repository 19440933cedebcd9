"""Stroke size, strength, colours, masks, mixtures and contact sheets through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from config import InferenceConfig
from inference.named_styles import style_name
from inference.options import StyleOptions
from inference.stylizer import Stylizer


@pytest.fixture
def photo(make_picture, tmp_path):
    """The file ``photo.png``, transparent in places."""
    picture = make_picture(90, 60, seed=1)
    picture.putalpha(Image.fromarray(np.random.default_rng(0).integers(1, 256, (60, 90), np.uint8)))
    picture.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def repaint(stylize, photo):
    """``repaint(*flags)``: that photograph, over and over."""
    return lambda *flags: stylize(photo, "--overwrite", *flags)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def result(tmp_path):
    """``result(name)``: the pixels of a result."""
    return lambda name="photo_stripes.png": read(tmp_path / "results" / name)


@pytest.fixture
def mask(tmp_path):
    """Of twice the size; black because transparent, with white colours under it, on the left."""
    picture = Image.new("RGBA", (180, 120), (255, 255, 255, 0))
    picture.paste("white", (90, 0, 180, 120))
    picture.save(tmp_path / "mask.png")
    return picture


def test_flags_are_the_options_of_the_engine(repaint, style_model, photo, mask, tmp_path, result):
    stylizer, pixels = Stylizer(style_model, "cpu", "float32"), read(photo)
    for flags, options in (
        ([], StyleOptions()),
        (["--strength", 0], StyleOptions(strength=0)),
        (["--strength", 0.4], StyleOptions(strength=0.4)),
        (["--preserve_color"], StyleOptions(preserve_color=True)),
        (["--stroke_scale", 2], StyleOptions(stroke_scale=2)),
        (["--mask", tmp_path / "mask.png", "--strength", 0.7], StyleOptions(strength=0.7, mask=mask)),
    ):
        repaint(*flags).ok()
        expected = stylizer.stylize(Image.fromarray(pixels), options)
        np.testing.assert_array_equal(result(), np.asarray(expected), err_msg=str(flags))
        np.testing.assert_array_equal(result()[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(result()[:, :42], pixels[:, :42])  # what the mask keeps
    for flag, wrong in (("--strength", "-0.1"), ("--strength", "nan"), ("--stroke_scale", "0"), ("--max_size", "15")):
        assert flag in repaint(flag, wrong).error


def test_a_mask_that_cannot_be_used_names_its_flag(repaint, mask, tmp_path):
    assert f"--mask: {tmp_path / 'missing.png'} does not exist" in repaint("--mask", tmp_path / "missing.png").error
    assert "--mask: " in repaint("--mask", tmp_path / "mask.png", "--max_pixels", "5399").error  # one less than it has


def test_a_mask_that_fits_some_of_many_photographs(stylize, tmp_path, make_picture, result):
    (tmp_path / "album").mkdir()
    for name, size in (("fits", (90, 60)), ("wrong", (60, 90))):
        make_picture(*size, seed=1).save(tmp_path / "album" / f"{name}.png")
    Image.new("L", (46, 30)).save(tmp_path / "mask.png")  # nearly
    run = stylize(tmp_path / "album", "--mask", tmp_path / "mask.png", "--json")
    assert run.returncode == 1
    facts = {Path(fact["input"]).stem: fact for fact in map(json.loads, run.stdout.splitlines())}
    assert facts["fits"]["status"] == "done" and facts["wrong"]["status"] == "failed"
    assert f"{tmp_path / 'album' / 'wrong.png'}: --mask is 46 x 30 and the picture 60 x 90" in facts["wrong"]["error"]
    np.testing.assert_array_equal(result("fits_stripes.png"), read(tmp_path / "album" / "fits.png"))


def test_max_size(repaint, photo, result):
    assert "Reduced to 45 pixels" in repaint("--max_size", "45").ok()
    small = result()
    assert small.shape == (30, 45, 4)
    assert "Reduced" not in repaint("--max_size", "90").stdout
    assert result().shape == (60, 90, 4)
    with Image.open(photo) as image:
        image.resize((45, 30), Image.Resampling.LANCZOS).save(photo)
    repaint()
    np.testing.assert_array_equal(small, result())


def test_the_default_says_what_it_does_to_a_large_photograph(repaint, result, monkeypatch):
    """With a stand-in for the 720 pixels from which on photographs are large."""
    assert "Strokes" not in repaint().stdout
    monkeypatch.setattr("inference.options.WORKING_SHORT_SIDE", 20)
    assert "Strokes as on a short side of 720 pixels" in repaint().stdout and result().shape == (60, 90, 4)
    by_default = result()
    assert "Strokes" not in repaint("--stroke_scale", "3").stdout
    np.testing.assert_array_equal(by_default, result())


@pytest.mark.parametrize("blend", ["one.pth:1", "one.pth:1,two.pth", "a:1,b:-1", "a:nan,b:1"])
def test_a_blend_that_is_none_is_refused(call_cli, blend):
    error = call_cli("begin_inference.py", "--blend", blend).error
    assert blend in error and "a.pth:0.6,b.pth:0.4" in error


def test_a_blend_and_a_model_exclude_each_other(repaint, call_cli, style_model, tmp_path):
    assert "--model_path" in repaint("--blend", f"{style_model}:1,wave:1").error
    flags = ["--blend", f"{style_model}:1, {tmp_path / 'none.pth'}:1", "--output_dir", tmp_path / "results"]
    error = call_cli("begin_inference.py", *flags).error
    assert "--blend" in error and "none.pth" in error and not (tmp_path / "results").exists()
    assert len(style_name(InferenceConfig(blend=f"{'x' * 90}.pth:1,{'y' * 90}.pth:1"))) == 100


def test_several_models_make_a_contact_sheet(repaint, style_model, photo, tmp_path, result):
    models = ["--model_path", style_model, "fast/wave"]
    repaint(*models, "--preserve_color").ok()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["photo_contact_sheet.png"]
    sheet = result("photo_contact_sheet.png")
    assert sheet.shape == (60 + 24, 3 * 168 - 8, 3)
    for i, model in enumerate(models[1:]):
        stylizer = Stylizer(model, "cpu", "float32")
        styled = stylizer.stylize(Image.fromarray(read(photo)), StyleOptions(preserve_color=True))
        styled = Image.alpha_composite(Image.new("RGBA", styled.size, "white"), styled).convert("RGB")
        left = (i + 1) * 168
        np.testing.assert_array_equal(sheet[:60, left : left + 90], np.asarray(styled))
        assert (sheet[60:, left : left + 90] < 128).any()  # its name
    repaint(*models, "--max_size", "100").ok()
    assert max(result("photo_contact_sheet.png").shape) == 100
