"""Photographs as a data set of random crops that any position of the training can be reproduced from."""

import os
import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps

from config import MAX_PIXELS
from imaging.folders import no_pictures, unread, walk_pictures
from imaging.reading import read_image
from imaging.tensors import flatten, image_to_tensor
from utils.errors import ImageError, UserError


def list_photographs(folder: str | Path, flag: str = "--dataset_dir") -> list[Path]:
    """Every picture file below a folder that a flag names, by its extension, in sorted order.

    Raises:
        UserError: if the folder is missing or holds no picture.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise UserError(
            f"{flag} {folder} is not a folder: give a folder of photographs, your own or COCO 2017 "
            "(the archive train2017.zip, 118,287 pictures, 18 GB, from cocodataset.org, unzipped)"
        )
    contents = walk_pictures(folder)
    if not contents.pictures:
        raise no_pictures(f"{flag} {folder}", contents)
    for sentence in unread(contents.others)[0]:
        warnings.warn(f"left out of {flag} {folder}: {sentence}", stacklevel=2)
    for path in contents.dangling:
        warnings.warn(f"left out: {path} is a link to a file that is not there", stacklevel=2)
    for name, reason in contents.unlisted:
        warnings.warn(f"{name} cannot be listed ({reason}): its photographs are left out", stacklevel=2)
    return [Path(path) for path in sorted(contents.pictures)]


def random_crop(path: Path, size: int, rng: random.Random, max_pixels: int = MAX_PIXELS) -> torch.Tensor:
    """A photograph at a random scale, cropped to a square and flipped at random.

    Its short side is brought to between ``size`` and twice as many pixels, and not beyond its own, so that the network
    sees things large and small, as it will in photographs of any size.

    Returns:
        3 x size x size, uint8, RGB.

    Raises:
        ImageError: if it cannot be read.
    """
    # Twice the largest size keeps the reduced decoding invisible after resampling.
    image = read_image(path, draft_size=4 * size, max_pixels=max_pixels)
    # Only the crop is resampled: a square of the photograph, at a scale of 1 with the short side for a side.
    width, height = image.size
    short_side = min(width, height)
    side = short_side / rng.uniform(1.0, max(1.0, min(2.0, short_side / size)))
    left, top = rng.random() * (width - side), rng.random() * (height - side)
    crop = flatten(image).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side), reducing_gap=3.0
    )
    return image_to_tensor(ImageOps.mirror(crop) if rng.random() < 0.5 else crop)


class PhotographDataset(torch.utils.data.Dataset):
    """Random crops of photographs, addressed by position in an endless shuffled stream.

    Position p is photograph ``order(p // n)[p % n]`` of n. Crop and flip depend on seed and position alone, so a
    stream can be taken up anywhere, by any number of workers, and yields the same tensors.

    Args:
        image_size: side of the crops, pixels.
        max_pixels: larger pictures count as unreadable.
    """

    def __init__(self, paths: Sequence[Path], image_size: int, seed: int, max_pixels: int = MAX_PIXELS):
        self.paths, self.image_size, self.seed, self.max_pixels = paths, image_size, seed, max_pixels
        self.unreadable: dict[int, str] = {}  # index -> reason, as found so far; streams pass over them

    def __len__(self) -> int:
        return len(self.paths)

    def order(self, epoch: int) -> list[int]:
        """The order of one pass, as indices into ``paths``."""
        order = list(range(len(self.paths)))
        random.Random(f"order {self.seed} {epoch}").shuffle(order)
        return order

    def __getitem__(self, chunk: list[tuple[int, int]]) -> tuple[list[int], torch.Tensor, dict[int, str]]:
        """The positions of K readable ones among (position, index) pairs; their crops, K x 3 x size x size, uint8; and
        index -> reason for the others."""
        positions, crops, failures = [], [], {}
        for position, index in chunk:
            try:
                rng = random.Random(f"crop {self.seed} {position}")
                crops.append(random_crop(self.paths[index], self.image_size, rng, self.max_pixels))
                positions.append(position)
            except ImageError as error:
                failures[index] = str(error)
        size = self.image_size
        return positions, torch.stack(crops) if crops else torch.empty(0, 3, size, size, dtype=torch.uint8), failures
