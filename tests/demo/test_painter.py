"""What the page keeps between two pictures."""

import tempfile

import pytest
import torch

pytest.importorskip("starlette")

from config import DemoConfig  # noqa: E402
from demo.app import own_folder  # noqa: E402
from demo.catalogue import Catalogue  # noqa: E402
from demo.painter import Painter  # noqa: E402
from demo.recipe import read_recipe  # noqa: E402
from models.checkpoints import Checkpoint, save_checkpoint  # noqa: E402


@pytest.fixture
def own(trained_like, tmp_path):
    """A catalogue of one model, ``own``, its path, and an engine."""
    path = tmp_path / "own.pth"
    save_checkpoint(path, Checkpoint(trained_like("instance", width=0.25, blocks=1), {}))
    catalogue = Catalogue()
    catalogue.folders = [tmp_path]
    return catalogue, path, Painter(DemoConfig(device="cpu", precision="float32"), catalogue)


def recipe_of(catalogue, path):
    return read_recipe({"styles": [[str(path), 1]]}, catalogue.styles())


def test_a_model_that_is_trained_anew_under_its_name_is_read_anew(own, trained_like):
    catalogue, path, painter = own
    before, image = painter.stylizer(recipe_of(catalogue, path)), torch.rand(1, 3, 8, 8) * 255
    assert painter.stylizer(recipe_of(catalogue, path)) is before
    save_checkpoint(path, Checkpoint(trained_like("batch"), {}))
    after = painter.stylizer(recipe_of(catalogue, path))
    assert after is not before and not torch.equal(after.stylize_tensor(image), before.stylize_tensor(image))


def test_a_quick_twin_paints_what_is_quick_and_never_the_result(own, trained_like):
    catalogue, path, painter = own
    plain, image = recipe_of(catalogue, path), torch.rand(1, 3, 8, 8) * 255
    assert not plain.has_twin
    for folder, width in ("fast", 0.2), ("live", 0.125):
        twin = Checkpoint(trained_like("instance", width=width, blocks=1, seed=1), {})
        save_checkpoint(path.parent / folder / "own.pth", twin)
        recipe = recipe_of(catalogue, path)
        assert recipe.has_twin and recipe.command("a.jpg") == plain.command("a.jpg")
        for network in ("config", "quick", "live"):
            expected = {"config": 0.25, "quick": 0.2}.get(network, width)  # a camera takes the smallest that there is
            assert painter.stylizer(recipe, network).network.width == expected
    assert list(catalogue.styles()) == [str(path)]  # the twins are no styles of their own
    results = [painter.stylizer(one).stylize_tensor(image).clone() for one in (plain, recipe)]
    assert torch.equal(*results)


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
