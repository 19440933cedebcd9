"""evaluation.gatys and evaluation.compare through the real command line, at sizes of seconds."""

import dataclasses
import importlib.util
import json
import math
import time

import numpy as np
import pytest
import torch
from PIL import Image

from begin_training import train
from config import TrainingConfig
from evaluation.measures import border, mesh, palette_distance, ssim, tones
from evaluation.objective import criterion_of, objective
from evaluation.pictures import HELD_OUT, read_square, select_photographs
from evaluation.trained import scales_of, settings_of
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import one_style
from utils.errors import UserError

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
SETTINGS = TrainingConfig(
    style_weight=30.0, tv_weight=0.05, image_size=48, norm="instance", checkerboard_weight=0.0, palette_weight=0.0,
    tone_weight=0.0, style_layer_weights=(1.0,) * 5,
)  # fmt: skip


@pytest.fixture(scope="session")
def model(trained_like, tmp_path_factory):
    """``stripes.pth``, trained on ``stripes.png`` by its own account."""
    path = tmp_path_factory.mktemp("judged") / "stripes.pth"
    provenance = {"style": "stripes.png", "settings": dataclasses.asdict(SETTINGS)}
    save_checkpoint(path, Checkpoint(trained_like("instance"), provenance))
    return path


@pytest.fixture
def gatys(call_cli, style_image, vgg_file, tmp_path):
    """``gatys(*flags)``: the command within this process, on small pictures, to ``out.png`` if not told otherwise."""
    own = ["--style_image", style_image, "--output", tmp_path / "out.png", "--iterations", 1, "--image_size", 32]
    return lambda *flags: call_cli("evaluation.gatys", *own, "--vgg_weights", vgg_file, "--device", "cpu", *flags)


@pytest.fixture
def compare(call_cli, vgg_file):
    """The same of evaluation.compare, untimed and without L-BFGS if not told otherwise."""
    own = ["--image_size", 48, "--iterations", 0, "--no_timing", "--vgg_weights", vgg_file, "--device", "cpu"]
    return lambda *flags: call_cli("evaluation.compare", *own, *flags)


# -- gatys ----------------------------------------------------------------------------------------------------------


def test_gatys(run_cli, photos, style_image, vgg_file, tmp_path):
    photograph, output = photos / "photo_00.jpg", tmp_path / "results" / "out.png"
    result = run_cli(
        "-m", "evaluation.gatys", "--content_image", photograph, "--style_image", style_image, "--output", output,
        "--iterations", 5, "--save_every", 2, "--image_size", 32, "--vgg_weights", vgg_file, "--device", "cpu",
    )  # fmt: skip
    assert "After 5 iterations: content " in result.ok() and f"Wrote {output}" in result.stdout
    assert sorted(path.name for path in output.parent.iterdir()) == ["out.png", "out_000002.png", "out_000004.png"]
    width, height = Image.open(photograph).size
    assert Image.open(output).size == (32, round(32 * height / width))
    on_the_way, last = np.asarray(Image.open(output.with_stem("out_000002"))), np.asarray(Image.open(output))
    assert not np.array_equal(on_the_way, last)


def test_gatys_from_noise_follows_its_seed(gatys, photos, tmp_path):
    def paint(*flags):
        flags = ["--content_image", photos / "photo_01.jpg", "--iterations", 2, "--start", "noise", *flags]
        gatys("--overwrite", *flags).ok()
        return np.array(Image.open(tmp_path / "out.png")).astype(int)

    first = paint()
    assert np.array_equal(first, paint())
    assert np.abs(first - paint("--seed", 1)).mean() > 20


@pytest.mark.slow
@pytest.mark.posix
def test_gatys_interrupted_writes_what_it_has(start_cli, photos, style_image, vgg_file, tmp_path):
    process = start_cli(
        "-m", "evaluation.gatys", "--content_image", photos / "photo_00.jpg", "--style_image", style_image, "--output",
        tmp_path / "out.png", "--iterations", 100000, "--save_every", 1, "--image_size", 32,
        "--vgg_weights", vgg_file, "--device", "cpu",
    )  # fmt: skip
    with process:
        while not (tmp_path / "out_000001.png").exists() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        _, stderr = process.communicate(timeout=600)
    assert process.returncode == 143, stderr
    assert "Writing the picture as it is" in stderr and "Traceback" not in stderr
    Image.open(tmp_path / "out.png").load()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "flag, value",
    [("--content_image", "missing.jpg"), ("--output", "out.gif"), ("--output", "content/mountains.jpg"),
     ("--iterations", "0"), ("--start", "grey"), ("--vgg_weights", "missing.pth")],
)  # fmt: skip
def test_gatys_refuses(gatys, tmp_path, flag, value):
    error = gatys(flag, value).error
    assert value in error and (flag in error or "." in value)
    assert not list(tmp_path.iterdir())


