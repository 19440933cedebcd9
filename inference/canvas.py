"""What the engine reads and writes: a picture, which is painted over while it is read, or a batch of tensors."""

import numpy as np
import torch
from PIL import Image

from imaging.resampling import resized, resized_region
from imaging.tensors import tensor_to_image
from inference.options import StylizeError
from losses.functional import luminance

Place = tuple[slice, slice]  # rows, columns


def box(place: Place) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a place, as Pillow has it."""
    rows, columns = place
    return columns.start, rows.start, columns.stop, rows.stop


def as_picture(image: Image.Image | np.ndarray) -> Image.Image:
    """A picture that the engine paints; an array H x W x 3 or 4, uint8, RGB or RGBA, becomes one.

    Raises:
        StylizeError: for anything else, saying what it takes.
    """
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (3, 4):
        return Image.fromarray(np.ascontiguousarray(image))
    if not isinstance(image, Image.Image):
        what = f"an array {image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise StylizeError(
            f"a picture is expected, or an array H x W x 3 of uint8, not {what}: open a file with "
            'Image.open(path).convert("RGB"), and give tensors to stylize_tensor'
        )
    if image.mode not in ("RGB", "RGBA"):
        raise StylizeError(f'a picture of mode {image.mode} is to be converted first: image.convert("RGB")')
    return image


def check_images(images: torch.Tensor) -> None:
    """Refuse what is no batch of pictures, N x 3 x H x W.

    Raises:
        StylizeError: with its shape.
    """
    if not isinstance(images, torch.Tensor):
        raise StylizeError(f"a tensor N x 3 x H x W is expected, not {type(images).__name__}: give pictures to stylize")
    if images.dim() != 4 or images.shape[1] != 3 or not images.shape[2] or not images.shape[3]:
        raise StylizeError(f"a tensor N x 3 x H x W is expected, not of shape {tuple(images.shape)}")


class PictureCanvas:
    """A Pillow picture, ``RGB`` or ``RGBA``; what is written replaces its colours and leaves its transparency."""

    def __init__(self, image: Image.Image):
        self.image, self.size = image, image.size
        self._rows = slice(0, 0)
        self._memory = self._strip = np.empty((0, image.width, len(image.getbands())), np.uint8)

    def crop(self, place: Place) -> torch.Tensor:
        """1 x 3 x H x W, uint8: a part as it is now."""
        return _to_tensor(self._pixels(place))

    def source(self, place: Place) -> torch.Tensor:
        """The same as it was before anything was written, for places from the top down.

        The rows of a place are read once, and kept while places look at them.
        """
        self._move_to(place[0])
        return _to_tensor(self._strip[:, place[1]])

    def write(self, place: Place, colours: torch.Tensor) -> None:
        """Replace the colours of a part by 1 x 3 x H x W, in [0, 255]."""
        patch = tensor_to_image(colours[0])
        if self.image.mode == "RGBA":
            patch.putalpha(self.image.crop(box(place)).getchannel("A"))
        self.image.paste(patch, box(place)[:2])

    def reduced(self, size: tuple[int, int]) -> "PictureCanvas":
        """The picture resized to ``size``, with its lightness where transparency would be, which writing leaves."""
        # (Pillow copies even what it has nothing to convert in.)
        image = self.image if self.image.mode == "RGB" else self.image.convert("RGB")
        image = image.resize(size, Image.Resampling.LANCZOS)
        image.putalpha(image.convert("L"))
        return PictureCanvas(image)

    def enlarged(self, size: tuple[int, int], place: Place) -> torch.Tensor:
        """1 x 4 x H x W, float32: a place of what the picture, with all its channels, resized to ``size`` shows."""
        return resized_region(self.image, size, box(place))

    def _pixels(self, place: Place) -> np.ndarray:
        return np.array(self.image.crop(box(place)))

    def _move_to(self, rows: slice) -> None:
        if rows == self._rows:
            return
        kept = self._strip[rows.start - self._rows.start :].copy()
        if len(self._memory) < rows.stop - rows.start:
            self._memory = self._strip = None  # before more is taken
            self._memory = np.empty((rows.stop - rows.start, self.image.width, len(self.image.getbands())), np.uint8)
        self._strip = self._memory[: rows.stop - rows.start]
        self._strip[: len(kept)] = kept
        for top in range(rows.start + len(kept), rows.stop, 128):  # at a time, for Pillow's own copies
            bottom = min(top + 128, rows.stop)
            pixels = self._pixels((slice(top, bottom), slice(0, self.image.width)))
            self._strip[top - rows.start : bottom - rows.start] = pixels
        self._rows = rows


class TensorCanvas:
    """A batch of pictures of one size, and the tensor that receives the result.

    Args:
        images: N x 3 x H x W, any type, in [0, 255].
        output: N x 3 x H x W of any type, or with further channels, which are left alone.
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

    def enlarged(self, size: tuple[int, int], place: Place) -> torch.Tensor:
        """N x channels x H x W, float32: a place of what the output resized to ``size`` shows."""
        return resized_region(self.output, size, box(place))


def _to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """1 x 3 x H x W of H x W x 3 or 4, without a copy."""
    return torch.from_numpy(pixels[..., :3]).permute(2, 0, 1)[None]
