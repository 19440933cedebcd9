"""Checkpoint files: what comes back out of them, and what is refused."""

import pytest
import torch

from models.checkpoints import FORMAT, VERSION, Checkpoint, load_checkpoint, save_checkpoint
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from tests.comparing import same
from utils.errors import UserError
from utils.files import PROGRAM

PROVENANCE = {"style": "stripes.png", "step": 7, "settings": {"lr": 0.001, "style_size": None}}


def network(norm="batch", upsample="transposed", width=1.0, blocks=5):
    torch.manual_seed(5)
    return TransformerNet(norm, upsample, width, blocks)


@pytest.fixture
def model(tmp_path):
    """A final style model."""
    path = tmp_path / "stripes.pth"
    save_checkpoint(path, Checkpoint(network(), PROVENANCE))
    return path


# -- round trip ------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_network", [("batch", "resize", 1.0, 5), ("instance", "transposed", 0.25, 3)])
def test_a_training_checkpoint_comes_back_bit_for_bit(tmp_path, of_network):
    net = network(*of_network)
    training = {"step": 7, "optimizer": {"state": {0: {"exp_avg": torch.randn(3)}}}, "unreadable": {4: "broken.jpg"}}
    save_checkpoint(tmp_path / "step.pth", Checkpoint(net, PROVENANCE, training))
    loaded = load_checkpoint(tmp_path / "step.pth")
    assert tuple(loaded.network.architecture().values()) == of_network
    assert same(loaded.network.state_dict(), net.state_dict())
    assert loaded.provenance == PROVENANCE and same(loaded.resume_state, training)
    assert not loaded.network.training


# -- refused: every file that is not a whole, finite model of this project -------------------------


def change(path, edit):
    contents = torch.load(path, weights_only=True)
    edit(contents)
    torch.save(contents, path)


KEY = "layers.0.0.weight"


def weights(contents):
    return contents["model"]["state_dict"]


def replace_weight(new, key=KEY):
    return lambda contents: weights(contents).update({key: new(weights(contents)[key])})


def with_value(value):
    def fill(tensor):
        tensor = tensor.double()
        tensor.view(-1)[0] = value
        return tensor

    return fill


def architecture(**values):
    return lambda contents: contents["model"]["architecture"].update(values)


EDITS = {
    "version": (lambda c: c.update(version=VERSION + 1), f"version {VERSION + 1}"),
    "format": (lambda c: c.update(format="something else"), "not a checkpoint of this project"),
    "norm": (architecture(norm=["batch"]), "architecture"),
    "width": (architecture(width=1e9), "architecture"),
    "no model": (lambda c: c.pop("model"), "architecture"),
    "no provenance": (lambda c: c.update(provenance=None), "no provenance"),
    "missing weight": (lambda c: weights(c).pop(KEY), "weights"),
    "extra weight": (lambda c: weights(c).update(more=torch.zeros(3)), "weights"),
    "shape": (replace_weight(lambda tensor: tensor[:, :, 1:]), f"shape of {KEY}"),
    "no tensor": (replace_weight(lambda tensor: 3.0), f"shape of {KEY}"),
    "whole numbers": (replace_weight(torch.Tensor.int), f"type of {KEY}"),
    "not a number": (replace_weight(with_value(float("nan"))), rf"not finite \({KEY}\)"),
    "beyond float32": (replace_weight(with_value(1e300)), "not finite"),
    "negative variance": (replace_weight(with_value(-1.0), "layers.0.1.running_var"), "variance"),
}


@pytest.mark.parametrize("edit, words", EDITS.values(), ids=EDITS)
def test_the_refusal_of_a_model_gives_the_reason(model, edit, words):
    change(model, edit)
    with pytest.raises(UserError, match=f"^--model_path {model} .*{words}"):
        load_checkpoint(model)


DAMAGES = {
    "truncated": lambda path, hostile: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "hostile archive": lambda path, hostile: torch.save({"format": FORMAT, "model": hostile}, path),
    "hostile settings": lambda path, hostile: change(path, lambda c: c["provenance"].update(settings=hostile)),
    "whole module": lambda path, hostile: torch.save(network(), path),
    "plain state dict": lambda path, hostile: torch.save(network().state_dict(), path),
    "text": lambda path, hostile: path.write_text("no checkpoint"),
    "missing": lambda path, hostile: path.unlink(),
    "folder": lambda path, hostile: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_and_foreign_files_are_refused_by_name(call_cli, model, tmp_path, hostile, damage):
    damage(model, hostile)
    arguments = ["--model_path", model, "--output_dir", tmp_path / "out"]
    assert f"--model_path {model}" in call_cli("begin_inference.py", *arguments).error
    assert not hostile.marker.exists()  # nothing in it was executed
    assert not (tmp_path / "out").exists()  # and nothing written


@pytest.mark.parametrize(
    "names, whose",
    [
        (["conv1.conv2d.weight", "res1.conv1.conv2d.weight", "deconv1.conv2d.weight"], "fast_neural_style .pytorch/ex"),
        (["ConvBlock.0.conv_layer.weight", "DeconvBlock.0.conv_transpose.weight"], "fast-neural-style-pytorch"),
        (["model.1.weight", "model.10.conv_block.1.weight"], "a CycleGAN"),
        (["features.0.weight", "features.0.bias"], "VGG, the loss network, which --vgg_weights takes"),
    ],
)
def test_another_projects_model_is_named(tmp_path, names, whose):
    """By its weights, alone or beside other things, in files of today's PyTorch and from before 1.6."""
    state = {name: torch.zeros(2) for name in names}
    for contents, new in ((state, True), ({"state_dict": state, "epoch": 3}, False)):
        torch.save(contents, tmp_path / "model.pth", _use_new_zipfile_serialization=new)
        with pytest.raises(UserError, match=f"^--model_path .*model.pth holds the weights of {whose}"):
            load_checkpoint(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "ending, content, what",
    [("pth", b"<!DOCTYPE html><html>", "a web page"),
     ("safetensors", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer")],
)  # fmt: skip
def test_what_came_in_place_of_weights_is_named(tmp_path, ending, content, what):
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    (tmp_path / f"model.{ending}").write_bytes(content)
    with pytest.raises(UserError, match=f"is refused, nothing in it was run: it is {what}"):
        load_checkpoint(tmp_path / f"model.{ending}")
    with pytest.raises(UserError, match=f"cannot be read as a PyTorch state dict: it is {what}"):
        load_vgg19(str(tmp_path / f"model.{ending}"), torch.device("cpu"), torch.float32)


# -- versions and damage ---------------------------------------------------------------------------


WAVE = PROGRAM / "checkpoints" / "wave.pth"


def test_models_of_the_first_version_are_still_read(tmp_path):
    contents = torch.load(WAVE, weights_only=True)
    assert contents["version"] > 1
    model = {"norm": "mixed", "upsample": "transposed", "state_dict": contents["model"]["state_dict"]}
    torch.save({**contents, "version": 1, "model": model}, tmp_path / "wave.pth")
    assert load_checkpoint(tmp_path / "wave.pth").provenance["style"] == "wave.jpg"


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_flipped_bit_is_seen(tmp_path, ending):
    path = tmp_path / f"wave.{ending}"
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    save_checkpoint(path, load_checkpoint(WAVE))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"wave.{ending} is refused.*it is damaged .*checksum"):
        load_checkpoint(path)
