"""Canvases that the engine reads and paints over, a picture or a batch of tensors; and their tiles."""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from imaging.resampling import resized
from imaging.tensors import tensor_to_image
from inference.options import StylizeError
from losses.functional import luminance

Place = tuple[slice, slice]  # rows, columns


class Tile(NamedTuple):
    source: Place  # of the picture, that the network is given
    inside: Place  # of the network's output, that are kept
    target: Place  # of the picture, that they fill


def tiles(height: int, width: int, size: int, margin: int) -> list[Tile]:
    """Overlapping tiles that give the same pixels as one pass.

    Args:
        size: rows and columns to fill at a time, at most; a multiple of the network's stride.
        margin: the network's reach; less at the picture's own border, where the network pads as in one pass.
    """
    spans = itertools.product(_spans(height, size, margin), _spans(width, size, margin))
    return [Tile(*zip(rows, columns)) for rows, columns in spans]


def _spans(length: int, size: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    # Tiles of equal length, to 4 pixels, rather than full ones and a rest.
    count = math.ceil(length / size)
    step = math.ceil(length / count / 4) * 4
    for start in range(0, length, step):
        end = min(start + step, length)
        first, last = max(0, start - margin), min(length, end + margin)
        yield slice(first, last), slice(start - first, end - first), slice(start, end)


def box(place: Place) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a place, as Pillow has it."""
    rows, columns = place
    return columns.start, rows.start, columns.stop, rows.stop


def as_picture(image: Image.Image | np.ndarray) -> Image.Image:
    """A picture that the engine paints; an array H x W x 3 or 4, uint8, RGB or RGBA, becomes one.

    Raises:
        StylizeError: for anything else, saying what it takes.
    """
    if isinstance(image, Image.Image) and image.mode in ("RGB", "RGBA"):
        return image
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (3, 4):
        return Image.fromarray(np.ascontiguousarray(image))
    raise StylizeError(
        "a picture of mode RGB or RGBA is expected, or an array H x W x 3 or 4 of uint8: open a file with "
        'Image.open(path).convert("RGB"), and give tensors to stylize_tensor'
    )


class PictureCanvas:
    """A Pillow picture, ``RGB`` or ``RGBA``; what is written replaces its colours and leaves its transparency."""

    def __init__(self, image: Image.Image):
        self.output, self.size = image, image.size
        self._rows = slice(0, 0)
        self._strip = np.empty((0, image.width, len(image.getbands())), np.uint8)

    def crop(self, place: Place) -> torch.Tensor:
        """1 x 3 x H x W, uint8: a part as it is now."""
        return _to_tensor(np.array(self.output.crop(box(place))))

    def source(self, place: Place) -> torch.Tensor:
        """The same as it was before anything was written, for places from the top down.

        The rows of a place are read once, and kept while places look at them.
        """
        rows, columns = place
        if rows != self._rows:
            kept = self._strip[rows.start - self._rows.start :]
            strip = np.empty((rows.stop - rows.start, *self._strip.shape[1:]), np.uint8)
            strip[: len(kept)] = kept
            for top in range(rows.start + len(kept), rows.stop, 128):  # at a time, for Pillow's own copies
                bottom = min(top + 128, rows.stop)
                strip[top - rows.start : bottom - rows.start] = self.output.crop((0, top, self.size[0], bottom))
            self._rows, self._strip = rows, strip
        return _to_tensor(self._strip[:, columns])

    def write(self, place: Place, colours: torch.Tensor) -> None:
        """Replace the colours of a part by 1 x 3 x H x W, in [0, 255]."""
        patch = tensor_to_image(colours[0])
        if self.output.mode == "RGBA":
            patch.putalpha(self.output.crop(box(place)).getchannel("A"))
        self.output.paste(patch, box(place)[:2])

    def reduced(self, size: tuple[int, int]) -> "PictureCanvas":
        """The picture resized to ``size``, with its lightness where transparency would be, which writing leaves."""
        # (Pillow copies even what it has nothing to convert in.)
        image = self.output if self.output.mode == "RGB" else self.output.convert("RGB")
        image = image.resize(size, Image.Resampling.LANCZOS)
        image.putalpha(image.convert("L"))
        return PictureCanvas(image)


class TensorCanvas:
    """A batch of pictures, N x 3 x H x W, any type, in [0, 255], and the tensor that receives the result.

    The output may be of another type, and have further channels, which are left alone.
    """

    def __init__(self, images: torch.Tensor, output: torch.Tensor):
        self.images, self.output = images, output
        self.size = images.shape[-1], images.shape[-2]

    def crop(self, place: Place) -> torch.Tensor:
        """A part of the images."""
        return self.images[(..., *place)]

    source = crop  # nothing is written to them

    def write(self, place: Place, colours: torch.Tensor) -> None:
        """Put N x 3 x H x W, in [0, 255], in their place; rounded, not cut, if the output is uint8."""
        if self.output.dtype == torch.uint8:
            colours = colours.round()
        self.output[(slice(None), slice(3), *place)] = colours.to(self.output)

    def reduced(self, size: tuple[int, int]) -> "TensorCanvas":
        """The images resized to ``size``; the output has their lightness as a fourth channel."""
        images = resized(self.images, size).clamp_(0, 255)
        return TensorCanvas(images, torch.cat([images, luminance(images)], 1))


def _to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """1 x 3 x H x W of H x W x 3 or 4, without a copy."""
    return torch.from_numpy(pixels[..., :3]).permute(2, 0, 1)[None]
