"""What the page keeps between two pictures."""

import shutil

import pytest
import torch

pytest.importorskip("starlette")

from config import DemoConfig  # noqa: E402
from demo.catalogue import Catalogue  # noqa: E402
from demo.painter import Painter  # noqa: E402
from demo.recipe import read_recipe  # noqa: E402
from models.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402


def test_a_model_that_is_trained_anew_under_its_name_is_read_anew(style_model, tmp_path):
    path = tmp_path / "own.pth"
    shutil.copy(style_model, path)
    catalogue = Catalogue([tmp_path])
    painter = Painter(DemoConfig(device="cpu", precision="float32"), catalogue)
    recipe = read_recipe({"styles": [[str(path), 1]]}, catalogue.styles())
    before, image = painter.stylizer(recipe), torch.full((1, 3, 8, 8), 90.0)
    assert painter.stylizer(recipe) is before
    checkpoint = load_checkpoint(path)
    for parameter in checkpoint.network.parameters():
        parameter.data.mul_(0.5)
    save_checkpoint(path, checkpoint)
    after = painter.stylizer(recipe)
    assert after is not before and not torch.equal(after.stylize_tensor(image), before.stylize_tensor(image))
