"""``python -m export.model``: other file formats, styles taken out, left out, and merged."""

import functools
import json
import sys

import pytest
import torch

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import one_style, without_style
from models.transformer_net import TransformerNet
from tests.comparing import same
from tests.noise import pictures
from utils.errors import UserError

PROVENANCE = {"style": "stripes.png", "step": 7, "settings": {"lr": 0.001, "style_size": None, "sizes": (1, 2)}}


@pytest.fixture
def call(call_cli):
    """``call(*arguments)`` runs python -m export.model."""
    return functools.partial(call_cli, "export.model")


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(5)
    save_checkpoint(tmp_path / "m.pth", Checkpoint(TransformerNet("instance", "resize"), PROVENANCE))
    return tmp_path / "m.pth"


def assert_same(one, other):
    one, other = load_checkpoint(one), load_checkpoint(other)
    assert one.network.architecture() == other.network.architecture()
    assert json.dumps(one.provenance) == json.dumps(other.provenance)
    assert same(one.network.state_dict(), other.network.state_dict())


@pytest.mark.parametrize("name", ["model", "gallery"])
def test_there_and_back_again(call, request, name, tmp_path):
    pytest.importorskip("safetensors")
    model = request.getfixturevalue(name)
    assert call(model, tmp_path / "m.safetensors").ok() == f"Wrote {tmp_path / 'm.safetensors'}\n"
    assert_same(model, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").stat().st_size < 4e6
    call(tmp_path / "m.safetensors", tmp_path / "back.pth").ok()
    assert_same(model, tmp_path / "back.pth")


def test_a_checkpoint_to_resume_from_becomes_a_style_model(call, tmp_path):
    save_checkpoint(tmp_path / "step_000007.pth", Checkpoint(TransformerNet(), PROVENANCE, {"step": 7}))
    call(tmp_path / "step_000007.pth", tmp_path / "m.pth").ok()
    assert load_checkpoint(tmp_path / "m.pth").resume_state is None
    with pytest.raises(UserError, match="m.safetensors cannot hold a training to resume"):
        save_checkpoint(tmp_path / "m.safetensors", Checkpoint(TransformerNet(), PROVENANCE, {"step": 7}))


def test_without_the_package_it_is_one_sentence(call, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    assert "pip install safetensors" in call(model, tmp_path / "m.safetensors").error
    assert [path.name for path in tmp_path.iterdir()] == ["m.pth"]


# -- styles ----------------------------------------------------------------------------------------


@torch.no_grad()
def stylized(network):
    network = network.network if isinstance(network, Checkpoint) else network
    return network(pictures(1, 16, 20))


def assert_alike(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


def test_an_extracted_style_is_a_model_of_its_own(gallery, call, tmp_path):
    call(gallery, tmp_path / "s.pth", "--style", "scream").ok()
    one, network = load_checkpoint(tmp_path / "s.pth"), load_checkpoint(gallery).network
    assert not isinstance(one.network, MultiStyleNet) and one.styles("s.pth") == ("scream",)
    assert_alike(stylized(one), stylized(network.for_style(1)))
    scales = {"content": 1.0, "style": [2.0] * 5, "total_variation": 4.0}
    assert one.provenance == {"style": "scream.jpg", "style_level": 0.2, "loss_scales": scales}
    call(gallery, tmp_path / "m.pth", "--style", "wave:1,mosaic:3").ok()
    assert_alike(stylized(load_checkpoint(tmp_path / "m.pth")), stylized(network.for_style([0.25, 0.0, 0.75])))
    assert "has one style, scream" in call(tmp_path / "s.pth", tmp_path / "n.pth", "--style", "scream").error


@pytest.mark.parametrize(
    "file, flags, words",
    [("new.pth", ["--style", "scrm"], "did you mean scream"), ("new.onnx", [], "unknown ending"),
     ("new.pth", ["--style", "wave:x"], "neither a style nor a mixture"),
     ("new.pth", ["--without", "unheard"], "there are wave, scream, mosaic"),
     ("new.pth", ["--without", "wave:1,scream:1,mosaic:1"], "leaves no style"),
     ("new.pth", ["--without", "wave", "--style", "mosaic"], "exclude each other")],
)  # fmt: skip
def test_what_cannot_be_is_refused(gallery, call, tmp_path, file, flags, words):
    assert words in call(gallery, tmp_path / file, *flags).error and not list(tmp_path.iterdir())


def test_removed_and_merged_again(gallery, call, tmp_path):
    network = load_checkpoint(gallery).network
    call(gallery, tmp_path / "rest.pth", "--without", "scream").ok()
    rest = load_checkpoint(tmp_path / "rest.pth")
    assert rest.network.styles == ("wave", "mosaic") and rest.provenance["style_level"] == [0.1, 0.3]
    assert_alike(stylized(rest.network.for_style(1)), stylized(network.for_style(2)))
    call(gallery, tmp_path / "scream.pth", "--style", "scream").ok()
    error = call(gallery, tmp_path / "scream.pth", tmp_path / "m.pth").error
    assert "several styles are called scream" in error
    call(tmp_path / "rest.pth", tmp_path / "scream.pth", tmp_path / "all.pth").ok()
    merged = load_checkpoint(tmp_path / "all.pth")
    assert merged.network.styles == ("wave", "mosaic", "scream")
    assert merged.provenance["style"] == ["wave.jpg", "mosaic.jpg", "scream.jpg"]
    assert_alike(stylized(merged.network.for_style(2)), stylized(network.for_style(1)))
    assert_alike(stylized(merged.network.for_style(1)), stylized(network.for_style(2)))
    # What made each style stays with it, however often it is taken out and merged.
    for name, level in (("wave", 0.1), ("mosaic", 0.3), ("scream", 0.2)):
        kept = one_style(merged, name).provenance
        assert (kept["style"], kept["style_level"]) == (f"{name}.jpg", level)
        assert kept["loss_scales"]["style"] == [10 * level] * 5
    parts = without_style(merged, "wave").provenance["merged_from"]
    assert [part["style"] for part in parts] == ["mosaic.jpg", "scream.jpg"]


@pytest.mark.parametrize("norm, words", [("instance", "they differ in more than"), ("batch", "has batch norm")])
def test_other_networks_cannot_be_merged(gallery, trained_like, call, tmp_path, norm, words):
    save_checkpoint(tmp_path / "other.pth", Checkpoint(trained_like(norm, width=0.25, seed=5), {"style": "kiss.jpg"}))
    error = call(gallery, tmp_path / "other.pth", tmp_path / "m.pth").error
    assert "these models cannot be merged: " in error and words in error
