"""python -m training.distill: a network learns to paint as another one does."""

import pytest
import torch

from data.dataset import PhotographDataset, list_photographs
from losses.distillation import band_contrast
from losses.temporal import temporal_loss
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from tests.comparing import read_metrics, same
from training.second_view import second_views

SIZE = 32


@pytest.fixture(scope="module")
def teacher(trained_like, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "painting.pth"
    network = trained_like("instance", width=0.25, blocks=1)
    save_checkpoint(path, Checkpoint(network, {"style": "painting.jpg", "step": 7, "settings": {"style_weight": 9.0}}))
    return path


@pytest.fixture
def call(soon_begun, call_cli, photos, tmp_path):
    """``call(teacher, *flags)`` writes ``tmp_path/student.pth``."""
    flags = ["--dataset_dir", photos, "--image_size", SIZE, "--num_workers", 0, "--device", "cpu"]
    flags += ["--precision", "float32", "--monitor_every_steps", 0]
    return lambda path, *more: call_cli("training.distill", path, tmp_path / "student.pth", *flags, *more)


def metrics(tmp_path):
    return [line["weighted"] for line in read_metrics(tmp_path, "student")]


@torch.no_grad()
def errors(network, teacher, photos):
    """How far from the teacher a network paints, and how unsteadily: of photographs that it has seen."""
    photographs = PhotographDataset(list_photographs(photos), SIZE, seed=9)
    images = photographs[list(enumerate(range(12)))][1].float()
    views, motion = second_views(images, [str(number) for number in range(12)])
    stylized = network(images)
    far = ((stylized - teacher(images)) / 255).square().mean()
    return far.item(), temporal_loss(stylized, network(views), motion).item()


def test_contrast_is_that_of_two_means():
    image, band = torch.rand(16, 24), torch.empty(16, 24)
    for row in range(16):
        for column in range(24):
            narrow, wide = (image[max(0, row - n) : row + n + 1, max(0, column - n) : column + n + 1] for n in (1, 4))
            band[row, column] = narrow.mean() - wide.mean()
    expected = band.square().unflatten(1, (3, 8)).unflatten(0, (2, 8)).mean((1, 3)).sqrt()
    torch.testing.assert_close(band_contrast(image[None, None], (3, 9))[0, 0], expected, atol=1e-4, rtol=1e-4)


def test_a_small_network_comes_to_paint_as_a_large_one(teacher, call, photos, monitor, tmp_path):
    flags = ["--width", 0.125, "--total_steps", 60, "--lr", 0.02, "--batch_size", 4, "--log_every_steps", 10]
    flags += ["--monitor_every_steps", 60, "--training_monitor_content_image", monitor]
    assert "60 steps" in call(teacher, *flags).ok()
    lessons = [line["teacher"] for line in metrics(tmp_path)]
    assert lessons[-1] < 0.88 * lessons[0] and (tmp_path / "student_training" / "monitor_000060.png").exists()
    student = load_checkpoint(tmp_path / "student.pth")
    of_network = {"norm": "instance", "upsample": "transposed", "width": 0.125, "blocks": 1}
    assert student.network.architecture() == of_network
    assert student.provenance["style"] == "painting.jpg" and student.provenance["step"] == 60
    assert student.provenance["taught_by"] == {"step": 7, "settings": {"style_weight": 9.0}, "started_from": None}


def test_a_copy_of_the_teacher_becomes_calm_and_paints_the_same(teacher, call, photos, trained_like, tmp_path):
    flags = ["--width", 0.25, "--temporal_weight", 0.5, "--total_steps", 40, "--lr", 0.001]
    call(teacher, *flags).ok()
    before, after = load_checkpoint(teacher).network, load_checkpoint(tmp_path / "student.pth").network
    _, unsteady = errors(before, before, photos)
    far, calm = errors(after, before, photos)
    another, _ = errors(trained_like("instance", width=0.25, blocks=1, seed=1), before, photos)
    assert calm < 0.6 * unsteady and far < 0.3 * another


def test_with_the_painting_and_resumed_it_gives_the_same_weights(teacher, call, style_image, vgg_file, tmp_path):
    flags = ["--style_image", style_image, "--vgg_weights", vgg_file, "--temporal_weight", 2, "--total_steps", 4]
    flags += ["--painting_share", 0.5, "--log_every_steps", 1, "--checkpoint_every_steps", 1]
    call(teacher, *flags).ok()
    whole, whole_log = load_checkpoint(tmp_path / "student.pth"), metrics(tmp_path)
    assert [(line["teacher"] > 0, line["content"] > 0) for line in whole_log] == [(True, False)] * 2 + [
        (False, True)
    ] * 2
    assert whole.provenance["settings"]["style_weight"] == 9  # as the teacher was trained
    for how in (["--resume"], ["--checkpoint_path", tmp_path / "student_training"]):
        for name in ("student.pth", "student_training/step_000004.pth", "student_training/step_000003.pth"):
            (tmp_path / name).unlink()
        assert "resumed after step 2" in call(teacher, *flags, *how).ok()
        assert same(load_checkpoint(tmp_path / "student.pth").network.state_dict(), whole.network.state_dict())
        assert metrics(tmp_path) == whole_log


def test_every_style_of_several_is_taught(trained_like, call, tmp_path):
    network = MultiStyleNet.begun_from(trained_like("instance", width=0.25, blocks=1), ("wave", "scream"))
    save_checkpoint(tmp_path / "gallery.pth", Checkpoint(network, {"style": ["wave.jpg", "scream.jpg"]}))
    call(tmp_path / "gallery.pth", "--total_steps", 2, "--width", 0.1, "--log_every_steps", 1).ok()
    student = load_checkpoint(tmp_path / "student.pth").network
    assert student.styles == ("wave", "scream") and student.width == 0.1
    assert all(row.any() for row in student.norms()[-1].bias)  # which begin at 0


def test_a_student_begins_from_another_network(teacher, call, trained_like, tmp_path):
    begun = trained_like("instance", width=0.1, blocks=2, seed=3)
    save_checkpoint(tmp_path / "begun.pth", Checkpoint(begun, {"style": "wave.jpg", "step": 5}))
    call(teacher, "--start_from", tmp_path / "begun.pth", "--total_steps", 1, "--lr", 1e-9).ok()
    error = call(teacher, "--start_from", tmp_path / "begun.pth", "--width", 0.5, "--overwrite").error
    assert "--width 0.5 does not go together with --start_from" in error
    student = load_checkpoint(tmp_path / "student.pth")
    assert student.provenance["started_from"]["style"] == "wave.jpg"
    for name, value in begun.state_dict().items():
        assert torch.allclose(student.network.state_dict()[name], value, atol=1e-3)  # stored as halves


def test_another_teacher_cannot_go_on(teacher, call, trained_like, tmp_path):
    call(teacher, "--total_steps", 2, "--checkpoint_every_steps", 1).ok()
    save_checkpoint(tmp_path / "other.pth", Checkpoint(trained_like("instance", width=0.25, blocks=1, seed=4), {}))
    (tmp_path / "student_training" / "step_000002.pth").unlink()
    assert "of a training with another teacher" in call(tmp_path / "other.pth", "--resume").error


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["starry_night"], "STUDENT"),
        (["starry_night", "small.txt"], "STUDENT small.txt has an unknown ending"),
        (["nothing.pth", "small.pth"], "TEACHER nothing.pth is not a file"),
        (["starry_night", "small.pth", "--style_weight", "3"], "--style_weight goes together with --style_image"),
        (["starry_night", "small.pth", "--width", "0"], "--width must be 0.05 or more"),
        (["gallery", "small.pth", "--style_image", "styles/swirls.jpg"], "give a picture for each, of its name"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, message, call_cli, gallery, tmp_path):
    places = {"gallery": gallery} | {name: tmp_path / name for name in ("small.pth", "small.txt")}
    arguments = [places.get(name, name) for name in arguments]
    error = call_cli("training.distill", *arguments).error
    assert message.replace("small", str(tmp_path / "small")) in error
