"""python -m models.styles, and --style of begin_inference.py."""

import functools

import numpy as np
import pytest
import torch
from PIL import Image

from inference.stylizer import Blend, StylizeError, Stylizer
from models import styles
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet, parse_mixture
from utils.errors import UserError

STYLES = ("wave", "scream", "mosaic")


@pytest.fixture(scope="module")
def gallery(trained_like, tmp_path_factory):
    torch.manual_seed(2)
    network = MultiStyleNet.begun_from(trained_like("instance"), STYLES)
    for norm in network.norms():
        norm.bias.data.normal_()
    path = tmp_path_factory.mktemp("models") / "gallery.pth"
    provenance = {
        "style": [f"{name}.jpg" for name in STYLES],
        "style_level": [0.1, 0.2, 0.3],
        "loss_scales": {"content": 1.0, "style": [[1.0] * 5, [2.0] * 5, [3.0] * 5], "total_variation": 4.0},
    }
    save_checkpoint(path, Checkpoint(network, provenance))
    return path


@pytest.fixture
def call(call_cli):
    """``call(*arguments)`` runs python -m models.styles."""
    return functools.partial(call_cli, "models.styles")


@torch.no_grad()
def stylized(network):
    network = network.network if isinstance(network, Checkpoint) else network
    return network(torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0)) * 255)


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


# -- files -----------------------------------------------------------------------------------------


def test_list(gallery, call):
    assert call("list", gallery).ok() == "wave\nscream\nmosaic\n"


def test_an_extracted_style_is_a_model_of_its_own(gallery, call, tmp_path):
    call("extract", gallery, "scream", tmp_path / "s.pth").ok()
    one, network = load_checkpoint(tmp_path / "s.pth"), load_checkpoint(gallery).network
    assert not isinstance(one.network, MultiStyleNet) and one.styles("s.pth") == ("scream",)
    assert_same(stylized(one), stylized(network.for_style(1)))
    scales = {"content": 1.0, "style": [2.0] * 5, "total_variation": 4.0}
    assert one.provenance == {"style": "scream.jpg", "style_level": 0.2, "loss_scales": scales}
    call("extract", gallery, "wave:1,mosaic:3", tmp_path / "m.pth").ok()
    assert_same(stylized(load_checkpoint(tmp_path / "m.pth")), stylized(network.for_style([0.25, 0.0, 0.75])))


@pytest.mark.parametrize(
    "arguments, words",
    [(["extract", "scrm", "new.pth"], "did you mean scream"), (["extract", "wave", "new.onnx"], "unknown ending"),
     (["extract", "wave:x", "new.pth"], "neither a style nor a mixture"),
     (["remove", "unheard", "new.pth"], "there are wave, scream, mosaic"),
     (["remove", "wave:1,scream:1,mosaic:1", "new.pth"], "leaves no style")],
)  # fmt: skip
def test_what_cannot_be_is_refused(gallery, call, tmp_path, arguments, words):
    command, style, file = arguments
    assert words in call(command, gallery, style, tmp_path / file).error and not list(tmp_path.iterdir())


def test_removed_and_merged_again(gallery, call, tmp_path):
    network = load_checkpoint(gallery).network
    call("remove", gallery, "scream", tmp_path / "rest.pth").ok()
    rest = load_checkpoint(tmp_path / "rest.pth")
    assert rest.network.styles == ("wave", "mosaic") and rest.provenance["style_level"] == [0.1, 0.3]
    assert_same(stylized(rest.network.for_style(1)), stylized(network.for_style(2)))
    call("extract", gallery, "scream", tmp_path / "scream.pth").ok()
    error = call("merge", gallery, tmp_path / "scream.pth", tmp_path / "m.pth").error
    assert "several styles are called scream" in error
    assert "exists already" in call("merge", tmp_path / "rest.pth", tmp_path / "scream.pth", gallery).error
    call("merge", tmp_path / "rest.pth", tmp_path / "scream.pth", tmp_path / "all.pth").ok()
    merged = load_checkpoint(tmp_path / "all.pth")
    assert merged.network.styles == ("wave", "mosaic", "scream")
    assert merged.provenance["style"] == ["wave.jpg", "mosaic.jpg", "scream.jpg"]
    assert_same(stylized(merged.network.for_style(2)), stylized(network.for_style(1)))
    # What made each is told of it again, however often it was taken apart and put together.
    for name, level in (("wave", 0.1), ("mosaic", 0.3), ("scream", 0.2)):
        told = styles.one_style(merged, name).provenance
        assert (told["style"], told["style_level"]) == (f"{name}.jpg", level)
        assert told["loss_scales"]["style"] == [10 * level] * 5
    parts = styles.without_style(merged, "wave").provenance["merged_from"]
    assert [part["style"] for part in parts] == ["mosaic.jpg", "scream.jpg"]


# -- inference -------------------------------------------------------------------------------------


@pytest.fixture
def repaint(call_cli, gallery, tmp_path, make_picture):
    make_picture(40, 32, 1).save(tmp_path / "photo.png")

    def run(*flags):
        return call_cli(
            "begin_inference.py", "--model_path", gallery, "--content_image", tmp_path / "photo.png",
            "--output_dir", tmp_path / "out", "--precision", "float32", *flags,
        )  # fmt: skip

    return run


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
    found = np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).astype(int)
    assert abs(found - result(gallery, tmp_path, [float(weight) for weight in weights])).max() <= 1


def test_several_make_a_contact_sheet(repaint, tmp_path):
    for flags in (["--style", "all"], ["--style", "scream", "wave:1,mosaic:1", "--overwrite"]):
        repaint(*flags).ok()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo_contact_sheet.png"]


def test_styles_are_listed(repaint, tmp_path):
    assert repaint("--list_styles").stdout == "wave\nscream\nmosaic\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("style, words", [("waev", "mean wave"), ("a/b", "neither a style"), ("wave:0", "neither")])
def test_a_wrong_style_is_told(repaint, tmp_path, style, words):
    assert words in repaint("--style", style).error and not (tmp_path / "out").exists()


def test_a_model_of_one_style_has_none_to_choose(call_cli, style_model, tmp_path):
    result = call_cli("begin_inference.py", "--model_path", style_model, "--style", "wave", "--output_dir", tmp_path)
    assert "has one style" in result.error


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


def test_the_engine_takes_a_style_too(gallery):
    one, first = Stylizer(gallery, "cpu", "float32", style="scream"), Stylizer(gallery, "cpu", "float32")
    images = torch.rand(1, 3, 16, 20) * 255
    assert (one.stylize_tensor(images) - first.stylize_tensor(images)).abs().mean() > 1
    with pytest.raises(StylizeError, match="no style"):
        Stylizer(gallery, "cpu", "float32", style="unheard")


@pytest.mark.parametrize("text", ["", "a,b", "a:1,a:1", "a:nan", "a:-1", "a:inf", "a:1,b", ":1"])
def test_no_mixture(text):
    with pytest.raises(UserError, match="neither a style nor a mixture"):
        parse_mixture(text)


def test_weights_are_brought_to_a_sum_of_one():
    assert parse_mixture("a") == {"a": 1.0} and parse_mixture("a:3, b:1") == {"a": 0.75, "b": 0.25}
