"""Stroke size, strength, colours, masks, mixtures and contact sheets through the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from config import InferenceConfig
from imaging.oklab import oklab_to_rgb, rgb_to_oklab
from inference.options import StyleOptions
from inference.styles import style_name
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint, save_checkpoint
from training.batch_norm import estimate_statistics


@pytest.fixture(scope="module")
def styles(trained_like, tmp_path_factory):
    """Two models, ``one.pth`` and ``two.pth``, in a folder."""
    folder = tmp_path_factory.mktemp("styles")
    for seed, name in enumerate(["one", "two"]):
        network = trained_like(seed=seed)
        estimate_statistics(network, [torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255])
        save_checkpoint(folder / f"{name}.pth", Checkpoint(network.eval(), {}))
    return folder


@pytest.fixture
def paint(call_cli, styles, tmp_path):
    """``paint(*flags)``: ``photo.png`` in the first style, into ``tmp_path/results``."""

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
    picture.putalpha(Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)))
    picture.save(tmp_path / "photo.png")
    return np.asarray(picture)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def result(tmp_path, name="photo_one.png"):
    return read(tmp_path / "results" / name)


def tensor(array):
    return torch.from_numpy(array[..., :3].astype(np.float32)).permute(2, 0, 1)[None]


def test_strength(paint, photo, tmp_path):
    assert paint().returncode == 0
    full = result(tmp_path)
    assert paint("--strength", "0").returncode == 0
    np.testing.assert_array_equal(result(tmp_path), photo)
    assert paint("--strength", "1").returncode == 0
    np.testing.assert_array_equal(result(tmp_path), full)
    assert paint("--strength", "0.4").returncode == 0
    mixed = oklab_to_rgb(0.6 * rgb_to_oklab(tensor(photo)) + 0.4 * rgb_to_oklab(tensor(full)))
    np.testing.assert_allclose(tensor(result(tmp_path)).numpy(), mixed.numpy(), atol=3)  # mixed before rounding
    np.testing.assert_array_equal(result(tmp_path)[..., 3], photo[..., 3])
    for wrong in ("-0.1", "1.1", "nan"):
        assert "--strength" in paint("--strength", wrong).error


def test_preserve_color(paint, tmp_path, make_picture):
    photograph = np.asarray(make_picture(90, 60, seed=1)) // 4 + 96  # soft colours, which sRGB has at any lightness
    photograph[:, :20] = photograph[:, :20, :1]  # and a grey side
    photograph[:12, 20:] = (0, 0, 255)  # and a blue edge, which has to lose colour to be lighter
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    assert paint().returncode == 0
    full = rgb_to_oklab(tensor(result(tmp_path)))
    assert paint("--preserve_color").returncode == 0
    array = result(tmp_path)
    lab = rgb_to_oklab(tensor(array))
    assert (array[:, :20, 0] == array[:, :20, 1]).all() and (array[:, :20, 0] == array[:, :20, 2]).all()
    assert (lab[:, 0] - full[:, 0]).abs().max() < 0.02
    source = rgb_to_oklab(tensor(photograph))[:, 1:]
    assert (lab[:, 1:] - source).abs().median() < 0.003 < 0.02 < (full[:, 1:] - source).abs().median()


def test_mask(paint, photo, tmp_path):
    mask = Image.new("RGBA", (180, 120), (255, 255, 255, 0))  # black because transparent, and of twice the size
    mask.paste("white", (90, 0, 180, 120))
    mask.save(tmp_path / "mask.png")
    paint()
    full = result(tmp_path)
    assert paint("--mask", tmp_path / "mask.png").returncode == 0
    masked = result(tmp_path)
    np.testing.assert_array_equal(masked[:, :42], photo[:, :42])
    np.testing.assert_array_equal(masked[:, 48:], full[:, 48:])
    mask.getchannel("A").resize((90, 60), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    assert paint("--mask", tmp_path / "mask.png").returncode == 0
    masked = result(tmp_path).astype(int)  # painted without, and yet with soft edges
    assert (masked[:, 44] != photo[:, 44]).any() and (masked[:, 45] != full[:, 45]).any()
    Image.new("L", (50, 50)).save(tmp_path / "square.png")
    error = paint("--mask", tmp_path / "square.png").error
    assert "--mask is 50 x 50" in error and "90 x 60" in error and "photo.png" in error
    error = paint("--mask", tmp_path / "missing.png").error
    assert "--mask" in error and "missing.png" in error
    assert "--mask" in paint("--mask", tmp_path / "mask.png", "--max_pixels", "5399").error  # one less than it has


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_tiles_are_not_seen(paint, trained_like, tmp_path, make_picture, monkeypatch, norm):
    """With three tiles; the network sees 60 around each, the mask and the colours are those of their place."""
    save_checkpoint(tmp_path / "model.pth", Checkpoint(trained_like(norm), {}))
    make_picture(60, 150, seed=1).save(tmp_path / "photo.png")
    Image.linear_gradient("L").resize((60, 150)).save(tmp_path / "mask.png")
    flags = ["--model_path", tmp_path / "model.pth", "--mask", tmp_path / "mask.png", "--strength", "0.9"]
    pictures = []
    for most in (2048, 64):
        monkeypatch.setattr("inference.stylizer._affordable", lambda *args, most=most: most)
        assert paint(*flags, "--preserve_color", model=False).returncode == 0
        pictures.append(result(tmp_path, "photo_model.png").astype(int))
    difference = np.abs(pictures[0] - pictures[1])
    assert difference.max() <= 1 and (difference > 0).mean() < 0.02


def test_a_mask_that_fits_some_of_many_photographs(paint, photo, tmp_path, make_picture):
    (tmp_path / "album").mkdir()
    for name, size in (("fits", (90, 60)), ("wrong", (60, 90))):
        make_picture(*size, seed=1).save(tmp_path / "album" / f"{name}.png")
    Image.new("L", (45, 30)).save(tmp_path / "mask.png")
    run = paint("--mask", tmp_path / "mask.png", "--json", photograph=tmp_path / "album")
    assert run.returncode == 1
    facts = {Path(fact["input"]).stem: fact for fact in map(json.loads, run.stdout.splitlines())}
    assert facts["fits"]["status"] == "done" and facts["wrong"]["status"] == "failed"
    assert "--mask is 45 x 30" in facts["wrong"]["error"]
    np.testing.assert_array_equal(result(tmp_path, "fits_one.png"), read(tmp_path / "album" / "fits.png"))


def test_max_size(paint, photo, tmp_path):
    run = paint("--max_size", "45")
    assert run.returncode == 0 and "Reduced from 90 x 60 to 45 x 30" in run.stdout
    small = result(tmp_path)
    assert small.shape == (30, 45, 4)
    assert "Reduced" not in paint("--max_size", "90").stdout
    assert result(tmp_path).shape == (60, 90, 4)
    with Image.open(tmp_path / "photo.png") as image:
        image.resize((45, 30), Image.Resampling.LANCZOS).save(tmp_path / "photo.png")
    paint()
    np.testing.assert_array_equal(small, result(tmp_path))
    assert "--max_size" in paint("--max_size", "15").error


def test_a_mask_of_the_photographs_size_fits_the_reduced_one(paint, tmp_path, make_picture):
    """Whose proportions are rounded: 20 x 2 of 600 x 62."""
    make_picture(600, 62, seed=1).save(tmp_path / "photo.png")
    Image.new("L", (600, 62)).save(tmp_path / "mask.png")
    assert paint("--mask", tmp_path / "mask.png", "--max_size", "20").returncode == 0
    assert result(tmp_path).shape == (2, 20, 3)


def test_stroke_scale(paint, styles, photo, tmp_path):
    paint()
    full = result(tmp_path)
    assert paint("--stroke_scale", "1").returncode == 0
    np.testing.assert_array_equal(result(tmp_path), full)
    for scale in (2.0, 0.5):
        assert paint("--stroke_scale", scale).returncode == 0
        with Image.open(tmp_path / "photo.png") as image:
            expected = Stylizer(styles / "one.pth", "cpu", "float32").stylize(image, StyleOptions(stroke_scale=scale))
        np.testing.assert_array_equal(result(tmp_path), np.asarray(expected))
        assert np.abs(result(tmp_path)[..., :3].astype(int) - full[..., :3]).mean() > 2
        np.testing.assert_array_equal(result(tmp_path)[..., 3], photo[..., 3])
    assert "--stroke_scale" in paint("--stroke_scale", "0").error


def test_the_default_says_what_it_does_to_a_large_photograph(paint, photo, tmp_path, monkeypatch):
    """With a stand-in for the 720 pixels from which on photographs are large."""
    assert "Strokes" not in paint().stdout
    monkeypatch.setattr("inference.options.WORKING_SHORT_SIDE", 20)
    assert "Strokes as on 30 x 20" in paint().stdout and result(tmp_path).shape == (60, 90, 4)
    by_default = result(tmp_path)
    assert "Strokes" not in paint("--stroke_scale", "3").stdout
    np.testing.assert_array_equal(by_default, result(tmp_path))


def test_what_is_done_to_large_photographs_is_told_once_for_all(paint, photo, tmp_path, monkeypatch):
    monkeypatch.setattr("inference.options.WORKING_SHORT_SIDE", 20)
    (tmp_path / "album").mkdir()
    for name in "abc":
        Image.fromarray(photo).save(tmp_path / "album" / f"{name}.png")
    run = paint("--max_size", "45", photograph=tmp_path / "album")
    assert run.returncode == 0
    assert run.stdout.count("reduced to 45 pixels, by --max_size") == run.stdout.count("--stroke_scale 1 draws") == 1


def test_blend(paint, styles, photo, tmp_path):
    parts = []
    for name in ("one", "two"):
        with Image.open(tmp_path / "photo.png") as image:
            parts.append(
                rgb_to_oklab(tensor(np.asarray(Stylizer(styles / f"{name}.pth", "cpu", "float32").stylize(image))))
            )
    blend = f"{styles / 'one.pth'}:0.6, {styles / 'two.pth'}:0.2"
    assert paint("--blend", blend, model=False).returncode == 0
    mixed = result(tmp_path, "photo_one+two.png")
    assert len(style_name(InferenceConfig(blend=f"{'x' * 90}.pth:1,{'y' * 90}.pth:1"))) == 100
    expected = oklab_to_rgb(0.75 * parts[0] + 0.25 * parts[1])
    np.testing.assert_allclose(tensor(mixed).numpy(), expected.numpy(), atol=3)
    np.testing.assert_array_equal(mixed[..., 3], photo[..., 3])


@pytest.mark.parametrize(
    "blend", ["one.pth", "one.pth:1", "one.pth:1,two.pth", "a:1,b:0", "a:1,b:-1", "a:nan,b:1", ":1,b:1"]
)
def test_a_blend_that_is_none_is_refused(paint, photo, blend):
    error = paint("--blend", blend, model=False).error
    assert blend in error and "a.pth:0.6,b.pth:0.4" in error


def test_a_blend_and_a_model_exclude_each_other(paint, photo, styles, tmp_path):
    assert "--model_path" in paint("--blend", f"{styles / 'one.pth'}:1,{styles / 'two.pth'}:1").error
    error = paint("--blend", f"{styles / 'one.pth'}:1,{tmp_path / 'none.pth'}:1", model=False).error
    assert "--blend" in error and "none.pth" in error
    assert not (tmp_path / "results").exists()


def test_several_models_make_a_contact_sheet(paint, styles, photo, tmp_path):
    run = paint("--model_path", styles / "two.pth", "--preserve_color")
    assert run.returncode == 0, run.stderr
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
    assert paint("--model_path", styles / "two.pth", "--max_size", "100").returncode == 0
    assert max(result(tmp_path, "photo_contact_sheet.png").shape) == 100


def test_models_of_one_name_are_told_apart(paint, styles, photo, tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    shutil.copy(styles / "two.pth", tmp_path / "b" / "one.pth")
    names = []
    monkeypatch.setattr(
        "inference.batch.contact_sheet", lambda pictures, **_: names.extend(pictures) or pictures[0][1]
    )
    assert paint("--model_path", tmp_path / "b" / "one.pth", styles / "two.pth").returncode == 0
    assert [name for name, _ in names] == ["photograph", f"{styles.name}/one", "b/one", "two"]