def test_gatys_refuses_narrow_pictures_and_replaces_nothing(gatys, make_picture, tmp_path):
    make_picture(800, 8, 0).save(tmp_path / "narrow.png")
    for flag in ("--content_image", "--style_image"):
        error = gatys(flag, tmp_path / "narrow.png").error
        assert flag in error and "800 x 8 pixels" in error
    (tmp_path / "out_000002.png").write_bytes(b"mine")
    assert "out_000002.png exists already" in gatys("--save_every", 2, "--iterations", 5).error


# -- compare --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(run_cli, model, photos, style_image, vgg_file, tmp_path_factory):
    """What the command printed of three photographs, its figures, and the flags and the folder that it was given."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "names.txt").write_text("# three\nphoto_00\nphoto_05\nphoto_03\nelsewhere\n")
    flags = [
        "--model_path", model, "--style_image", style_image, "--photographs", photos, "--names", folder / "names.txt",
        "--image_size", 48, "--iterations", 4, "--lbfgs_photographs", 2,
    ]  # fmt: skip
    plot = ["--plot", folder / "plot.png"] if HAS_MATPLOTLIB else []
    result = run_cli(
        "-m", "evaluation.compare", *flags, "--timed_sizes", 32, 40, "--json", folder / "result.json",
        "--sheet", folder / "sheet.jpg", *plot, "--vgg_weights", vgg_file, "--device", "cpu",
    )  # fmt: skip
    return result.ok(), json.loads((folder / "result.json").read_text()), flags, folder


def test_compare_measures_what_the_model_makes(compared, model, photos, style_image, vgg):
    said, result, *_ = compared
    assert "Scales relative, measured on these photographs; content_layer relu2_2, content_weight 1, " in said
    assert "style_layer_weights 1 1 1 1 1" in said and "style_layers relu1_1 relu2_1" in said
    assert result["photographs"] == ["photo_00", "photo_05", "photo_03"]  # in the order of the list
    (judged,) = result["models"]
    objective_of = judged["objective"]
    assert [objective_of[name] for name in ("content_weight", "style_weight", "tv_weight")] == [1, 30, 0.05]
    assert objective_of["style_layer_weights"] == [1, 1, 1, 1, 1] and objective_of["content_layer"] == "relu2_2"
    assert objective_of["loss_scale"] == "relative" and "temporal_weight" not in objective_of
    assert judged["painting_size"] == 48 and judged["style_level"] == 1

    paths = [next(photos.rglob(f"{name}.*")) for name in result["photographs"]]
    photographs = [read_square(path, 48, 10**6).float() for path in paths]
    with Image.open(style_image) as image:  # 64 x 48: at its own size
        painting = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()
    criterion = criterion_of(SETTINGS, vgg, painting, photographs)
    stylizer = Stylizer(str(model), device="cpu")
    rows = judged["rows"]["stripes"]["per_photograph"]
    for photograph, own, row in zip(photographs, judged["rows"]["photographs"]["per_photograph"], rows, strict=True):
        picture = stylizer.stylize_tensor(photograph).clone().round()
        losses = objective(criterion, picture, photograph)
        assert row["objective"] == pytest.approx(losses.total.item(), rel=1e-3)
        assert row["objective"] == pytest.approx(
            row["content"] + 30 * row["style"] + 0.05 * row["total_variation"], rel=1e-5
        )
        assert row["content_to_grey"] == pytest.approx(losses.content_to_grey.item(), rel=1e-3)
        assert row["ssim"] == pytest.approx(ssim(picture, photograph).item(), abs=1e-3)
        assert row["mesh_4"] == pytest.approx(mesh(picture, 4).item(), rel=1e-2)
        edge = border(picture)[0] / border(photograph)[0]
        assert [row["border_mean"], row["border_contrast"]] == pytest.approx(edge.tolist(), rel=1e-3)
        assert own["content"] == own["content_to_grey"] == 0 and own["ssim"] == pytest.approx(1)
        assert [own["border_mean"], own["border_contrast"]] == pytest.approx(border(photograph)[0].tolist())
        assert own["mesh_2"] == pytest.approx(mesh(photograph, 2).item())
    assert judged["tones"]["results_range"] > 0 and "| stripes | stripes | " in said
    summary = judged["rows"]["stripes"]["summary"]
    assert summary["style"]["mean"] == pytest.approx(np.mean([row["style"] for row in rows]))
    assert summary["mesh_2"]["mean"] == pytest.approx(np.exp(np.mean(np.log([row["mesh_2"] for row in rows]))))
    assert summary["ssim"]["quartiles"][1] == sorted(row["ssim"] for row in rows)[1]


def test_compare_says_what_that_is_worth(compared):
    said, result, _, folder = compared
    (judged,) = result["models"]
    assert judged["iterations_equalled"].keys() == {"photograph", "noise"}
    levels = [row["objective"] for row in judged["rows"]["stripes"]["per_photograph"]]
    for start, equalled in judged["iterations_equalled"].items():
        assert len(equalled["iterations"]) == len(equalled["curves"]) == 2 and equalled["run"] == 4
        for curve, level, count in zip(equalled["curves"], levels, equalled["iterations"]):
            assert len(curve) == 5 and curve == sorted(curve, reverse=True)
            reached = [number for number, value in enumerate(curve) if value <= level]
            assert count == (reached[0] if reached else None)
        name = "L-BFGS from the photograph" if start == "photograph" else "L-BFGS from noise"
        assert len(judged["rows"][f"{name}, 4 iterations"]["per_photograph"]) == 2
        assert f"| {name}, 4 iterations | " in said and f"| {name} | " in said
    (timed,) = result["seconds"]
    assert [entry["size"] for entry in timed] == [32, 40]
    assert all(entry["network"] > 0 and entry["iteration"] > 0 for entry in timed)
    assert "| stripes | " in said and "| 40² | " in said
    sheet = Image.open(folder / "sheet.jpg")
    assert sheet.width > 4 * 48 and sheet.height > 2 * 48
    assert not HAS_MATPLOTLIB or Image.open(folder / "plot.png").width > 300


def test_compare_judges_the_styles_that_are_named(compare, trained_like, photos, style_image, tmp_path):
    """Each as a model of that style alone is judged; left out, the first, which is said."""
    network = MultiStyleNet.begun_from(trained_like("instance"), ("stripes", "b"))
    network.norms()[0].bias.data[1] += 1
    provenance = {
        "style": ["stripes.png", "b.png"], "settings": dataclasses.asdict(SETTINGS), "style_level": [0.5, 0.25],
        "loss_scales": {"content": 1.0, "style": [[1.0] * 5, [2.0] * 5], "total_variation": 3.0},
    }  # fmt: skip
    checkpoint = Checkpoint(network, provenance)
    save_checkpoint(tmp_path / "gallery.pth", checkpoint)
    save_checkpoint(tmp_path / "b.pth", one_style(checkpoint, "b"))
    other = tmp_path / "b.png"
    Image.open(style_image).rotate(90, expand=True).save(other)

    def judge(model, *flags):
        flags = ["--model_path", tmp_path / model, "--photographs", photos / "photo_00.jpg", *flags]
        said = compare("--json", tmp_path / "result.json", "--overwrite", *flags).ok()
        models = json.loads((tmp_path / "result.json").read_text())["models"]
        return said, {each["name"]: each["rows"][each["name"]]["summary"] for each in models}

    said, first = judge("gallery.pth", "--style_image", style_image)
    assert "has 2 styles, and this is the first, stripes" in said
    said, both = judge("gallery.pth", "--style", "all", "--style_image", style_image, other)
    assert "this is the first" not in said and both.keys() == {"stripes", "b"}
    _, alone = judge("b.pth", "--style_image", other)
    assert both == {"stripes": first["gallery"], "b": alone["b"]}
    _, mixture = judge("gallery.pth", "--style", "stripes:1,b:1", "--style_image", style_image)
    assert mixture.keys() == {"stripes:1,b:1"}
    unknown = ["--model_path", tmp_path / "gallery.pth", "--style", "c", "--style_image", style_image]
    assert "there are stripes, b" in compare(*unknown, "--photographs", photos).error


def test_a_student_beside_its_teacher(compare, model, trained_like, photos, style_image, tmp_path):
    save_checkpoint(tmp_path / "teacher.pth", Checkpoint(trained_like("instance", seed=1), {}))
    own = ["--tones_only", "--model_path", model, "--style_image", style_image, "--photographs", photos]
    own += ["--photograph_count", 2, "--json", tmp_path / "tones.json"]
    assert "dB from the teacher" in compare(*own, "--teacher", tmp_path / "teacher.pth").ok()
    result = json.loads((tmp_path / "tones.json").read_text())
    ratios = []
    for name in result["photographs"]:
        photograph = read_square(next(photos.rglob(f"{name}.*")), 48, 10**6)
        one, other = (
            Stylizer(path, device="cpu").stylize_tensor(photograph).round().numpy().astype(float)
            for path in (model, tmp_path / "teacher.pth")
        )
        ratios.append(10 * math.log10(255**2 / np.mean((one - other) ** 2)))
    assert result["models"][0]["tones"]["psnr"] == pytest.approx(np.mean(ratios), abs=1e-3)


def test_tones_of_all_styles_in_one_table(compare, trained_like, photos, style_image, tmp_path):
    """Paintings by the styles' names, and neither loss network nor objective: the model does not say its own."""
    network = MultiStyleNet.begun_from(trained_like("instance"), ("stripes", "b"))
    network.norms()[0].bias.data[1] += 1
    save_checkpoint(tmp_path / "gallery.pth", Checkpoint(network, {}))
    (tmp_path / "paintings").mkdir()
    Image.open(style_image).save(tmp_path / "paintings" / "stripes.png")
    Image.open(style_image).convert("L").save(tmp_path / "paintings" / "b.png")
    own = ["--tones_only", "--model_path", tmp_path / "gallery.pth", "--style", "all", "--photographs", photos]
    own += ["--photograph_count", 3, "--vgg_weights", tmp_path / "none.pth", "--json", tmp_path / "tones.json"]
    said = compare(*own, "--style_image", tmp_path / "paintings").ok()
    assert "3 photographs, 48 x 48 pixels" in said and "| stripes | stripes | " in said and "| b | b | " in said
    result = json.loads((tmp_path / "tones.json").read_text())
    photographs = [read_square(next(photos.rglob(f"{name}.*")), 48, 10**6) for name in result["photographs"]]
    stylizer = Stylizer(tmp_path / "gallery.pth", device="cpu", style="b")
    painting = torch.from_numpy(np.array(Image.open(tmp_path / "paintings" / "b.png").convert("RGB")))
    painting = painting.permute(2, 0, 1)[None]
    judged = result["models"][1]["tones"]
    results = [stylizer.stylize_tensor(photograph).round().byte() for photograph in photographs]
    range_, deviation, gradient = torch.cat([tones(picture) for picture in results]).mean(0).tolist()
    assert [judged[f"results_{name}"] for name in ("range", "deviation", "gradient")] == pytest.approx(
        [range_, deviation, gradient]
    )
    assert judged["range_over_paintings"] == pytest.approx(range_ / tones(painting)[0, 0].item())
    assert judged["palette_distance"] == pytest.approx(palette_distance(results, [painting]))
    found = []
    for photograph in photographs[:2]:
        rows, columns = np.mgrid[:48, :48]
        outside = torch.from_numpy((rows - 23.5) ** 2 + (columns - 23.5) ** 2 > 0.2 * 48**2 / math.pi)
        grounds = [torch.where(outside, ground, photograph.float()) for ground in (255.0, 0.0)]
        white, black = (stylizer.stylize_tensor(picture)[..., outside].mean().item() for picture in grounds)
        found.append(white - black)
    assert judged["white_less_black_0.80"] == pytest.approx(np.mean(found), abs=1e-3)
    (tmp_path / "paintings" / "b.png").unlink()
    own[-1] = tmp_path / "other.json"
    assert "holds no painting named b" in compare(*own, "--style_image", tmp_path / "paintings").error


