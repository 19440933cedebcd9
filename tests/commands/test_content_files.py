"""What is said of content files that are no plain pictures, and what is done with them."""

import re

import numpy as np
import pytest
from PIL import Image

from data.dataset import list_photographs
from utils.errors import UserError


@pytest.fixture
def folder(tmp_path, make_picture):
    (tmp_path / "photos").mkdir()
    make_picture(40, 32, seed=1).save(tmp_path / "photos" / "a.png")
    return tmp_path / "photos"


def test_a_picture_whose_end_is_missing_is_done_with_a_warning(stylize, folder, tmp_path):
    path = folder / "a.png"
    path.write_bytes(path.read_bytes()[:-200])
    result = stylize(path)
    assert result.returncode == 0 and f"warning: {path} is damaged (its end is missing)" in result.stderr
    with Image.open(tmp_path / "results" / "a_stripes.png") as image:
        assert image.size == (40, 32) and np.asarray(image).std() > 2


def test_a_web_address_is_named_in_full(stylize, tmp_path):
    url = "https://example.org/photo.jpg?size=large"
    for flags in ([url], [url, url], ["content/mountains.jpg", "--mask", url]):
        assert f"{url} is a web address" in stylize(*flags).error
    assert not (tmp_path / "results").exists()


def test_heic_without_its_package_is_named(stylize, folder, monkeypatch):
    """As a file, in a folder, alone in one, and in one of a training."""
    for module in ("formats", "reading"):
        monkeypatch.setattr(f"imaging.{module}.reads_heic", lambda: False)
    Image.init()  # before its table is replaced, which it fills once
    # What the package has made known to Pillow, where an earlier test asked for it.
    endings = {ending: name for ending, name in Image.EXTENSION.items() if not ending.startswith((".hei", ".hif"))}
    monkeypatch.setattr(Image, "EXTENSION", endings)
    for name in ("1.HEIC", "2.heic"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "2.heic is HEIC, which needs a package: pip install pillow-heif" in stylize(folder / "2.heic").error
    assert_left_out(stylize, folder, "2 HEIC need a package: pip install pillow-heif")


def assert_left_out(stylize, folder, told):
    result = stylize(folder)
    assert result.returncode == 0 and f"warning: left out: {told}" in result.stderr
    with pytest.warns(UserWarning, match=told):
        assert list_photographs(folder) == [folder / "a.png"]
    (folder / "a.png").unlink()
    assert f"{folder} holds no picture that is read here: {told}" in stylize(folder, "--overwrite").error
    with pytest.raises(UserError, match=f"--dataset_dir {folder} holds no picture that is read here: {told}"):
        list_photographs(folder)


def test_raw_files_of_cameras_in_a_folder_are_named(stylize, folder):
    for name in ("b.NEF", "c.dng"):
        (folder / name).write_bytes(b"II*\0")
    assert_left_out(stylize, folder, "2 camera raw: export them as JPEG")


def test_a_folder_that_cannot_be_listed_does_not_hold_nothing(stylize, folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    told = f"{folder} cannot be listed .Permission denied.: see to its permissions"
    with pytest.raises(UserError, match=f"--dataset_dir {folder}: {told}"):
        list_photographs(folder)
    assert re.search(f"--content_image {folder}: {told}", stylize(folder).error)


def test_links_that_lead_nowhere_are_no_photographs_to_train_on(folder):
    for name, target in (("loop.jpg", "loop.jpg"), ("gone.jpg", "nothing.jpg"), ("b.png", "a.png")):
        (folder / name).symlink_to(target)
    with pytest.warns(UserWarning) as told:
        assert list_photographs(folder) == [folder / "a.png", folder / "b.png"]
    assert {str(one.message) for one in told} == {
        f"left out: {folder / name} is a link to a file that is not there" for name in ("loop.jpg", "gone.jpg")
    }
