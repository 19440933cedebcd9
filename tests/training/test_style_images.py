"""Several style images in one training: which, their names and turns, and what the training leaves behind."""

import functools
from pathlib import Path

import pytest
import torch
from PIL import Image

from config import TrainingConfig
from imaging.tensors import picture_batch
from losses.content_ceiling import ContentCeiling
from losses.perceptual import PerceptualLoss
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import one_style
from tests.comparing import read_metrics, same
from training.style_images import find_style_images, style_names, style_order, training_name
from utils.errors import UserError


@pytest.fixture(scope="module")
def paintings(tmp_path_factory, make_picture):
    folder = tmp_path_factory.mktemp("paintings")
    for number, name in enumerate(("wave", "scream", "great, old: mosaic")):
        make_picture(40, 36 + number, seed=30 + number).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def train(train, paintings, tmp_path):
    return functools.partial(train, "--style_image", paintings, "--output_dir", tmp_path)


# -- which, names, turns ---------------------------------------------------------------------------


def test_folders_patterns_and_files_name_style_images(paintings, style_image):
    found = find_style_images([str(style_image), str(paintings), str(paintings / "w*.png")])
    assert found == (str(style_image), *(str(path) for path in sorted(paintings.iterdir())))
    with pytest.raises(UserError, match="matches no file"):
        find_style_images([str(paintings / "*.gif")])


def test_names_can_be_written_in_a_mixture():
    assert style_names(["a/wave.jpg", "b/great, old: mosaic.png"]) == ("wave", "great_ old_ mosaic")
    with pytest.raises(UserError, match="a/wave.jpg and b/wave.png would both be the style wave"):
        style_names(["a/wave.jpg", "b/wave.png"])


@pytest.mark.parametrize(
    "settings, name",
    [({"style_image": ("a/wave.jpg",)}, "wave"), ({"style_image": ("art/old/a.jpg", "art/new/b.jpg")}, "art"),
     ({"style_image": ("a.jpg", "b.jpg")}, Path.cwd().name), ({"style_image": ("a.jpg",), "name": "mine"}, "mine"),
     ({"style_image": ("wave.jpg",), "start_from": "g.pth", "train": "norms"}, "g_wave")],
)  # fmt: skip
def test_what_the_result_is_called(settings, name):
    assert training_name(TrainingConfig(**settings)) == name


def test_every_style_has_its_turn_wherever_one_begins():
    whole = style_order(7, 0, 60, 5)
    assert all(sorted(whole[i : i + 5]) == list(range(5)) for i in range(0, 60, 5))
    assert whole[:5] != whole[5:10] and whole != style_order(8, 0, 60, 5)
    for start, count in ((0, 2), (3, 4), (9, 1), (13, 20)):
        assert style_order(7, start, count, 5) == whole[start : start + count]


# -- the objective ---------------------------------------------------------------------------------


def test_each_photograph_is_judged_by_its_own_style(vgg, make_picture):
    def batch(*seeds):
        return torch.cat([picture_batch(make_picture(32, 32, seed)) for seed in seeds])

    paintings, photographs, stylized = [batch(1), batch(2)], batch(3, 4), batch(5, 6)

    def objective(*paintings):
        found = PerceptualLoss(TrainingConfig(), vgg, paintings, 32, ContentCeiling(0.5, 100, len(paintings)))
        found.measure(lambda: [photographs])
        return found

    both = objective(*paintings)
    losses = both(stylized, photographs, torch.tensor([1, 0]))
    expected = 0.0
    for row, number in enumerate((1, 0)):
        alone = objective(paintings[number])
        assert both.scales()["style"][number] == alone.scales()["style"]
        one = alone(stylized[row : row + 1], photographs[row : row + 1])
        expected += one.total / 2
        for term in ("content", "style"):
            torch.testing.assert_close(losses.weighted[term][row : row + 1], one.weighted[term])
        torch.testing.assert_close(both.ceiling.log_level[number : number + 1], alone.ceiling.log_level)
    torch.testing.assert_close(losses.total, expected)


# -- a training ------------------------------------------------------------------------------------


def test_a_gallery_is_trained_and_a_resumed_one_ends_the_same(train, tmp_path, paintings):
    plan = ["--total_steps", 3, "--monitor_every_steps", 3, "--checkpoint_every_steps", 2]
    name = paintings.name
    assert f"Training {name}, 3 styles," in train(*plan).ok()
    whole = load_checkpoint(tmp_path / f"{name}.pth")
    assert whole.network.styles == ("great_ old_ mosaic", "scream", "wave")
    assert whole.provenance["style"] == ["great, old: mosaic.png", "scream.png", "wave.png"]
    rows = [norm.weight for norm in whole.network.norms()]
    assert all(not torch.equal(row[0], row[1]) for row in rows)
    lines = read_metrics(tmp_path, name)
    assert {name for line in lines for name in line["styles"]} == set(whole.network.styles)
    assert all(values["style"] > 0 for line in lines for values in line["styles"].values())
    with Image.open(tmp_path / f"{name}_training" / "monitor_000003.png") as monitor:
        assert monitor.width > 6 * 300  # the photograph, and three style images with their results

    (tmp_path / "again").mkdir()
    step = tmp_path / f"{name}_training" / "step_000002.pth"
    train(*plan, "--checkpoint_path", step, "--output_dir", tmp_path / "again").ok()
    again = load_checkpoint(tmp_path / "again" / f"{name}.pth")
    assert same(whole.network.state_dict(), again.network.state_dict())


def test_one_more_style_is_learnt_and_the_others_stay(train, tmp_path, trained_like, style_image):
    begun, one = tmp_path / "begun.pth", trained_like("instance", width=0.25, blocks=2)
    save_checkpoint(begun, Checkpoint(MultiStyleNet.begun_from(one, ["a", "b"]), {}))
    before = load_checkpoint(begun).network
    train("--start_from", begun, "--train", "norms", "--style_image", style_image, "--total_steps", 2).ok()
    model = load_checkpoint(next(tmp_path.glob("begun_*.pth")))
    after = model.network
    assert after.styles[:2] == ("a", "b") and "stripes" in after.styles
    for key, value in before.state_dict().items():
        now = after.state_dict()[key]
        assert torch.equal(now[: len(value)] if value.dim() == 2 else now, value)
    assert any(not torch.equal(norm.weight[2], norm.weight[0]) for norm in after.norms())
    told = one_style(model, "stripes").provenance
    assert told["style"] == "stripes.png" and told["settings"]["train"] == "norms" and len(told["loss_scales"]) == 3


@pytest.mark.parametrize(
    "flags, words",
    [(["--norm", "batch"], "--norm batch does not go together with 3 style images: give one"),
     (["--train", "norms"], "--start_from"), (["--name", "a/b"], "--name")],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(train, tmp_path, flags, words):
    assert words in train("--total_steps", 1, *flags).error
    assert not list(tmp_path.iterdir())
