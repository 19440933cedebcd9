"""Stroke size, strength, colours, masks, mixtures and contact sheets through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from config import InferenceConfig
from inference.named_styles import style_name
from inference.options import StyleOptions
from inference.stylizer import Blend, Stylizer
from models.checkpoints import Checkpoint, save_checkpoint
from training.norm_statistics import estimate_statistics


@pytest.fixture(scope="module")
def styles(trained_like, tmp_path_factory):
    """Two models, ``one.pth`` and ``two.pth``, in a folder."""
    folder = tmp_path_factory.mktemp("styles")
    for seed, name in enumerate(["one", "two"]):
        network = trained_like(width=0.25, seed=seed)
        estimate_statistics(network, [torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255])
        save_checkpoint(folder / f"{name}.pth", Checkpoint(network.eval(), {}))
    return folder


@pytest.fixture
def stylize(call_cli, styles, tmp_path):
    """``stylize(*flags)``: ``photo.png`` in the first style, into ``tmp_path/results``."""

    def call(*flags, photograph=tmp_path / "photo.png", model=True):
        model_path = ["--model_path", styles / "one.pth"] if model else []
        return call_cli(
            "begin_inference.py", *model_path, "--content_image", photograph, "--output_dir", tmp_path / "results",
            "--device", "cpu", "--precision", "float32", "--overwrite", *flags,
        )  # fmt: skip

    return call


@pytest.fixture
def photo(make_picture, tmp_path):
    """``photo.png``, transparent in places."""
    picture = make_picture(90, 60, seed=1)
    picture.putalpha(Image.fromarray(np.random.default_rng(0).integers(1, 256, (60, 90), np.uint8)))
    picture.save(tmp_path / "photo.png")
    return np.asarray(picture)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def result(tmp_path, name="photo_one.png"):
    return read(tmp_path / "results" / name)


@pytest.fixture
def mask(tmp_path):
    """Of twice the size; black because transparent, with white colours under it, on the left."""
    picture = Image.new("RGBA", (180, 120), (255, 255, 255, 0))
    picture.paste("white", (90, 0, 180, 120))
    picture.save(tmp_path / "mask.png")
    return picture


def test_flags_are_the_options_of_the_engine(stylize, styles, photo, mask, tmp_path):
    stylizer = Stylizer(styles / "one.pth", "cpu", "float32")
    for flags, options in (
        ([], StyleOptions()),
        (["--strength", 0], StyleOptions(strength=0)),
        (["--strength", 0.4], StyleOptions(strength=0.4)),
        (["--preserve_color"], StyleOptions(preserve_color=True)),
        (["--stroke_scale", 2], StyleOptions(stroke_scale=2)),
        (["--mask", tmp_path / "mask.png", "--strength", 0.7], StyleOptions(strength=0.7, mask=mask)),
    ):
        stylize(*flags).ok()
        expected = stylizer.stylize(Image.fromarray(photo), options)
        np.testing.assert_array_equal(result(tmp_path), np.asarray(expected), err_msg=str(flags))
        np.testing.assert_array_equal(result(tmp_path)[..., 3], photo[..., 3])
    np.testing.assert_array_equal(result(tmp_path)[:, :42], photo[:, :42])  # what the mask keeps
    for flag, wrong in (("--strength", "-0.1"), ("--strength", "nan"), ("--stroke_scale", "0"), ("--max_size", "15")):
        assert flag in stylize(flag, wrong).error


def test_a_mask_that_cannot_be_used_names_its_flag(stylize, photo, mask, tmp_path):
    Image.new("L", (50, 50)).save(tmp_path / "square.png")
    error = stylize("--mask", tmp_path / "square.png").error
    assert f"{tmp_path / 'photo.png'}: --mask is 50 x 50 and the picture 90 x 60" in error
    assert f"--mask: {tmp_path / 'missing.png'} does not exist" in stylize("--mask", tmp_path / "missing.png").error
    assert "--mask: " in stylize("--mask", tmp_path / "mask.png", "--max_pixels", "5399").error  # one less than it has


def test_a_blend_is_the_engines(stylize, styles, photo, tmp_path):
    blend = f"{styles / 'one.pth'}:0.6, {styles / 'two.pth'}:0.2"
    assert stylize("--blend", blend, model=False).returncode == 0
    stylizers = [Stylizer(styles / f"{name}.pth", "cpu", "float32") for name in ("one", "two")]
    expected = Blend(stylizers, [3, 1]).stylize(Image.fromarray(photo))
    np.testing.assert_array_equal(result(tmp_path, "photo_one+two.png"), np.asarray(expected))
    assert len(style_name(InferenceConfig(blend=f"{'x' * 90}.pth:1,{'y' * 90}.pth:1"))) == 100


def test_a_mask_that_fits_some_of_many_photographs(stylize, photo, tmp_path, make_picture):
    (tmp_path / "album").mkdir()
    for name, size in (("fits", (90, 60)), ("wrong", (60, 90))):
        make_picture(*size, seed=1).save(tmp_path / "album" / f"{name}.png")
    Image.new("L", (46, 30)).save(tmp_path / "mask.png")  # nearly
    run = stylize("--mask", tmp_path / "mask.png", "--json", photograph=tmp_path / "album")
    assert run.returncode == 1
    facts = {Path(fact["input"]).stem: fact for fact in map(json.loads, run.stdout.splitlines())}
    assert facts["fits"]["status"] == "done" and facts["wrong"]["status"] == "failed"
    assert "--mask is 46 x 30" in facts["wrong"]["error"]
    np.testing.assert_array_equal(result(tmp_path, "fits_one.png"), read(tmp_path / "album" / "fits.png"))


def test_max_size(stylize, photo, tmp_path):
    run = stylize("--max_size", "45")
    assert run.returncode == 0 and "Reduced to 45 pixels" in run.stdout
    small = result(tmp_path)
    assert small.shape == (30, 45, 4)
    assert "Reduced" not in stylize("--max_size", "90").stdout
    assert result(tmp_path).shape == (60, 90, 4)
    with Image.open(tmp_path / "photo.png") as image:
        image.resize((45, 30), Image.Resampling.LANCZOS).save(tmp_path / "photo.png")
    stylize()
    np.testing.assert_array_equal(small, result(tmp_path))


def test_the_default_says_what_it_does_to_a_large_photograph(stylize, photo, tmp_path, monkeypatch):
    """With a stand-in for the 720 pixels from which on photographs are large."""
    assert "Strokes" not in stylize().stdout
    monkeypatch.setattr("inference.options.WORKING_SHORT_SIDE", 20)
    assert "Strokes as on a short side of 720 pixels" in stylize().stdout and result(tmp_path).shape == (60, 90, 4)
    by_default = result(tmp_path)
    assert "Strokes" not in stylize("--stroke_scale", "3").stdout
    np.testing.assert_array_equal(by_default, result(tmp_path))


@pytest.mark.parametrize("blend", ["one.pth:1", "one.pth:1,two.pth", "a:1,b:-1", "a:nan,b:1"])
def test_a_blend_that_is_none_is_refused(stylize, photo, blend):
    error = stylize("--blend", blend, model=False).error
    assert blend in error and "a.pth:0.6,b.pth:0.4" in error


def test_a_blend_and_a_model_exclude_each_other(stylize, photo, styles, tmp_path):
    assert "--model_path" in stylize("--blend", f"{styles / 'one.pth'}:1,{styles / 'two.pth'}:1").error
    error = stylize("--blend", f"{styles / 'one.pth'}:1,{tmp_path / 'none.pth'}:1", model=False).error
    assert "--blend" in error and "none.pth" in error
    assert not (tmp_path / "results").exists()


def test_several_models_make_a_contact_sheet(stylize, styles, photo, tmp_path):
    models = ["--model_path", styles / "one.pth", styles / "two.pth"]
    stylize(*models, "--preserve_color").ok()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["photo_contact_sheet.png"]
    sheet = result(tmp_path, "photo_contact_sheet.png")
    assert sheet.shape == (60 + 24, 3 * 168 - 8, 3)
    with Image.open(tmp_path / "photo.png") as image:
        for i, stem in enumerate(["one", "two"]):
            stylizer = Stylizer(styles / f"{stem}.pth", "cpu", "float32")
            styled = stylizer.stylize(image, StyleOptions(preserve_color=True))
            styled = Image.alpha_composite(Image.new("RGBA", styled.size, "white"), styled).convert("RGB")
            left = (i + 1) * 168
            np.testing.assert_array_equal(sheet[:60, left : left + 90], np.asarray(styled))
            assert (sheet[60:, left : left + 90] < 128).any()  # its name
    assert stylize(*models, "--max_size", "100").returncode == 0
    assert max(result(tmp_path, "photo_contact_sheet.png").shape) == 100
