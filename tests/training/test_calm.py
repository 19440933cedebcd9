"""python -m training.calm: a model that is calmer, and paints as it did before."""

import functools
import os
import signal

import pytest
import torch

from losses.temporal import temporal_loss
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from training import distillation
from training.second_view import second_views

SIZE = 32


@pytest.fixture(scope="module")
def model(trained_like, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "painting.pth"
    save_checkpoint(path, Checkpoint(trained_like("instance"), {"style": "painting.jpg"}))
    return path


@pytest.fixture
def call(call_cli, photos, tmp_path):
    """``call(model, *flags)`` writes ``tmp_path/calm.pth``."""
    flags = ["--dataset_dir", photos, "--image_size", SIZE, "--num_workers", 0, "--device", "cpu"]
    return lambda path, *more: call_cli(
        "training.calm", path, tmp_path / "calm.pth", *flags, "--precision", "float32", *more
    )


@torch.no_grad()
def errors(network, model, photos):
    """What the network paints of photographs that it has seen: how far from the model's, and how unsteady."""
    from data.dataset import PhotographDataset, list_photographs

    photographs = PhotographDataset(list_photographs(photos), SIZE, seed=9)
    images = photographs[list(enumerate(range(12)))][1].float()
    views, motion = second_views(images, [str(number) for number in range(12)])
    stylized = network(images)
    far = ((stylized - model(images)) / 255).square().mean()
    return far.item(), temporal_loss(stylized, network(views), motion).item()


def test_the_model_is_calmer_and_paints_the_same(model, call, photos, trained_like, tmp_path):
    printed = call(model, "--steps", 40, "--batch_size", 2).ok()
    assert "40 steps, 12 photographs" in printed and f"Wrote {tmp_path / 'calm.pth'}" in printed
    before, after = load_checkpoint(model), load_checkpoint(tmp_path / "calm.pth")
    _, unsteady = errors(before.network, before.network, photos)
    far, calm = errors(after.network, before.network, photos)
    another, _ = errors(trained_like("instance", seed=1), before.network, photos)
    assert calm < 0.6 * unsteady and far < 0.3 * another
    assert after.provenance["style"] == "painting.jpg" and after.resume_state is None
    assert after.provenance["calmed"] == {
        "steps": 40, "temporal_weight": 2.0, "image_size": SIZE, "batch_size": 2, "lr": 0.002, "seed": 0
    }  # fmt: skip
    old, new = before.network.state_dict(), after.network.state_dict()
    kept = {key for key in old if torch.equal(old[key], new[key])}
    assert kept == {key for key in old if old[key].dim() == 4 and old[key].numel() >= distillation.LARGE}


def test_the_weight_decides_between_calm_and_faithful(model, call, photos, tmp_path):
    before, results = load_checkpoint(model).network, []
    for weight in (0, 4):
        call(model, "--steps", 25, "--temporal_weight", weight, "--overwrite").ok()
        results.append(errors(load_checkpoint(tmp_path / "calm.pth").network, before, photos))
    (near, unsteady), (far, calm) = results
    assert near < 0.9 * far and calm < 0.9 * unsteady


def test_the_same_command_gives_the_same_model(model, call, tmp_path):
    call(model, "--steps", 2).ok()
    first = (tmp_path / "calm.pth").read_bytes()
    assert "--overwrite" in call(model, "--steps", 2).error
    call(model, "--steps", 2, "--overwrite").ok()
    assert (tmp_path / "calm.pth").read_bytes() == first
    call(model, "--steps", 2, "--overwrite", "--seed", 1).ok()
    assert (tmp_path / "calm.pth").read_bytes() != first


def test_every_style_of_several_is_calmed(trained_like, call, tmp_path):
    network = MultiStyleNet.begun_from(trained_like("instance"), ("wave", "scream"))
    save_checkpoint(tmp_path / "gallery.pth", Checkpoint(network, {"style": ["wave.jpg", "scream.jpg"]}))
    call(tmp_path / "gallery.pth", "--steps", 3, "--batch_size", 4).ok()
    after = load_checkpoint(tmp_path / "calm.pth").network
    assert after.styles == ("wave", "scream")
    changed = [new != old for new, old in zip(after.norms()[-1].weight, network.norms()[-1].weight)]
    assert len(changed) == 2 and all(row.any() for row in changed)


def test_ctrl_c_writes_what_there_is(model, call, tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return temporal_loss(*arguments)

    monkeypatch.setattr(distillation, "temporal_loss", interrupted)
    result = call(model, "--steps", 5)
    assert result.returncode == 130 and "after 1 steps, for SIGINT" in result.stdout
    assert load_checkpoint(tmp_path / "calm.pth").provenance["calmed"]["steps"] == 1


def test_flat_photographs_change_nothing_beyond_bounds(model, call, make_picture, tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    from PIL import Image

    Image.new("RGB", (40, 40), (90, 120, 30)).save(folder / "flat.png")
    call(model, "--steps", 2, "--dataset_dir", folder).ok()
    old, new = (load_checkpoint(path).network.state_dict() for path in (model, tmp_path / "calm.pth"))
    assert all(torch.equal(old[key], new[key]) for key in old)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--model_path is missing: give the model"),
        (["model.pth"], "--output is missing: give the model, and then the file"),
        (["model.pth", "calm.txt"], "--output calm.txt has an unknown ending"),
        (["nothing.pth", "calm.pth"], "--model_path nothing.pth is not a file"),
        (["starry_night", "calm.pth", "--dataset_dir", "nowhere"], "--dataset_dir nowhere is not a folder"),
        (["starry_night", "calm.pth", "--steps", "0"], "--steps"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, message, call_cli):
    assert message in functools.partial(call_cli, "training.calm")(*arguments).error


def test_a_loss_that_is_not_finite_ends_it(model, call, tmp_path, monkeypatch):
    monkeypatch.setattr(distillation, "temporal_loss", lambda *arguments: temporal_loss(*arguments) * float("nan"))
    assert "the loss is not finite at step 1: give a smaller --lr" in call(model, "--steps", 2).error
    assert not (tmp_path / "calm.pth").exists()
