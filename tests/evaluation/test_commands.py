"""evaluation.gatys and evaluation.compare through the real command line, at sizes of seconds."""

import dataclasses
import json
import math
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from begin_training import train
from config import TrainingConfig
from evaluation.measures import palette_distance, tones
from evaluation.optimisation import criterion_of, optimize
from evaluation.pictures import HELD_OUT, read_square, select_photographs
from evaluation.trained import Style, objective_of
from imaging.tensors import picture_batch
from inference.stylizer import Stylizer
from models import pretrained
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import one_style
from tests.comparing import read_metrics
from utils.errors import UserError

SETTINGS = TrainingConfig(
    style_weight=30.0, tv_weight=0.05, image_size=48, norm="instance", checkerboard_weight=0.0, palette_weight=0.0,
    tone_weight=0.0, style_layer_weights=(1.0,) * 5,
)  # fmt: skip


@pytest.fixture(scope="session")
def model(trained_like, tmp_path_factory):
    """``stripes.pth``, trained on ``stripes.png`` by its own account."""
    path = tmp_path_factory.mktemp("judged") / "stripes.pth"
    provenance = {"style": "stripes.png", "settings": dataclasses.asdict(SETTINGS)}
    save_checkpoint(path, Checkpoint(trained_like("instance", width=0.25, blocks=1), provenance))
    return path


@pytest.fixture(autouse=True)
def loss_network(monkeypatch, vgg, vgg_file):
    """The weights of the tests are read once."""
    load = pretrained.load_vgg19
    monkeypatch.setattr(
        pretrained, "load_vgg19", lambda path, *args: vgg if path == str(vgg_file) else load(path, *args)
    )


@pytest.fixture
def gatys(call_cli, style_image, vgg_file, tmp_path):
    """``gatys(*flags)``: the command within this process, on small pictures, to ``out.png`` if not told otherwise."""
    own = ["--style_image", style_image, "--output", tmp_path / "out.png", "--iterations", 1, "--image_size", 32]
    return lambda *flags: call_cli("evaluation.gatys", *own, "--vgg_weights", vgg_file, "--device", "cpu", *flags)


@pytest.fixture
def compare(call_cli, vgg_file):
    """The same of evaluation.compare, without L-BFGS if not told otherwise."""
    own = ["--image_size", 48, "--iterations", 0, "--vgg_weights", vgg_file, "--device", "cpu"]
    return lambda *flags: call_cli("evaluation.compare", *own, *flags)


# -- gatys ----------------------------------------------------------------------------------------------------------


def test_gatys_from_noise_follows_its_seed(gatys, photos, tmp_path):
    photograph = photos / "photo_01.jpg"

    def paint(*flags):
        said = gatys("--content_image", photograph, "--start", "noise", "--overwrite", *flags).ok()
        assert "After 1 iterations: content " in said and f"Wrote {tmp_path / 'out.png'}" in said
        return np.array(Image.open(tmp_path / "out.png")).astype(int)

    first = paint()
    width, height = Image.open(photograph).size
    assert first.shape == (round(32 * height / width), 32, 3)
    assert np.abs(first - paint("--seed", 1)).mean() > 20


@pytest.mark.posix
def test_gatys_interrupted_writes_what_it_has(gatys, photos, tmp_path, monkeypatch):
    def interrupted(*arguments):
        for number, current in enumerate(optimize(*arguments)):
            if number == 2:
                signal.raise_signal(signal.SIGTERM)
            yield current

    monkeypatch.setattr("evaluation.optimisation.optimize", interrupted)
    result = gatys("--content_image", photos / "photo_00.jpg", "--iterations", 1000)
    assert result.returncode == 143
    assert "After 2 iterations" in result.stdout and "No further step" not in result.stdout
    Image.open(tmp_path / "out.png").load()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize(
    "flag, value",
    [("--content_image", "missing.jpg"), ("--output", "out.gif"), ("--output", "content/mountains.jpg"),
     ("--iterations", "0"), ("--start", "grey"), ("--vgg_weights", "missing.pth")],
)  # fmt: skip
def test_gatys_refuses(gatys, tmp_path, flag, value):
    error = gatys(flag, value).error
    assert value in error and (flag in error or "." in value)
    assert not list(tmp_path.iterdir())


