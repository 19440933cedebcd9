"""What a training is made of: its length, its weights, and the photographs that must not harm it."""

import numpy as np
import pytest
import torch
from PIL import Image

from begin_training import training_step
from config import BEFORE, TrainingConfig
from data.loader import PhotographStream
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, tensor_to_image
from losses.terms import Style
from losses.tones import Tone
from models.checkpoints import Checkpoint, save_checkpoint
from models.transformer_net import TransformerNet
from tests.comparing import read_metrics
from training.build import build_state
from training.plan import planned_steps, strange_weights
from training.resume import restore_settings
from utils.errors import UserError


@pytest.mark.parametrize(
    "photographs, batch_size, num_epochs, total_steps, steps, reason",
    [
        (118_287, 4, None, None, 40_000, "1.35 passes"),  # COCO
        (1203, 4, 2, 40_000, 601, "as --num_epochs says"),
        (100, 4, None, None, 2000, "80 passes over 100 photographs"),  # few are gone through more often
        (10_000, 4, None, None, 5000, "2 passes over 10000 photographs"),
        (100, 4, None, 4000, 4000, "as --total_steps says"),
        (100, 4, 100, 500, 500, "as --total_steps says"),
        (3, 8, 1, None, 1, "as --num_epochs says"),  # less than one batch: one step still
    ],
)
def test_planned_steps(photographs, batch_size, num_epochs, total_steps, steps, reason):
    config = TrainingConfig(batch_size=batch_size, num_epochs=num_epochs, total_steps=total_steps)
    planned, why = planned_steps(config, photographs)
    assert planned == steps and why.startswith(f"{steps} steps, ") and reason in why


def test_the_painting_is_smoothed_before_its_style_is_measured(small_config):
    plain, smoothed = (build_state(small_config(style_smoothing=smoothing)) for smoothing in (0.0, 2.0))
    painting = smooth_strokes(picture_batch(plain.style_images[0], plain.config.image_size), 2.0)
    assert smoothed.style_images[0] == tensor_to_image(painting[0])  # what the monitor picture shows
    assert smoothed.identity == plain.identity  # of the painting as it is, which every machine knows again
    expected = Style(smoothed.objective.network, [painting], smoothed.config).grams
    grams = (state.objective.functions["style"].grams for state in (plain, smoothed))
    for gram, before, found in zip(expected, *grams, strict=True):
        assert torch.allclose(found, gram, rtol=1e-4) and not torch.allclose(found, before, rtol=1e-2)
    whole = Tone([picture_batch(plain.style_images[0])])  # whose tones resizing and smoothing would narrow
    assert torch.equal(smoothed.objective.functions["tone"].paintings, whole.paintings)


@pytest.mark.parametrize("sides", [{"image_size": 63}, {"image_size": 64, "style_size": 63}])
def test_sizes_that_the_loss_network_cannot_see_are_refused(small_config, sides):
    build_state(small_config(style_octaves=2, **sides))
    with pytest.raises(UserError, match="--style_octaves 3 halves 63 pixels to fewer than 16"):
        build_state(small_config(style_octaves=3, **sides))


@pytest.mark.parametrize(
    "flag, settings",
    [
        ("--style_layers", {"style_layers": ("relu1_2", "relu9_9")}),
        ("--style_layers", {"style_layers": ("relu1_2", "relu1_2")}),
        ("--style_layer_weights", {"style_layers": ("relu1_2", "relu2_2")}),
        ("--style_layer_weights", {"style_layer_weights": (0.0,) * 5}),
        ("--style_octave_weights", {"style_octave_weights": (1.0, 2.0)}),
    ],
)
def test_a_style_term_that_cannot_be_is_refused(small_config, flag, settings):
    with pytest.raises(UserError, match=flag):
        build_state(small_config(**settings))


def test_a_checkpoint_of_before_a_setting_goes_on_without_it(tmp_path):
    """Whatever the defaults have become."""
    old = Checkpoint(TransformerNet(), {"settings": {"style_weight": 7.0}}, resume_state={})
    config = TrainingConfig(checkpoint_path="c", output_dir=str(tmp_path), style_image="a.png", style_octaves=2)
    path = tmp_path / "a_training" / "step_000001.pth"
    taken = restore_settings(config, frozenset({"output_dir"}), old, path)
    assert taken.style_weight == 7.0 and {name: getattr(taken, name) for name in BEFORE} == BEFORE
    with pytest.raises(UserError, match=r"^--style_octaves 2 is not what c was trained with \(1\)"):
        restore_settings(config, frozenset({"output_dir", "style_octaves"}), old, path)


def frames(kind):
    """Photographs of next to one colour, 40 x 40: of films, scans, lens caps."""
    frame = np.full((40, 40, 3), {"black": 0, "white": 255}.get(kind, 3), np.uint8)
    if kind == "one pixel":
        frame[20, 20] += 1
    if kind == "step":
        frame[:, 20:] += 1
    return Image.fromarray(frame)


@pytest.mark.parametrize("norm, optimizer", [("batch", "adam"), ("instance", "soap")])
def test_flat_photographs_do_not_harm_a_training(small_config, trained_like, tmp_path, norm, optimizer):
    """Left to themselves their gradient is 1e4 to 1e33 times the others', in networks that have learnt something."""
    save_checkpoint(tmp_path / "model.pth", Checkpoint(trained_like(norm), {}))
    (tmp_path / "photos").mkdir()
    for name in ("black", "white", "one pixel", "step"):
        frames(name).save(tmp_path / "photos" / f"{name}.png")
    inputs = {"dataset_dir": str(tmp_path / "photos"), "start_from": str(tmp_path / "model.pth")}
    state = build_state(small_config(**inputs, norm=norm, optimizer=optimizer, loss_scale="paper"))
    stream = PhotographStream(state.photographs, 1)
    before = [parameter.clone() for parameter in state.network.parameters()]
    for _ in range(4):
        losses = training_step(state, state.to_device(next(stream)))
        assert losses.total.isfinite()
        assert not any(parameter.grad.any() for parameter in state.network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, state.network.parameters()))


def test_running_statistics_come_to_rest_with_the_learning_rate(small_config):
    state = build_state(small_config(norm="mixed", total_steps=2))
    stream = PhotographStream(state.photographs, 1)
    for part in (0.02, 0.01):
        training_step(state, state.to_device(next(stream)))
        assert float(state.network.norms()[0].momentum) == pytest.approx(part)


@pytest.mark.parametrize(
    "weights, flag",
    [({"content_weight": 1e5, "style_weight": 1e10}, "--style_weight 1e+10"), ({"tv_weight": 1e3}, "--tv_weight 1000"),
     ({"content_weight": 100.0}, "--content_weight 100"), ({"loss_scale": "paper"}, "--loss_scale paper"),
     ({}, None), ({"style_weight": 100.0}, None), ({"tv_weight": 0.0}, None),
     ({"loss_scale": "paper", "style_weight": 3e-6}, None)],
)  # fmt: skip
def test_weights_of_other_projects_are_warned_of(weights, flag):
    told = strange_weights(TrainingConfig(**weights))
    assert flag in told if flag else told is None


def test_the_papers_settings_train(train, tmp_path):
    """On small pictures: both terms count, and their sum falls."""
    result = train("--recipe", "paper", "--total_steps", 12, "--log_every_steps", 4)
    assert result.returncode == 0 and "warning" not in result.stderr, result.stderr
    lines = read_metrics(tmp_path / "out")
    assert lines[-1]["total"] < lines[0]["total"] and min(lines[-1]["weighted"][t] for t in ("content", "style")) > 0
