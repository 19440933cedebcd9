"""What is said of content files that are no plain pictures, and what is done with them."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path, make_picture):
    (tmp_path / "photos").mkdir()
    make_picture(40, 32, seed=1).save(tmp_path / "photos" / "a.png")
    return tmp_path / "photos"


def test_an_animation_is_told(stylize, folder, make_picture):
    """Where the format holds no motion."""
    path = folder / "b.gif"
    make_picture(40, 32, seed=2).save(path, save_all=True, append_images=[make_picture(40, 32, seed=3)])
    for value in (path, folder):
        result = stylize(value, "--overwrite", "--format", "tiff")
        assert result.returncode == 0
        assert result.stderr.count(f"warning: {path} is animated: its first frame alone is taken") == 1


def test_a_picture_whose_end_is_missing_is_done_with_a_warning(stylize, folder, tmp_path):
    path = folder / "a.png"
    path.write_bytes(path.read_bytes()[:-200])
    result = stylize(path)
    assert result.returncode == 0 and f"warning: {path} is damaged (its end is missing)" in result.stderr
    with Image.open(tmp_path / "results" / "a_stripes.png") as image:
        assert image.size == (40, 32) and np.asarray(image).std() > 2


@pytest.mark.parametrize("more", [[], ["?size=large"]])
def test_a_web_address_is_named_in_full(stylize, tmp_path, more):
    url = "https://example.org/photo.jpg" + "".join(more)
    assert f"error: {url} is a web address" in stylize(url).error
    assert f"error: {url} is a web address" in stylize(url, url).error
    assert f"--mask: {url} is a web address" in stylize("content/mountains.jpg", "--mask", url).error
    assert f"{url} is a web address" in stylize("content/mountains.jpg", "--model_path", url).error
    assert not (tmp_path / "results").exists()


def test_an_unreadable_file_is_told_before_its_result_exists(stylize, folder, tmp_path):
    assert stylize(folder / "a.png").returncode == 0
    (folder / "a.png").write_bytes(b"%PDF-1.7")
    assert f"{folder / 'a.png'} is a PDF document" in stylize(folder / "a.png").error


def test_heic_without_its_package_is_named(stylize, folder, tmp_path, monkeypatch):
    """In a folder, alone in one, and in one of a training."""
    from data.dataset import list_photographs
    from utils.errors import UserError

    for module in ("formats", "reading"):
        monkeypatch.setattr(f"imaging.{module}.reads_heic", lambda: False)
    Image.init()  # before its table is replaced, which it fills once
    # What the package has made known to Pillow, where an earlier test asked for it.
    endings = {ending: name for ending, name in Image.EXTENSION.items() if not ending.startswith((".hei", ".hif"))}
    monkeypatch.setattr(Image, "EXTENSION", endings)
    for name in ("1.HEIC", "2.heic", *(f"notes.{ending}" for ending in ("a", "b", "c", "d", "e", "f"))):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    told = "2 HEIC need a package: pip install pillow-heif"
    result = stylize(folder)
    assert result.returncode == 0 and f"warning: left out: {told}" in result.stderr
    with pytest.warns(UserWarning, match=told):
        assert list_photographs(folder) == [folder / "a.png"]
    (folder / "a.png").unlink()
    assert f"--content_image {folder} holds no picture that is read here: {told}" in stylize(folder).error
    with pytest.raises(UserError, match=f"--dataset_dir {folder} holds no picture that is read here: {told}"):
        list_photographs(folder)