def test_gatys_refuses_narrow_pictures(gatys, make_picture, tmp_path):
    make_picture(800, 8, 0).save(tmp_path / "narrow.png")
    for flag in ("--content_image", "--style_image"):
        error = gatys(flag, tmp_path / "narrow.png").error
        assert flag in error and "800 x 8 pixels" in error


# -- compare --------------------------------------------------------------------------------------------------------


def test_compare(compare, model, photos, style_image, vgg, tmp_path):
    """Every figure of the first of three photographs, and what optimisation makes of it."""
    (tmp_path / "names.txt").write_text("# three\nphoto_00\nphoto_05\nphoto_03\nelsewhere\n")
    flags = ["--names", tmp_path / "names.txt", "--iterations", 2, "--lbfgs_photographs", 1]
    flags += ["--json", tmp_path / "result.json", "--sheet", tmp_path / "sheet.jpg"]
    said = compare("--model_path", model, "--style_image", style_image, "--photographs", photos, *flags).ok()
    result = json.loads((tmp_path / "result.json").read_text())
    assert "Scales relative, measured on these photographs; content_layer relu2_2, content_weight 1, " in said
    assert result["photographs"] == ["photo_00", "photo_05", "photo_03"]  # in the order of the list
    (judged,) = result["models"]
    objective = judged["objective"]
    assert [objective[name] for name in ("content_weight", "style_weight", "tv_weight")] == [1, 30, 0.05]
    assert judged["painting_size"] == 48 and judged["style_level"] == 1

    photographs = [read_square(next(photos.rglob(f"{name}.*")), 48, 10**6).float() for name in result["photographs"]]
    painting = Image.open(style_image).convert("RGB")  # 64 x 48: at its own size
    rows = judged["rows"]["stripes"]["per_photograph"]
    photograph, own, row = photographs[0], judged["rows"]["photographs"]["per_photograph"][0], rows[0]
    picture = Stylizer(str(model), device="cpu").stylize_tensor(photograph).clone().round()
    with torch.no_grad():
        losses = criterion_of(SETTINGS, vgg, painting, photographs)(picture, photograph)
    assert row["objective"] == pytest.approx(losses.total.item(), rel=1e-3)
    terms = row["content"] + 30 * row["style"] + 0.05 * row["total_variation"]
    assert row["objective"] == pytest.approx(terms, rel=1e-5)
    assert row["content_to_grey"] == pytest.approx(losses.content_to_grey.item(), rel=1e-3)
    assert own["content"] == own["content_to_grey"] == 0
    assert "| stripes | stripes | " in said
    summary = judged["rows"]["stripes"]["summary"]
    assert summary["style"]["mean"] == pytest.approx(np.mean([row["style"] for row in rows]))
    assert summary["content"]["quartiles"][1] == sorted(row["content"] for row in rows)[1]

    levels = [row["objective"] for row in rows]
    for start, name in (("photograph", "L-BFGS from the photograph"), ("noise", "L-BFGS from noise")):
        equalled = judged["iterations_equalled"][start]
        assert len(equalled["iterations"]) == len(equalled["curves"]) == 1 and equalled["run"] == 2
        for curve, level, count in zip(equalled["curves"], levels, equalled["iterations"]):
            assert len(curve) == 3 and curve == sorted(curve, reverse=True)
            reached = [number for number, value in enumerate(curve) if value <= level]
            assert count == (reached[0] if reached else None)
        assert len(judged["rows"][f"{name}, 2 iterations"]["per_photograph"]) == 1
        assert f"| {name}, 2 iterations | " in said and f"| {name} | " in said
    sheet = Image.open(tmp_path / "sheet.jpg")
    assert sheet.width > 4 * 48 and sheet.height > 48


