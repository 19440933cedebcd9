"""The folder of photographs and its random crops."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from data.dataset import PhotographDataset, list_photographs, random_crop
from utils.errors import UserError


def test_pictures_are_found_recursively_by_extension(tmp_path):
    wanted = ["a.jpg", "b.JPEG", "c.PNG", "deep/er/d.webp", "deep/e.Tif", "f.bmp", "name.with.dots.jpg"]
    unwanted = ["notes.txt", "._a.jpg", ".hidden.png", "jpg", "page.pdf", "drawing.eps", "deep/a.json", "a.jpg.part"]
    for name in wanted + unwanted:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")  # never opened
    assert list_photographs(tmp_path) == sorted(tmp_path / name for name in wanted)


def test_missing_folder_says_how_to_get_coco(tmp_path):
    (tmp_path / "file.jpg").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "file.jpg"):
        with pytest.raises(UserError, match=f"--dataset_dir {path}.*COCO"):
            list_photographs(path)
    (tmp_path / "file.jpg").rename(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="--dataset_dir .* holds no picture"):
        list_photographs(tmp_path)


def expected_crop(path, size, rng):
    """The square of the photograph, sampled eight times too finely and averaged: no resize, no draft."""
    with Image.open(path) as image:
        side = min(image.size)
        side /= rng.uniform(1.0, max(1.0, min(2.0, side / size)))
        left, top = rng.random() * (image.width - side), rng.random() * (image.height - side)
        extent = (left, top, left + side, top + side)
        fine = image.convert("RGB").transform(
            (8 * size, 8 * size), Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
        )
    array = np.asarray(fine, float).reshape(size, 8, size, 8, 3).mean(axis=(1, 3))
    return array[:, ::-1] if rng.random() < 0.5 else array


@pytest.mark.parametrize("width, height", [(160, 410), (20, 31), (1000, 640)])
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_crop_is_a_resized_square_of_the_photograph(tmp_path, make_picture, width, height, extension):
    """For photographs larger and smaller than the crop, also where a JPEG is decoded at a reduced scale."""
    path = tmp_path / f"photo.{extension}"
    make_picture(width, height, seed=width).save(path, **({"quality": 95} if extension == "jpg" else {}))
    for seed in range(4):
        crop = random_crop(path, 64, random.Random(seed))
        assert crop.shape == (3, 64, 64) and crop.dtype == torch.uint8
        expected = expected_crop(path, 64, random.Random(seed)).transpose(2, 0, 1)
        difference = np.abs(crop.numpy().astype(float) - expected)
        assert difference.mean() < 2.0, (seed, difference.mean())


def test_order_is_a_permutation_that_differs_from_epoch_to_epoch(tmp_path):
    dataset = PhotographDataset([tmp_path / str(i) for i in range(50)], 32, seed=4)
    orders = [dataset.order(epoch) for epoch in range(4)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert orders == [PhotographDataset(dataset.paths, 32, seed=4).order(epoch) for epoch in range(4)]
    assert orders[0] != PhotographDataset(dataset.paths, 32, seed=5).order(0)


def test_crops_follow_from_seed_and_position(photos):
    paths = list_photographs(photos)
    dataset = PhotographDataset(paths, 32, seed=4)
    positions, crops, failures = dataset[[(7, 2), (8, 0), (31, 2)]]
    assert positions == [7, 8, 31] and crops.shape == (3, 3, 32, 32) and not failures
    assert not torch.equal(crops[0], crops[2])  # the same photograph elsewhere in the stream is cropped anew
    assert not torch.equal(PhotographDataset(paths, 32, seed=5)[[(7, 2)]][1][0], crops[0])
