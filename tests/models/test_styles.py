"""Models of several styles, and --style of begin_inference.py."""

import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.stylizer import Blend, StylizeError, Stylizer
from models.checkpoints import load_checkpoint
from utils.files import PROGRAM


@pytest.fixture
def repaint(stylize, gallery, tmp_path, make_picture):
    make_picture(40, 32, 1).save(tmp_path / "photo.png")
    return functools.partial(stylize, tmp_path / "photo.png", "--model_path", gallery)


def result(gallery, tmp_path, weights):
    network = load_checkpoint(gallery).network.for_style(weights)
    with Image.open(tmp_path / "photo.png") as photo:
        return np.asarray(Stylizer(network, "cpu", "float32").stylize(photo.convert("RGB"))).astype(int)


@pytest.mark.parametrize(
    "flags, name, weights",
    [([], "photo_gallery", [1, 0, 0]), (["--style", "scream"], "photo_scream", [0, 1, 0]),
     (["--style", "wave:1,mosaic:3"], "photo_wave+mosaic", [0.25, 0, 0.75])],
)  # fmt: skip
def test_a_style_is_chosen_by_name(repaint, gallery, tmp_path, flags, name, weights):
    assert ("has 3 styles, and this is the first, wave" in repaint(*flags).ok()) == (not flags)
    found = np.asarray(Image.open(tmp_path / "results" / f"{name}.png")).astype(int)
    assert abs(found - result(gallery, tmp_path, [float(weight) for weight in weights])).max() <= 1


def test_several_make_a_contact_sheet(repaint, tmp_path):
    for flags in (["--style", "all"], ["--style", "scream", "wave:1,mosaic:1", "--overwrite"]):
        repaint(*flags).ok()
        assert [path.name for path in (tmp_path / "results").iterdir()] == ["photo_contact_sheet.png"]


def test_styles_are_listed(repaint, tmp_path):
    assert repaint("--list_styles").stdout == "wave\nscream\nmosaic\n"
    assert not (tmp_path / "results").exists()


def test_without_a_model_the_styles_of_all_that_ship_are_listed(call_cli):
    lines = call_cli("begin_inference.py", "--list_styles").ok().splitlines()
    models = {Path(line.rpartition(": ")[0]).name for line in lines}
    assert models == {path.name for path in (PROGRAM / "checkpoints").rglob("*.pth")} and len(lines) > len(models)


@pytest.mark.parametrize("style", ["waev", "a/b", "wave:0", "a,b", "a:1,a:1", "a:nan", "a:-1", ":1"])
def test_a_wrong_style_is_refused(repaint, gallery, tmp_path, style):
    words = "did you mean wave" if style == "waev" else "is neither a style nor a mixture"
    assert words in repaint("--style", style).error and not (tmp_path / "results").exists()
    with pytest.raises(StylizeError, match=words):
        Stylizer(gallery, "cpu", "float32", style=style)


def test_a_model_of_one_style_has_none_to_choose(call_cli, style_model, tmp_path):
    result = call_cli("begin_inference.py", "--model_path", style_model, "--style", "wave", "--output_dir", tmp_path)
    assert "has one style, stripes: leave out --style" in result.error
    flags = ["--model_path", style_model, "--style", "stripes", "--output_dir", tmp_path, "--max_size", 32]
    call_cli("begin_inference.py", *flags, "--device", "CPU", "--format", "PNG").ok()
    assert [path.name for path in tmp_path.iterdir()] == ["mountains_stripes.png"]


def test_a_blend_takes_a_style_of_a_model_of_several(call_cli, gallery, style_model, tmp_path, make_picture):
    make_picture(40, 32, 1).save(tmp_path / "photo.png")
    flags = ("--content_image", tmp_path / "photo.png", "--output_dir", tmp_path, "--precision", "float32")
    told = call_cli("begin_inference.py", "--blend", f"{gallery}/scream:1,{style_model}:3", *flags)
    assert "this is the first" not in told.ok()
    parts = [Stylizer(gallery, "cpu", "float32", style="scream"), Stylizer(style_model, "cpu", "float32")]
    blend = Blend(parts, [1, 3])
    with Image.open(tmp_path / "photo.png") as photo, Image.open(tmp_path / "photo_scream+stripes.png") as found:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(blend.stylize(photo.convert("RGB"))))
    for part, words in ((f"{style_model}/wave", "has one style"), (f"{gallery}/waev", "mean wave"), ("x/y", "x/y")):
        assert words in call_cli("begin_inference.py", "--blend", f"{part}:1,{style_model}:1", *flags).error
