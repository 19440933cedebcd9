"""``python -m export.onnx``: what ONNX Runtime makes of a file is what the network makes."""

import json
import math
import re
import sys

import pytest
import torch

from export.checking import GREY_LEVELS, largest_difference
from export.onnx import OnnxConfig, export_onnx, parse_size, runner
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.transformer_net import TransformerNet
from utils.errors import UserError

SIZES = [(1, 2), (6, 3), (4, 9), (11, 8)]  # all remainders of four, either side


@pytest.fixture(scope="module")
def several(gallery):
    return load_checkpoint(gallery).network


@pytest.fixture(scope="module")
def onnx_graph():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from export import onnx_graph

    return onnx_graph


@pytest.mark.parametrize("norm, upsample", [("batch", "resize"), ("instance", "transposed"), ("mixed", "resize")])
def test_it_is_the_network_at_every_size(norm, upsample, trained_like, onnx_graph):
    network = trained_like(norm, upsample, 0.25, 3)
    sizes = [(1, 1), *SIZES] if norm == "batch" else SIZES  # instance norm makes noise of a picture of one colour
    assert largest_difference(runner(onnx_graph.to_onnx(network)), network, sizes) <= GREY_LEVELS


def test_instance_norm_is_exact_in_a_large_picture(onnx_graph):
    network = TransformerNet("instance").eval()
    network.layers = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.InstanceNorm2d(3, affine=True))
    network.layers[1].weight.data.fill_(4)
    assert largest_difference(runner(onnx_graph.to_onnx(network)), network, [(667, 1000)]) < 0.001


@pytest.mark.parametrize("norm, size", [("instance", (16, 24)), ("mixed", (19, 30))])
def test_a_fixed_size_is_what_opencv_reads(norm, size, trained_like, onnx_graph, tmp_path):
    cv2 = pytest.importorskip("cv2")
    network = trained_like(norm)
    save_checkpoint(tmp_path / "m.pth", Checkpoint(network, {}))
    assert export_onnx(OnnxConfig(tmp_path / "m.pth", tmp_path / "m.onnx", size=f"{size[0]}x{size[1]}")) <= GREY_LEVELS
    images = torch.rand(1, 3, *size) * 255
    opencv = cv2.dnn.readNetFromONNX(str(tmp_path / "m.onnx"))
    opencv.setInput(images.numpy(), "image")
    kept = load_checkpoint(tmp_path / "m.pth").network  # whose kernels were halved
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(opencv.forward("stylized")), kept(images), rtol=0, atol=0.01)


@pytest.mark.parametrize("text", ["720", "0x3", "1x2x3"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UserError, match=f"--size {text} is no size: .* 720x1280"):
        parse_size(text)


def test_a_single_pixel_has_a_result(trained_like, onnx_graph):
    result = runner(onnx_graph.to_onnx(trained_like("instance")))(torch.full((2, 3, 1, 1), 50.0))
    assert result.shape == (2, 3, 1, 1) and (result >= 0).all() and (result <= 255).all()


def test_several_styles_are_mixed_by_a_second_input(several, onnx_graph):
    run = runner(onnx_graph.to_onnx(several))
    assert largest_difference(run, several, SIZES) <= GREY_LEVELS
    images = torch.rand(2, 3, 13, 10) * 255
    mixture = torch.tensor([[0.0, 0.7, 0.3]])
    for style in (mixture, torch.cat([mixture, mixture.flip(1)])):  # for all pictures, and for each
        with torch.no_grad():
            expected = several(images, style.expand(2, 3))
        torch.testing.assert_close(run(images, style), expected, rtol=0, atol=0.01)
    assert not torch.allclose(run(images, mixture), run(images, mixture.flip(1)), atol=1)


def test_a_layer_without_a_translation_is_refused(trained_like, onnx_graph):
    network = trained_like()
    network.layers[0].append(torch.nn.GELU())
    with pytest.raises(TypeError, match="GELU"):
        onnx_graph.to_onnx(network)


def test_a_file_of_halves_says_what_it_is(several, onnx_graph, tmp_path):
    import onnxruntime

    save_checkpoint(tmp_path / "m.pth", Checkpoint(several, {"settings": {"lr": 0.1}}))
    assert export_onnx(OnnxConfig(tmp_path / "m.pth", tmp_path / "m.onnx", "float16")) <= 0.2
    assert (tmp_path / "m.onnx").stat().st_size < 0.6 * 4 * sum(value.numel() for value in several.parameters())
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta()
    assert json.loads(metadata.custom_metadata_map["styles"]) == ["wave", "scream", "mosaic"]
    assert json.loads(metadata.custom_metadata_map["provenance"])["settings"]["lr"] == 0.1
    assert "research" in metadata.custom_metadata_map["license"] and metadata.producer_name
    described = [(one.name, one.shape, one.type) for one in (*session.get_inputs(), *session.get_outputs())]
    image = ["batch", 3, "height", "width"], "tensor(float)"
    assert described == [("image", *image), ("style", ["mixtures", 3], "tensor(float)"), ("stylized", *image)]


@pytest.mark.parametrize("scale", [7.9, math.nan])
def test_a_file_that_differs_is_not_left(scale, style_model, onnx_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "TANH_SCALE", scale)
    with pytest.raises(UserError, match="m.onnx was not written: it would differ from the network by"):
        export_onnx(OnnxConfig(style_model, tmp_path / "m.onnx"))
    assert not list(tmp_path.iterdir())


def test_the_command(call_cli, style_model, onnx_graph, tmp_path):
    arguments = "export.onnx", style_model, tmp_path / "m.onnx"
    assert f"Wrote {tmp_path / 'm.onnx'}, 0.5 MB; within 0.0" in call_cli(*arguments).stdout
    assert re.search("exists already: .* --overwrite", call_cli(*arguments).error)
    with pytest.raises(UserError, match="unknown ending: give a name that ends in .onnx"):
        export_onnx(OnnxConfig(style_model, tmp_path / "m.pth"))


def test_without_the_packages_it_says_which(style_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install -r requirements-export.txt"):
        export_onnx(OnnxConfig(style_model, tmp_path / "m.onnx"))
