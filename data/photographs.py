"""Photographs as a data set of random crops that any position of the training can be reproduced from.

They are a folder of picture files, or a store that ``python -m data.prepare`` has made of one.
"""

import os
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import torch
from PIL import Image, ImageOps

from config import MAX_PIXELS
from data.errors import ImageError, UserError
from data.images import NOT_DECODED, image_to_tensor, read_image
from data.store import PhotographStore, StoredPhotograph, is_store

READING_SECONDS = 60
"""Seconds after which a photograph that is still being read, from a network folder that hangs say, is given up."""

STALLED = "did not finish reading within"
"""In the reason of a photograph that was given up."""


def open_photographs(
    folder: str | Path, image_size: int
) -> tuple[Sequence[Path] | Sequence[StoredPhotograph], list[str]]:
    """What ``--dataset_dir`` names: a folder of picture files, or one that ``python -m data.prepare`` has written.

    Args:
        image_size: side of the crops that will be taken, pixels.

    Returns:
        ``(photographs, names)``: what :class:`PhotographDataset` takes, and the name of each in the folder of files.

    Raises:
        UserError: if the folder is missing or holds no picture; if what was prepared is unfinished, damaged, or smaller
            than the crops.
    """
    if not is_store(folder):
        paths = list_photographs(folder)
        return paths, [str(path.relative_to(folder)) for path in paths]
    store = PhotographStore(folder, "--dataset_dir")
    if store.size < image_size:
        raise UserError(
            f"--image_size {image_size} is larger than the {store.size} pixels that --dataset_dir {folder} was "
            f"prepared with: give a smaller one, or prepare the photographs with --size {image_size}"
        )
    return store, store.names


def list_photographs(folder: str | Path, flag: str = "--dataset_dir") -> list[Path]:
    """Every picture file below a folder, by its extension, in sorted order. Opens none of them.

    Args:
        flag: the flag that named the folder, for errors.

    Raises:
        UserError: if the folder is missing or holds no picture.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise UserError(
            f"{flag} {folder} is not a folder: give a folder of photographs, your own or COCO 2017 "
            "(the archive train2017.zip, 118,287 pictures, 18 GB, from cocodataset.org, unzipped)"
        )
    endings = picture_endings()
    # Plain strings: a Path for each of COCO's 118,287 files would take longer than reading the folder.
    found = [
        os.path.join(directory, name)
        for directory, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(endings) and not name.startswith(".")  # "._name" are macOS's shadow files
    ]
    if not found:
        raise UserError(f"{flag} {folder} holds no picture that Pillow reads: give a folder of photographs")
    return [Path(path) for path in sorted(found)]


def picture_endings() -> tuple[str, ...]:
    """Endings of the files that Pillow reads, in lower case, with their dot."""
    Image.init()
    # Some formats, such as PDF, Pillow writes but does not read; MPO, several JPEGs in a file, is read as JPEG.
    decoded = (Image.OPEN.keys() | {"MPO"}) - set(NOT_DECODED)
    return tuple(end for end, form in Image.registered_extensions().items() if form in decoded)


def random_crop(
    photograph: Path | StoredPhotograph, size: int, rng: random.Random, max_pixels: int = MAX_PIXELS
) -> torch.Tensor:
    """A photograph, its short side resized to ``size`` pixels, cropped to a square and flipped at random.

    Args:
        photograph: a picture file, or a photograph of a store.
        size: side of the crop, pixels.
        rng: of place and flip.
        max_pixels: a picture file of more is refused, see :func:`data.images.read_image`.

    Returns:
        3 x size x size, uint8, RGB.

    Raises:
        ImageError: if it cannot be read.
    """
    if isinstance(photograph, StoredPhotograph):
        image = photograph.read()
    else:
        # Twice the size keeps the reduced decoding invisible after resampling.
        image = read_image(photograph, draft_size=2 * size, max_pixels=max_pixels)
    # Only the crop is resampled: its square in the photograph has the short side for a side.
    width, height = image.size
    side = min(width, height)
    left, top = rng.random() * (width - side), rng.random() * (height - side)
    crop = image.convert("RGB").resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side), reducing_gap=3.0
    )
    return image_to_tensor(ImageOps.mirror(crop) if rng.random() < 0.5 else crop)


def _given_up_after(seconds: float, call: Callable, *args):
    """What a call returns or raises; it runs in a thread of its own, which nobody waits for any more after ``seconds``.

    Raises:
        TimeoutError: after that.
    """
    future = Future()

    def run():
        try:
            future.set_result(call(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()  # a daemon: the end of the program does not wait for it either
    # In slices, of which a process that is stopped for an hour, or a machine that sleeps, loses one.
    for _ in range(60):
        if wait([future], seconds / 60).done:
            return future.result()
    raise TimeoutError


class PhotographDataset(torch.utils.data.Dataset):
    """Random crops of photographs, addressed by position in an endless shuffled stream.

    Position p is photograph ``order(p // n)[p % n]`` of n. Crop and flip depend on seed and position alone, so a
    stream can be taken up anywhere, by any number of workers, and yields the same tensors.

    Args:
        paths: the photographs: picture files, or a store of prepared ones.
        image_size: side of the crops, pixels.
        seed: of order, crops and flips.
        max_pixels: picture files of more count as unreadable.
    """

    def __init__(
        self,
        paths: Sequence[Path] | Sequence[StoredPhotograph],
        image_size: int,
        seed: int,
        max_pixels: int = MAX_PIXELS,
    ):
        self.paths, self.image_size, self.seed, self.max_pixels = paths, image_size, seed, max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def order(self, epoch: int) -> list[int]:
        """The shuffled order of one pass, as indices into ``paths``."""
        order = list(range(len(self.paths)))
        random.Random(f"order {self.seed} {epoch}").shuffle(order)
        return order

    def __getitem__(self, chunk: list[tuple[int, int]]) -> tuple[list[int], torch.Tensor, dict[int, str]]:
        """Decode a chunk of (position, index of the photograph) pairs.

        Returns:
            ``(positions, crops, failures)``: positions of the K readable ones, in order; their crops, K x 3 x size x
            size, uint8; and index -> reason for the others.
        """
        positions, crops, failures = [], [], {}
        for position, index in chunk:
            try:
                rng = random.Random(f"crop {self.seed} {position}")
                crop = _given_up_after(
                    READING_SECONDS, random_crop, self.paths[index], self.image_size, rng, self.max_pixels
                )
                crops.append(crop)
            except ImageError as error:
                failures[index] = str(error)
            except TimeoutError:
                failures[index] = f"{self.paths[index]} {STALLED} {READING_SECONDS:g} seconds"
            else:
                positions.append(position)
        size = self.image_size
        return positions, torch.stack(crops) if crops else torch.empty(0, 3, size, size, dtype=torch.uint8), failures
