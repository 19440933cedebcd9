"""The baseline computes what ours does, arithmetic is counted right, and the commands write what the report reads."""

import importlib.util
import json
import os

import pytest
import torch
from torch.nn import functional as F

from benchmarks import inference, instruction_sets, large_picture, loading, page, tables, training, video
from benchmarks.convolutions import Convolutions
from benchmarks.plain import STYLE_LAYERS, PlainNetwork, PlainVGG
from models.transformer_net import TransformerNet
from models.vgg19 import VGG19


@pytest.fixture
def command(call_cli):
    """``command(module, *args)`` runs a benchmark, and gives what it printed."""
    return lambda module, *args: call_cli(module.__name__, *args).ok()


@pytest.mark.parametrize("training_mode", [False, True])
def test_the_baseline_is_the_same_network(training_mode):
    torch.manual_seed(0)
    network = TransformerNet().train(training_mode)
    plain = PlainNetwork(network).train(training_mode)
    images = torch.rand(2, 3, 24, 32) * 255
    torch.testing.assert_close(plain(images), network(images), rtol=0, atol=1e-2)


def test_the_baseline_has_the_same_loss_network():
    torch.manual_seed(0)
    vgg = VGG19()
    images = torch.rand(1, 3, 32, 32) * 255
    ours, plain = vgg(images, STYLE_LAYERS), PlainVGG(vgg.state_dict())(images)
    for name in STYLE_LAYERS:
        torch.testing.assert_close(plain[name], ours[name], rtol=1e-3, atol=1e-6)


def test_convolutions_are_counted():
    x, w = torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(5, 3, 3, 3, requires_grad=True)
    once = 2 * 2 * 8 * 8 * 5 * 3 * 9  # a multiplication and an addition for each of N H W, D, C and tap
    with Convolutions() as counted:
        F.conv2d(x, w, padding=1)
    assert counted.flop() == once
    with Convolutions() as counted:
        F.conv2d(x, w, padding=1).sum().backward()
    assert counted.flop() == 3 * once
    w = torch.rand(3, 5, 4, 4)
    with Convolutions() as counted:
        F.conv_transpose2d(x, w, stride=2, padding=1)
    assert counted.flop() == 2 * 2 * 8 * 8 * 3 * 5 * 16
    assert counted.seconds_alone(torch.device("cpu"), rounds=1) > 0


def test_training_inference_and_their_report(command, tmp_path):
    small = ["--device", "cpu", "--rounds", 1]
    printed = command(training, *small, "--image_size", 32, "--json", tmp_path / "training.json")
    assert "| plain, float32 |" in printed and "| ours |" in printed
    result = json.loads((tmp_path / "training.json").read_text())
    seconds = result["median_seconds_per_step"]
    assert result["speedup"] == pytest.approx(seconds["plain"] / seconds["ours"])
    assert result["machine"]["torch"] == torch.__version__ and result["machine"]["commit"]

    printed = command(inference, *small, "--sizes", 16, "--own_sizes", 20, "--json", tmp_path / "inference.json")
    assert "| 16² |" in printed and "| 20² | - |" in printed
    result = json.loads((tmp_path / "inference.json").read_text())
    assert result["sizes"]["16"]["median_seconds"].keys() >= {"plain", "ours"}

    picture = ["--picture", tmp_path / "plot.png"] if importlib.util.find_spec("matplotlib") else []
    printed = command(tables, "--results", tmp_path, *picture)
    assert "## Training step" in printed and "| 20² | - | - |" in printed
    assert not picture or (tmp_path / "plot.png").stat().st_size > 1000


def test_instruction_sets_are_known_by_the_processor_s_flags():
    levels = instruction_sets.levels_here("model : X\nflags\t\t: fpu avx2 avx512bw avx512_bf16\n")
    assert [level.name for level in levels] == ["AVX2", "AVX-512", "AVX-512 bfloat16"]
    assert instruction_sets.levels_here("Features : fp asimd\n") == [] and instruction_sets.levels_here("") == []


@pytest.mark.slow
def test_instruction_sets(command, tmp_path, monkeypatch):
    monkeypatch.setattr(instruction_sets, "LEVELS", instruction_sets.LEVELS[:1])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    tiny = ["--rounds", 1, "--size", 16, "--image_size", 32, "--batch_size", 1, "--json", tmp_path / "sets.json"]
    printed = command(instruction_sets, *tiny)
    rows = json.loads((tmp_path / "sets.json").read_text())["rows"]
    assert [row["threads"] for row in rows if row["threads"]] == [1]
    assert all(row["training"]["ours"] > 0 and row["inference"]["ours"] > 0 for row in rows)
    assert all(f"| {row['name']}, {row['precision']} |" in printed for row in rows)


def test_a_report_of_nothing_is_an_error(call_cli, tmp_path):
    assert "holds no results" in call_cli("benchmarks.tables", "--results", tmp_path).error


def test_loading(command, photos, tmp_path):
    small = ["--image_size", 32, "--batches", 2, "--rounds", 1]
    printed = command(loading, "--dataset_dir", photos, *small, "--json", tmp_path / "loading.json")
    assert "| no worker |" in printed
    rates = json.loads((tmp_path / "loading.json").read_text())["photographs_per_second"]
    assert rates.keys() == {"0", "1", "2"} and all(rate > 0 for rate in rates.values())


def test_video(command, tmp_path):
    pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")
    small = ["--device", "cpu", "--rounds", 1, "--sizes", "64x48", "--frames", 4]
    printed = command(video, *small, "--json", tmp_path / "video.json")
    assert "| 64 x 48 |" in printed
    timing = json.loads((tmp_path / "video.json").read_text())["sizes"]["64x48"]
    assert timing["median_seconds"].keys() == {"network", "film"} and len(timing["peak_memory_bytes"]) == 2


@pytest.mark.slow
def test_page(command, tmp_path):
    for module in ("starlette", "uvicorn", "websockets"):
        pytest.importorskip(module, reason="needs requirements-demo.txt")
    printed = command(
        page, "--device", "cpu", "--rounds", 1, "--sizes", "64x48", "--frame", "32x24", "--seconds", 0.5,
        "--json", tmp_path / "page.json",
    )  # fmt: skip
    assert "| 64 x 48 |" in printed and "webcam of 32 x 24" in printed
    result = json.loads((tmp_path / "page.json").read_text())
    first, whole = (result["sizes"]["64x48"]["seconds"][name] for name in ("first", "whole"))
    assert len(first) == 1 and 0 < first[0] <= whole[0]
    assert result["webcam"]["rate"] > 0 and result["webcam"]["enlarged"] >= 1


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell what a process took")
def test_large_picture(command, tmp_path):
    printed = command(large_picture, "--side", 900, "--device", "cpu", "--json", tmp_path / "large.json")
    assert "| 900 x 900, --stroke_scale 1 |" in printed
    runs = json.loads((tmp_path / "large.json").read_text())["runs"]
    assert all(run["processor_seconds"] > 0 and run["beyond_picture_bytes"] > 50e6 for run in runs.values())