def test_compare_warns_of_another_style_image(compare, model, photos):
    flags = ["--style_image", "styles/swirls.jpg", "--photographs", photos / "photo_00.jpg"]
    with pytest.warns(UserWarning, match="stripes.pth was trained on stripes.png, and --style_image is"):
        compare("--model_path", model, *flags).ok()


@pytest.mark.parametrize(
    "flags",
    [
        ["--style_image", "a.jpg", "b.jpg"], ["--model_path", "missing.pth"], ["--photographs", "missing"],
        ["--names", "missing.txt"], ["--names", "README.md"], ["--image_size", "50"], ["--starts", "grey"],
        ["--json", "out.txt"], ["--plot", "out.jpg"], ["--plot", "out.png", "--iterations", "0"],
        ["--plot", "out.png", "--tones_only"], ["--teacher", "wave"],
    ],
)  # fmt: skip
def test_compare_refuses(compare, model, photos, style_image, flags):
    own = {"--model_path": model, "--style_image": style_image, "--photographs": photos}
    given = [word for flag, value in own.items() if flag not in flags for word in (flag, value)]
    assert flags[0] in compare("--iterations", 1, *given, *flags).error


def test_photographs_are_chosen_by_name(photos, tmp_path):
    paths, names = select_photographs((str(photos),))
    assert len(paths) == 12 and names is None
    held_out = HELD_OUT.read_text().split()[-1]
    copy = tmp_path / f"{held_out}.jpg"
    copy.write_bytes((photos / "photo_00.jpg").read_bytes())
    assert select_photographs((str(photos), str(tmp_path))) == ([copy], HELD_OUT)
    paths, _ = select_photographs((str(copy), str(tmp_path)))
    assert paths == [copy]  # once
    names = [line for line in HELD_OUT.read_text().splitlines() if not line.startswith("#")]
    assert len(names) == len(set(names)) == 37


