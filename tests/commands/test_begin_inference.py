"""Stylising through the command line."""

import dataclasses
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import begin_inference
from config import InferenceConfig
from inference.stylizer import Stylizer
from models.checkpoints import load_checkpoint
from utils.device import Compute
from utils.errors import UserError
from utils.files import PROGRAM


@torch.no_grad()
def expected_result(style_model, array):
    """The network applied to the pixels, and nothing else."""
    images = torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float()
    return load_checkpoint(style_model).network(images)[0].permute(1, 2, 0).numpy()


# -- sizes, names, values --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(131, 97), (1, 1), (3, 200)])
def test_result_has_the_photographs_size_and_is_what_the_network_says(
    stylize, style_model, tmp_path, make_picture, size
):
    picture = make_picture(*size, seed=1)
    picture.save(tmp_path / "photo.png")
    stylize(tmp_path / "photo.png").ok()
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["photo_stripes.png"]
    with Image.open(tmp_path / "results" / "photo_stripes.png") as image:
        assert image.size == size and image.mode == "RGB"
        difference = np.abs(np.asarray(image, float) - expected_result(style_model, np.asarray(picture)))
    assert difference.max() <= 0.6  # rounding to whole grey levels, and float32


# -- nothing is replaced unasked, nothing is written on a fault ------------------------------------


def test_an_output_folder_that_cannot_be_made(stylize, tmp_path, make_picture, monkeypatch):
    """Before the work, where that can be told."""
    make_picture(21, 18, seed=1).save(tmp_path / "photo.png")
    monkeypatch.setattr(Stylizer, "stylize", lambda *args, **kwargs: pytest.fail("it began"))
    folders = [tmp_path / "photo.png" / "results", *(["/proc/results"] if Path("/proc/self").is_dir() else [])]
    for folder in folders:
        assert f"--output_dir {folder}" in stylize(tmp_path / "photo.png", "--output_dir", folder).error
    assert os.listdir(tmp_path) == ["photo.png"]


@pytest.mark.parametrize("name", ["result.jpg", "sub/Result.PNG"])
def test_an_output_folder_that_is_named_as_a_file_is_refused(stylize, tmp_path, make_picture, name):
    make_picture(21, 18, seed=1).save(tmp_path / "photo.png")
    error = stylize(tmp_path / "photo.png", "--output_dir", tmp_path / name).error
    assert f"--output_dir {tmp_path / name} is named as a file" in error
    assert str((tmp_path / name).with_suffix("")) in error
    assert not (tmp_path / name).exists()
    (tmp_path / name).mkdir(parents=True)  # it may be the name of a folder
    assert stylize(tmp_path / "photo.png", "--output_dir", tmp_path / name).returncode == 0


# -- names of models and samples, from everywhere --------------------------------------------------


