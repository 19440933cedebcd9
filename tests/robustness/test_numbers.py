"""Trainings that go to the edge of what numbers hold: finite to the end, or stopped with the term and the step."""

import copy
import re

import numpy as np
import pytest
import torch
from PIL import Image

from config import TrainingConfig
from data.dataset import PhotographDataset
from losses.content_ceiling import ContentCeiling
from losses.perceptual import PerceptualLoss
from models.checkpoints import load_checkpoint

FOUR_STEPS = ["--total_steps", 4, "--checkpoint_every_steps", 1]


def finite_or_told(result, folder) -> bool:
    """Whether a training came to its end. What it left is finite; if it stopped, it said where, and what is good."""
    steps = sorted((folder / "stripes_training").glob("step_*.pth")) if (folder / "stripes_training").exists() else []
    for path in steps:
        load_checkpoint(path)  # which refuses weights that are not finite
    if result.returncode == 0:
        assert len(steps) == 4 and (folder / "stripes.pth").exists()
        return True
    loss = r"the (content|style|total_variation) loss is (nan|inf|-inf) at step (\d)"
    match = re.search(rf"training stopped: ({loss}|the (weights|network) [a-z ]+ step (\d))", result.error)
    step = int(match[4] or match[6])
    assert [path.stem for path in steps] == [f"step_{number:06d}" for number in range(1, step)]
    assert ("there is no checkpoint yet" in result.error) if step == 1 else (f"resume from {steps[-1]}" in result.error)
    assert "lower --lr" in result.error and not (folder / "stripes.pth").exists()
    return False


@pytest.mark.filterwarnings("ignore:--style_weight")
@pytest.mark.parametrize(
    "flags, stops", [(("--lr", 0.1), False), (("--lr", 1e30), True), (("--style_weight", 1e38), True)]
)
def test_numbers_that_are_too_large_and_that_overflow(train, tmp_path, flags, stops):
    finite = finite_or_told(train(*FOUR_STEPS, *flags), tmp_path / "out")
    assert not (stops and finite)


def test_a_moment_that_overflows_stops_at_the_next_line_of_the_log(train, at_step, tmp_path):
    """Losses and weights are finite still: the weights would stand still from here on."""
    at_step(2, lambda run: next(iter(run.state.optimizer.state.values()))["exp_avg_sq"].fill_(float("inf")))
    error = train("--total_steps", 4, "--checkpoint_every_steps", 0).error
    assert "not finite after step 2" in error and not list(tmp_path.rglob("*.pth"))


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:--style_weight")
def test_float16_that_overflows(train, tmp_path):
    """The gradient scaler passes over the steps whose gradients overflow."""
    finite_or_told(
        train(*FOUR_STEPS, "--precision", "float16", "--device", "cuda", "--style_weight", 1e6), tmp_path / "out"
    )


@pytest.mark.parametrize("colour", ["black", "white", "red"])
def test_a_painting_of_one_colour_has_scales_that_divide(vgg, colour):
    painting = torch.from_numpy(np.array(Image.new("RGB", (32, 32), colour))).permute(2, 0, 1)[None].float()
    scales = _objective(vgg, painting).scales()  # photographs of one colour, too: without variation
    assert all(0 < value < float("inf") for value in (scales["content"], *scales["style"], scales["total_variation"]))


def test_a_loss_network_that_answers_nothing_has_scales_that_divide(vgg):
    """To the end of a step: of the next one's level, too."""
    dead = copy.deepcopy(vgg)
    for parameter in dead.parameters():
        parameter.data.zero_()
    picture = torch.full((1, 3, 32, 32), 90.0)
    criterion = _objective(dead, picture)
    assert criterion.scales() == {"content": 1.0, "style": [1.0] * 5, "total_variation": 1.0}
    for _ in range(2):
        assert all(value.isfinite().all() for value in criterion(picture, picture).weighted.values())


def _objective(vgg, painting):
    criterion = PerceptualLoss(TrainingConfig(), vgg, [painting], 32, ContentCeiling(1.0, 10))
    criterion.measure(lambda: [painting])
    return criterion


def test_photographs_of_numbers_that_are_none(tmp_path):
    """Floating-point TIFFs: not-a-number and infinities become black, and nothing but bytes reaches the training."""
    values = np.full((40, 40), np.nan, np.float32)
    values[0, :4] = np.inf, -np.inf, 1.0, 3e38
    for number, array in enumerate((values, np.full_like(values, np.nan), np.full_like(values, np.inf))):
        Image.fromarray(array).save(tmp_path / f"{number}.tif")
    dataset = PhotographDataset(sorted(tmp_path.iterdir()), 32, seed=0)
    positions, crops, _ = dataset[[(0, 0), (1, 1), (2, 2)]]
    assert positions == [0, 1, 2] and crops.dtype == torch.uint8
    assert crops[1].max() == crops[2].max() == 0


@pytest.mark.parametrize("size", [(1, 1), (30, 4000), (30_000, 30_000)])
def test_paintings_of_absurd_sizes_get_a_clear_answer(train, tmp_path, png_without_pixels, size):
    if max(size) < 10_000:
        Image.new("RGB", size).save(tmp_path / "painting.png")
        words = f"painting.png is {size[0]} x {size[1]} pixels"
    else:
        (tmp_path / "painting.png").write_bytes(png_without_pixels(*size))
        words = "painting.png has 900000000 pixels, more than --max_pixels"
    assert words in train("--style_image", tmp_path / "painting.png").error
    assert not (tmp_path / "out").exists()