def test_the_settings_of_a_model(model, trained_like, tmp_path):
    checkpoint = load_checkpoint(model)
    settings, level = settings_of(checkpoint, {}, "m")
    assert (settings.style_weight, settings.image_size, level) == (30, 48, 1)
    checkpoint.provenance["style_level"] = 0.5
    assert settings_of(checkpoint, {}, "m")[0].style_weight == 15
    given = {"style_weight": 9.0, "loss_scale": "paper"}
    settings, level = settings_of(checkpoint, given, "m")
    assert (settings.style_weight, settings.loss_scale, level) == (9, "paper", 1)
    assert settings.tv_weight == SETTINGS.tv_weight

    own = {"style_weight": 7.0, "style_image": ()}  # which a student has without having learnt by them
    student = Checkpoint(checkpoint.network, {"settings": own, "taught_by": {"settings": {"style_weight": 4.0}}})
    assert settings_of(student, {}, "m")[0].style_weight == 4
    for provenance in ({"style_level": 7.0}, {"settings": {"style_weight": -1.0}}):
        damaged = Checkpoint(checkpoint.network, {**checkpoint.provenance, **provenance})
        with pytest.raises(UserError, match="m holds settings that no training has"):
            settings_of(damaged, {}, "m")
    silent = Checkpoint(checkpoint.network, {})
    assert scales_of(silent) is None
    with pytest.raises(UserError, match="m does not say what it was trained for: give another model"):
        settings_of(silent, {}, "m")