def test_compare_judges_the_styles_that_are_named(compare, trained_like, photos, style_image, tmp_path):
    """Each as a model of that style alone is judged; left out, the first, which is said."""
    network = MultiStyleNet.begun_from(trained_like("instance", width=0.25, blocks=1), ("stripes", "b"))
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
    save_checkpoint(tmp_path / "teacher.pth", Checkpoint(trained_like("instance", width=0.25, blocks=1, seed=1), {}))
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
    network = MultiStyleNet.begun_from(trained_like("instance", width=0.25, blocks=1), ("stripes", "b"))
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
    painting = picture_batch(Image.open(tmp_path / "paintings" / "b.png"))
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


@pytest.mark.parametrize(
    "flags",
    [
        ["--style_image", "a.jpg", "b.jpg"], ["--model_path", "missing.pth"], ["--photographs", "missing"],
        ["--names", "missing.txt"], ["--names", "README.md"], ["--starts", "grey"],
        ["--json", "out.txt"], ["--sheet", "out.gif"], ["--teacher", "wave"],
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


def test_the_objective_of_a_model(model, style_image):
    provenance = load_checkpoint(model).provenance

    def found(given=None, **more):
        checkpoint = Checkpoint(None, {**provenance, **more})
        return objective_of(Style("m", "m", str(style_image), checkpoint, None, None), given or {}, "0123")

    objective = found()
    assert (objective.settings.style_weight, objective.settings.image_size, objective.level) == (30, 48, 1)
    assert objective.scales is None and found(loss_scales={"content": 1.0}).scales == {"content": 1.0}
    assert found(style_level=0.5).settings.style_weight == 15
    objective = found({"style_weight": 9.0, "loss_scale": "paper"}, style_level=0.5, loss_scales={})
    assert (objective.settings.style_weight, objective.settings.loss_scale, objective.level) == (9, "paper", 1)
    assert objective.settings.tv_weight == SETTINGS.tv_weight and objective.scales is None
    own = {"style_weight": 7.0, "style_image": ()}  # which a student has without having learnt by them
    student = found(settings=own, taught_by={"settings": {"style_weight": 4.0}})
    assert student.settings.style_weight == 4
    for damaged in ({"style_level": 7.0}, {"settings": {"style_weight": -1.0}}, {"loss_scales": [1]}):
        with pytest.raises(UserError, match="m holds settings that no training has"):
            found(**damaged)
    with pytest.raises(UserError, match="m does not say what it was trained for: give another model"):
        found(settings=None)
    for others, words in (({"style": "other.png"}, "was trained on"), ({"loss_network": "vgg 4567"}, "other VGG-19")):
        with pytest.warns(UserWarning, match=words):
            assert found(loss_scales={"content": 1.0}, **others).scales is None


def test_a_model_says_the_level_and_the_scales_of_its_training(
    compare, photos, style_image, vgg_file, soon_begun, tmp_path
):
    config = TrainingConfig(
        style_image=str(style_image), dataset_dir=str(photos), output_dir=str(tmp_path), vgg_weights=str(vgg_file),
        image_size=32, batch_size=2, total_steps=2, num_workers=0, monitor_every_steps=0, log_every_steps=2,
        device="cpu", width=0.25, blocks=1, style_weight=1e-3,  # so little that the ceiling is below any content term
    )  # fmt: skip
    with pytest.warns(UserWarning, match="next to nothing of the style"):
        assert train(config) == 0
    (metrics,) = read_metrics(tmp_path)
    assert metrics["style_level"] < 0.9
    scales = [
        load_checkpoint(tmp_path / name).provenance["loss_scales"]
        for name in ("stripes.pth", "stripes_training/step_000002.pth")
    ]
    assert scales[0] == scales[1]
    flags = ["--style_image", style_image, "--photographs", photos / "photo_00.jpg", "--image_size", 36]
    said = compare("--model_path", tmp_path / "stripes.pth", *flags, "--json", tmp_path / "result.json").ok()
    assert "Scales relative, of its training; content_layer relu2_2, content_weight 1, " in said
    (judged,) = json.loads((tmp_path / "result.json").read_text())["models"]
    assert judged["scales"] == scales[0]
    assert f"(its level of {metrics['style_level']:.3g} included)" in said
