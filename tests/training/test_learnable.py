"""Trainings that would learn nothing end before their first step, or say what the model will be worth."""

import numpy as np
import pytest
import torch
from PIL import Image


def write_plain(folder, colours, size=48):
    folder.mkdir()
    for colour in colours:
        Image.new("RGB", (size, size), (colour,) * 3).save(folder / f"{colour}.png")
    return folder


@pytest.mark.parametrize("colours", [[255] * 4, [0, 90, 255]])
def test_photographs_of_one_colour_each_are_refused(train, tmp_path, colours):
    error = train("--dataset_dir", write_plain(tmp_path / "plain", colours)).error
    assert f"--dataset_dir {tmp_path / 'plain'} holds pictures of one colour" in error
    assert not (tmp_path / "out").exists()


def test_photographs_most_of_which_are_of_one_colour_are_warned_of(train, tmp_path, make_picture):
    make_picture(48, 48, seed=1).save(write_plain(tmp_path / "photos", [0, 1, 2, 3, 4]) / "photo.png")
    with pytest.warns(UserWarning, match="[34] of 4 crops of the photographs are of one colour: the model will be"):
        train("--dataset_dir", tmp_path / "photos").ok()


def test_a_painting_of_one_colour_is_refused(train, tmp_path):
    pixels = 120 + np.random.default_rng(0).integers(-2, 3, (48, 64, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "plain.png")
    assert f"{tmp_path / 'plain.png'} is of one colour" in train("--style_image", tmp_path / "plain.png").error


def test_weights_that_leave_nothing_to_learn_are_refused(train, tmp_path):
    nothing = ["--content_weight", 0, "--style_weight", 0]
    for others in ([], ["--tv_weight", 0, "--checkerboard_weight", 0]):
        assert "--content_weight 0 and --style_weight 0 leave nothing" in train(*nothing, *others).error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag, told", [("--style_weight", "copies photographs"), ("--content_weight", "to ignore")])
def test_an_objective_without_one_half_is_warned_of(train, flag, told):
    with pytest.warns(UserWarning, match=f"with {flag} 0 .*{told}"):
        train(flag, 0).ok()


def test_a_loss_network_of_zeros_is_refused(call_cli, small_training, vgg_state, tmp_path):
    torch.save({key: torch.zeros_like(value) for key, value in vgg_state.items()}, tmp_path / "zeros.pth")
    flags = ["--vgg_weights", tmp_path / "zeros.pth", "--output_dir", tmp_path / "out"]
    error = call_cli("begin_training.py", *small_training, *flags).error
    assert "zeros.pth holds zeros alone in features.0.weight" in error