@pytest.fixture
def elsewhere(call_cli, tmp_path, monkeypatch):
    """``elsewhere(*flags)`` runs the command in an empty folder, for ``results`` in it."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return lambda *flags: call_cli("begin_inference.py", "--device", "cpu", "--max_size", 32, *flags)


@pytest.mark.parametrize("name, style", [(None, "starry_night"), ("wave", "wave"), ("checkpoints/wave.pth", "wave")])
def test_what_ships_is_found_from_everywhere(elsewhere, name, style):
    result = elsewhere(*([] if name is None else ["--model_path", name]))
    assert "Stylising on" in result.ok() and result.stderr == ""
    assert [path.name for path in Path("results").iterdir()] == [f"mountains_{style}.jpg"]
    sample, image = Image.open(PROGRAM / "content" / "mountains.jpg"), Image.open(f"results/mountains_{style}.jpg")
    assert max(image.size) == 32
    assert np.abs(np.asarray(image, float) - np.asarray(sample.resize(image.size))).mean() > 10


def test_what_is_here_comes_before_what_ships(elsewhere, style_model):
    Path("checkpoints").mkdir()
    Path("checkpoints", "wave.pth").write_bytes(style_model.read_bytes())
    Path("content").mkdir()
    Image.new("RGB", (12, 10)).save("content/mountains.jpg")
    result = elsewhere("--model_path", "wave")
    assert "mountains_wave.jpg, 12 x 10" in result.stdout
    with Image.open("results/mountains_wave.jpg") as image:
        expected = expected_result(style_model, np.zeros((10, 12, 3), np.uint8))
        assert np.abs(np.asarray(image, float) - expected).mean() < 3


def test_a_wrong_name_lists_the_models_that_there_are(elsewhere, style_model):
    Path("checkpoints").mkdir()
    Path("checkpoints", "stripes.pth").write_bytes(style_model.read_bytes())
    for flags in (["--model_path", "monet"], ["--blend", "monet:1,wave:1"]):
        error = elsewhere(*flags).error
        assert f"{flags[0]} monet is not a file" in error
        shipped = [path.relative_to(PROGRAM / "checkpoints") for path in (PROGRAM / "checkpoints").rglob("*.pth")]
        shipped = [path.with_suffix("").as_posix() for path in shipped if "_training" not in str(path)]
        assert error.endswith("or one of " + ", ".join(sorted([*shipped, "stripes"]))) and "films/wave" in shipped
    assert "--content_image photo.jpg does not exist" in elsewhere("--content_image", "photo.jpg").error


def test_the_folder_of_a_training_stands_for_its_newest_checkpoint(elsewhere, style_model):
    folder = Path("out", "stripes_training")
    folder.mkdir(parents=True)
    assert f"--model_path {folder} holds no step_NNNNNN.pth" in elsewhere("--model_path", folder).error
    for name in ("step_000999.pth", "step_1000000.pth", "step_999999999_copy.pth"):
        folder.joinpath(name).write_bytes(style_model.read_bytes() if name == "step_1000000.pth" else b"")
    elsewhere("--model_path", folder).ok()
    assert [path.name for path in Path("results").iterdir()] == ["mountains_stripes_training.jpg"]


# -- settings made in Python -----------------------------------------------------------------------


@pytest.mark.parametrize("console", ["cp1252", None])
def test_pictures_are_stylized_outside_the_main_thread(style_model, tmp_path, make_picture, monkeypatch, console):
    """As by a server or a window, with a console that has no letters for a name, or with none at all."""
    photo = str(tmp_path / "\u6728.png")
    make_picture(21, 18, seed=1).save(photo)
    config = InferenceConfig(style_model, content_image=photo, output_dir=tmp_path / "results", device="cpu")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, console and io.TextIOWrapper(io.BytesIO(), encoding=console))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(begin_inference.stylize, config).result() == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["\u6728_stripes.png"]
    for wrong in ({"strength": 2}, {"format": "gif"}, {"content_image": ()}, {"quality": "high"}, {"mask": ""}):
        with pytest.raises(UserError, match=f"^--{next(iter(wrong))} "):
            begin_inference.stylize(dataclasses.replace(config, **wrong))


# -- the engine behind it --------------------------------------------------------------------------


@pytest.mark.parametrize("norm, size", [("batch", (70, 80)), ("instance", (20, 17)), ("instance", (70, 80))])
def test_stylizer_leaves_the_network_that_it_is_given_as_it_is(trained_like, norm, size):
    """The training draws its monitor pictures with the network that it trains."""
    network = trained_like(norm, width=0.25).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    stylizer = Stylizer(network, compute=Compute(torch.device("cpu"), torch.bfloat16), tile_size=64)
    output = stylizer.stylize_tensor(torch.zeros(1, 3, *size, dtype=torch.uint8))
    assert output.shape == (1, 3, *size) and output.dtype == torch.float32
    assert network.training and all(p.requires_grad and p.dtype == torch.float32 for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gpu_agrees_with_cpu(style_model, precision):
    network = load_checkpoint(style_model).network
    images = torch.rand(1, 3, 41, 50, generator=torch.Generator().manual_seed(1)) * 255
    on_cpu = Stylizer(network, device="cpu", precision="float32").stylize_tensor(images)
    on_gpu = Stylizer(network, device="cuda", precision=precision).stylize_tensor(images).cpu()
    assert (on_gpu - on_cpu).abs().mean() < 3


# -- what ships ------------------------------------------------------------------------------------


def test_shipped_models_are_small_and_say_what_made_them():
    models = sorted((PROGRAM / "checkpoints").glob("*.pth"))
    assert len(models) >= 2
    for path in models:
        provenance = load_checkpoint(path).provenance
        assert path.stat().st_size < 4e6 and provenance["step"] == provenance["total_steps"] > 0
        styles = provenance["style"]
        assert path.stem == ("gallery" if isinstance(styles, list) else Path(styles).stem)
        assert "/" not in str(provenance["settings"])  # no folder of the machine that it was made on
        assert provenance["photographs"] > 0 and provenance["loss_network"]
