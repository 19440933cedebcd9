"""Style models as .safetensors files, and from one format to the other."""

import json
import struct
import sys

import pytest
import torch

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.convert import convert
from models.transformer_net import TransformerNet
from tests.comparing import same
from utils.errors import UserError

PROVENANCE = {"style": "stripes.png", "step": 7, "settings": {"lr": 0.001, "style_size": None, "sizes": (1, 2)}}


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


def test_there_and_back_again(model, tmp_path, capsys):
    pytest.importorskip("safetensors")
    convert(model, tmp_path / "m.safetensors")
    assert f"Wrote {tmp_path / 'm.safetensors'}" in capsys.readouterr().out
    assert_same(model, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").stat().st_size < 4e6
    convert(tmp_path / "m.safetensors", tmp_path / "back.pth")
    assert_same(model, tmp_path / "back.pth")


def test_others_can_read_it(model, tmp_path):
    """By the format's own description: a length, a header of JSON, and the numbers."""
    pytest.importorskip("safetensors")
    convert(model, tmp_path / "m.safetensors")
    content = (tmp_path / "m.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert json.loads(metadata["architecture"])["norm"] == "instance"
    assert json.loads(metadata["provenance"])["step"] == 7
    assert header["layers.0.0.weight"]["dtype"] == "F16" and header["layers.0.0.weight"]["shape"] == [32, 3, 9, 9]


def test_a_checkpoint_to_resume_from_becomes_a_style_model(tmp_path):
    save_checkpoint(tmp_path / "step_000007.pth", Checkpoint(TransformerNet(), PROVENANCE, {"step": 7}))
    convert(tmp_path / "step_000007.pth", tmp_path / "m.pth")
    assert load_checkpoint(tmp_path / "m.pth").training is None
    with pytest.raises(UserError, match="m.safetensors cannot hold a training to resume"):
        save_checkpoint(tmp_path / "m.safetensors", Checkpoint(TransformerNet(), PROVENANCE, {"step": 7}))


def test_nothing_is_replaced_unasked(model, tmp_path):
    (tmp_path / "other.pth").write_bytes(b"precious")
    with pytest.raises(UserError, match="other.pth exists already"):
        convert(model, tmp_path / "other.pth")
    assert (tmp_path / "other.pth").read_bytes() == b"precious"
    convert(model, tmp_path / "other.pth", overwrite=True)
    assert_same(model, tmp_path / "other.pth")
    with pytest.raises(UserError, match="model.onnx has an unknown ending"):
        convert(model, tmp_path / "model.onnx")


def test_without_the_package_it_is_one_sentence(model, tmp_path, monkeypatch):
    (tmp_path / "given.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for source, target in ((model, tmp_path / "m.safetensors"), (tmp_path / "given.safetensors", tmp_path / "b.pth")):
        with pytest.raises(UserError, match="need the package safetensors: pip install safetensors"):
            convert(source, target)
    assert {path.name for path in tmp_path.iterdir()} == {"m.pth", "given.safetensors"}


def test_a_foreign_safetensors_file(tmp_path):
    torch_files = pytest.importorskip("safetensors.torch")
    torch_files.save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="other.safetensors is not a checkpoint of this project"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_safetensors_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    safetensors = pytest.importorskip("safetensors")
    with open(tmp_path / "large.safetensors", "wb") as file:  # with no bytes on the disk
        file.truncate(100_000_001)
    monkeypatch.setattr(safetensors, "safe_open", lambda *args, **kwargs: pytest.fail("it must not be opened"))
    with pytest.raises(UserError, match="it has 100000001 bytes, and such files have 100000000 at most"):
        load_checkpoint(tmp_path / "large.safetensors")


def test_on_the_command_line(call_cli, model, tmp_path, make_picture):
    pytest.importorskip("safetensors")
    call_cli("models.convert", model, tmp_path / "m.safetensors").ok()
    make_picture(20, 16, seed=1).save(tmp_path / "photo.png")
    call_cli(
        "begin_inference.py", "--model_path", tmp_path / "m.safetensors", "--content_image", tmp_path / "photo.png",
        "--output_dir", tmp_path / "out",
    ).ok()  # fmt: skip
    assert (tmp_path / "out" / "photo_m.png").exists()