def test_a_model_says_the_level_and_the_scales_of_its_training(compare, photos, style_image, vgg_file, tmp_path):
    config = TrainingConfig(
        style_image=str(style_image), dataset_dir=str(photos), output_dir=str(tmp_path), vgg_weights=str(vgg_file),
        image_size=32, batch_size=2, total_steps=2, num_workers=0, monitor_every_steps=0, log_every_steps=2,
        device="cpu", style_weight=1e-3,  # so little that the ceiling is below any content term
    )  # fmt: skip
    with pytest.warns(UserWarning, match="next to nothing of the style"):
        assert train(config) == 0
    metrics = json.loads((tmp_path / "stripes_training" / "metrics.jsonl").read_text())
    assert metrics["style_level"] < 0.9
    scales = []
    for name in ("stripes.pth", "stripes_training/step_000002.pth"):
        settings, level = settings_of(load_checkpoint(tmp_path / name), {}, name)
        assert level == pytest.approx(metrics["style_level"]) and settings.style_weight == pytest.approx(1e-3 * level)
        scales.append(scales_of(load_checkpoint(tmp_path / name)))
    assert scales[0] == scales[1]
    flags = ["--style_image", style_image, "--photographs", photos, "--json", tmp_path / "result.json"]
    said = compare("--model_path", tmp_path / "stripes.pth", *flags, "--image_size", 36).ok()
    assert "Scales relative, of its training; content_layer relu2_2, content_weight 1, " in said
    (judged,) = json.loads((tmp_path / "result.json").read_text())["models"]
    assert judged["scales"] == scales[0]
    assert f"(its level of {metrics['style_level']:.3g} included)" in said
