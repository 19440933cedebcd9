"""What the page keeps between two pictures."""

import shutil
import tempfile

import pytest
import torch

pytest.importorskip("starlette")

from config import DemoConfig  # noqa: E402
from demo.app import own_folder  # noqa: E402
from demo.catalogue import Catalogue, Style  # noqa: E402
from demo.painter import Painter  # noqa: E402
from demo.recipe import read_recipe  # noqa: E402
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


def test_a_quick_twin_paints_what_is_quick_and_never_the_result(style_model, make_picture, tmp_path):
    (tmp_path / "fast").mkdir()
    shutil.copy(style_model, tmp_path / "own.pth")
    catalogue = Catalogue([tmp_path])
    painter, wanted = Painter(DemoConfig(device="cpu", precision="float32"), catalogue), str(tmp_path / "own.pth")
    assert not read_recipe({"styles": [[wanted, 1]]}, catalogue.styles()).has_twin
    checkpoint = load_checkpoint(style_model)
    for parameter in checkpoint.network.parameters():
        parameter.data.mul_(0.5)
    save_checkpoint(tmp_path / "fast" / "own.pth", checkpoint)
    assert [style.id for style in catalogue.styles().values()].count(wanted) == 1  # the twin is no style of its own
    recipe, plain = (
        read_recipe({"styles": [[wanted, 1]]}, styles)
        for styles in (catalogue.styles(), Catalogue().styles() | {wanted: Style(wanted, None)})
    )
    assert recipe.has_twin and recipe.command("a.jpg") == plain.command("a.jpg")
    image = torch.full((1, 3, 8, 8), 90.0)
    results = [
        painter.stylizer(one, quick).stylize_tensor(image)
        for one, quick in ((plain, False), (recipe, False), (recipe, True))
    ]
    assert torch.equal(results[0], results[1]) and not torch.equal(results[1], results[2])


def test_photographs_of_a_server_that_was_killed_are_cleared_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    live, lock = own_folder()
    killed, other = tmp_path / f"{live.name}x", tmp_path / "style_transfer_notes"
    for folder in (killed, other, tmp_path / "elsewhere"):
        folder.mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    (killed / "lock").touch()
    (killed / "photo.jpg").touch()
    (tmp_path / "style_transfer_link").symlink_to(tmp_path / "elsewhere")
    mine, second = own_folder()
    assert not killed.exists()
    assert all(folder.is_dir() for folder in (live, mine, other, tmp_path / "elsewhere"))
    lock.release()
    second.release()
