"""What the page keeps between two pictures."""

import shutil
import threading

import pytest
import torch

pytest.importorskip("starlette")

from config import DemoConfig  # noqa: E402
from demo.catalogue import Catalogue  # noqa: E402
from demo.painter import Painter  # noqa: E402
from demo.recipe import read_recipe  # noqa: E402
from demo.turns import Cancelled  # noqa: E402
from models.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402


def test_a_model_that_is_trained_anew_under_its_name_is_read_anew(style_model, tmp_path):
    path = tmp_path / "own.pth"
    shutil.copy(style_model, path)
    catalogue = Catalogue([tmp_path])
    painter = Painter(DemoConfig(device="cpu", precision="float32"), catalogue)
    style, recipe = catalogue.styles()[str(path)], read_recipe({"styles": [[str(path), 1]]}, catalogue.styles())
    before, image = painter.stylizer(recipe), torch.full((1, 3, 8, 8), 90.0)
    assert painter.stylizer(recipe) is before
    checkpoint = load_checkpoint(path)
    for parameter in checkpoint.network.parameters():
        parameter.data.mul_(0.5)
    save_checkpoint(path, checkpoint)
    assert catalogue.styles()[str(path)] != style  # by which thumbnails are kept
    after = painter.stylizer(recipe)
    assert after is not before and not torch.equal(after.stylize_tensor(image), before.stylize_tensor(image))


def test_a_photograph_is_opened_while_another_or_a_film_is_painted(make_picture, tmp_path):
    make_picture(40, 30, seed=1).save(tmp_path / "photo", "PNG")
    painter = Painter(DemoConfig(device="cpu", max_pixels=2000), Catalogue())
    at_once = threading.Event()
    at_once.set()  # what would have to wait is cancelled
    with painter.room.taken(800, threading.Event()):
        assert painter.open(tmp_path / "photo", "photo.png", at_once).size == (40, 30)
    with painter.room.taken(801, threading.Event()), pytest.raises(Cancelled):
        painter.open(tmp_path / "photo", "photo.png", at_once)
