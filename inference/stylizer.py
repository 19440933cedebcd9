"""From a trained style and a photograph to a picture: the one engine behind every command."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from imaging.oklab import oklab_to_rgb, rgb_to_oklab
from imaging.resampling import resized_region
from imaging.tensors import tensor_to_image
from inference.cuda_graphs import CapturedPass
from inference.instance_norm import fix_statistics
from inference.options import StyleOptions
from inference.tiling import halo, tiles
from models.checkpoints import load_checkpoint
from models.fusion import fuse_batch_norm, merge_pointwise
from models.transformer_net import TransformerNet
from utils.device import Compute, available_memory, keep_freed_memory, memory_format, resolve_compute

_SMALLEST_TILE = 64
_SMALL_TILE = 1024  # where larger ones would be no faster
_BYTES_PER_PIXEL = {2: 340, 4: 630}  # that a pass takes, by the bytes of a number; measured on a CPU
_TILE_BYTES = 384 * 2**20  # what a tile and the row of a picture that it lies in may take on a CPU

_AS_TRAINED = StyleOptions()

Box = tuple[int, int, int, int]  # left, top, right, bottom
Place = tuple[slice, slice]  # rows, columns
Reader = Callable[[Place], torch.Tensor]  # gives 1 x 3 x H x W, RGB in [0, 255]


class Stylizer:
    """Repaints pictures in a trained style.

    >>> stylizer = Stylizer("checkpoints/starry_night.pth")
    >>> stylizer.stylize(Image.open("photo.jpg").convert("RGB")).save("stylized.png")

    Args:
        model: path of a checkpoint, or a network, which is copied.
        device, precision: as the flags of the commands; or ``compute`` itself.
        tile_size: rows and columns that are stylised at once, at most; a multiple of 4. Fewer where memory is short.

    Raises:
        UserError: if the checkpoint cannot be used, or the device or precision does not exist here.
    """

    def __init__(
        self,
        model: str | Path | TransformerNet,
        device: str = "auto",
        precision: str = "auto",
        compute: Compute | None = None,
        tile_size: int = 2048,
    ):
        self.compute = compute or resolve_compute(device, precision)
        if self.compute.device.type == "cpu":
            keep_freed_memory()
        network = model if isinstance(model, TransformerNet) else load_checkpoint(model).network
        # Weights in the type of the computation: nothing is converted on the way.
        fused = fuse_batch_norm(network).to(
            self.compute.device, self.compute.dtype, memory_format=memory_format(self.compute.device)
        )
        self.network = merge_pointwise(fused)
        self._run = CapturedPass(self.network) if self.compute.device.type == "cuda" else self.network
        self._halo = halo(self.network)
        self._with_instance_norm = copy.deepcopy(network) if self._halo is None else None
        self.tile_size = _affordable(tile_size, self._halo or 0, self.compute)

    # -- pictures ----------------------------------------------------------------------------------

    @torch.inference_mode()
    def stylize(
        self,
        image: Image.Image,
        options: StyleOptions = _AS_TRAINED,
        *,
        in_place: bool = False,
        bar: tqdm | None = None,
    ) -> Image.Image:
        """A picture in the style, of the same size.

        Args:
            image: mode ``RGB``, or ``RGBA``, whose transparency is kept as it is.
            options: stroke size, strength, colours, mask.
            in_place: paint over ``image`` and return it, rather than a copy: then memory is taken for a row of tiles
                alone, whatever the size.
            bar: a progress bar, whose total grows by the number of tiles.

        Returns:
            A picture of the same mode.

        Raises:
            MemoryError: if memory does not suffice for even a small tile.
            UserError: if the mask has other proportions than the picture.
            ValueError: if the picture has another mode.
        """
        if image.mode not in ("RGB", "RGBA"):
            raise ValueError(f'a picture of mode {image.mode} is to be converted first: image.convert("RGB")')
        options.check_mask(*image.size)
        result = image if in_place else image.copy()
        if options.strength == 0:
            return result
        working_size = options.working_size(*image.size)
        at_scale = working_size != image.size
        for tile in self._tiles_at(working_size, result, bar) if at_scale else self._tiles(result, bar):
            content_image = _to_tensor(tile.pixels).to(tile.stylized.device).float()
            _paint(result, tile, options.apply(content_image, tile.stylized, image.size, tile.box))
        return result

    def _tiles(self, image: Image.Image, bar: tqdm | None) -> Iterator["_StylizedTile"]:
        """What the network makes of a picture.

        The caller may paint over each tile of ``image`` once it has it: the pixels that later tiles look at as well are
        kept apart.
        """
        width, height = image.size
        engine = self._for_picture(height, width, lambda source: _to_tensor(_crop(image, source)), bar)
        size = max(width, height) if engine._halo is None else engine._tile_size_for(width, height)
        places = list(tiles(height, width, size, engine._halo or 0))
        _announce(bar, len(places))
        strip = _Strip(image)
        for place in places:
            strip.move_to(place.source[0])
            source = strip.pixels[:, place.source[1]]
            stylized = engine._forward(_to_tensor(source).to(self.compute.device))
            yield _StylizedTile(_box(place.target), source[place.inside].copy(), stylized[(..., *place.inside)])
            _advance(bar)

    def _tiles_at(self, size: tuple[int, int], image: Image.Image, bar: tqdm | None) -> Iterator["_StylizedTile"]:
        """The same, with the network at work on the picture resized to ``size``.

        What a smaller picture cannot hold of the photograph's lightness, its fine detail, is given back.
        """
        places = list(tiles(image.height, image.width, min(self.tile_size, _SMALL_TILE), 0))
        _announce(bar, len(places))
        # The photograph's lightness goes along where transparency would be, which stylising keeps.
        # (Pillow copies even what it has nothing to convert in.)
        working = image if image.mode == "RGB" else image.convert("RGB")
        working = working.resize(size, Image.Resampling.LANCZOS)
        working.putalpha(working.convert("L"))
        for tile in self._tiles(working, bar):
            _paint(working, tile, tile.stylized)
        enlarged = math.prod(size) < math.prod(image.size)
        for place in places:
            pixels, box = _crop(image, place.target), _box(place.target)
            stylized, lightness = resized_region(working, image.size, box).to(self.compute.device).split([3, 1], 1)
            if enlarged:
                content_image = _to_tensor(pixels).to(stylized.device).float()
                stylized = stylized + (_lightness(content_image) - lightness)
            yield _StylizedTile(box, pixels, stylized)
            _advance(bar)

    # -- tensors -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def stylize_tensor(self, images: torch.Tensor, output: torch.Tensor | None = None) -> torch.Tensor:
        """Stylise a batch at its own size, in tiles where it is large: the same pixels, in bounded memory.

        Args:
            images: N x 3 x H x W, any type, RGB in [0, 255], on any device.
            output: receives the result, of the same shape; a uint8 one receives it rounded.

        Returns:
            ``output``, or N x 3 x H x W, float32, in [0, 255], on the device.
        """
        height, width = images.shape[-2:]
        device = self.compute.device
        if self._in_one_pass(height, width):
            result = self._forward(images.to(device))
            return result if output is None else output.copy_(_as_type(result, output.dtype))
        if output is None:
            output = torch.empty(images.shape, device=device)
        for image, target in zip(images.split(1), output.split(1)):
            engine = self._for_picture(height, width, lambda source, image=image: image[(..., *source)])
            for place in tiles(height, width, engine.tile_size, engine._halo):
                result = engine._forward(image[(..., *place.source)].to(device))[(..., *place.inside)]
                target[(..., *place.target)] = _as_type(result, output.dtype)
        return output

    def _in_one_pass(self, height: int, width: int) -> bool:
        # With instance norm tiles cost more than a pass: the area decides.
        return max(height, width) <= self.tile_size or (self._halo is None and height * width <= self.tile_size**2)

    def _tile_size_for(self, width: int, height: int) -> int:
        """``tile_size``, or less for a picture that is not done in one pass: it is to be stylised in bounded memory."""
        if self.compute.device.type != "cpu" or self._in_one_pass(height, width):
            return self.tile_size
        # Pixels of a tile, and three bytes of each in its row: c t^2 + 3 w t = bytes.
        cost = _BYTES_PER_PIXEL[self.compute.dtype.itemsize]
        side = (math.sqrt((3 * width) ** 2 + 4 * cost * _TILE_BYTES) - 3 * width) / (2 * cost)
        return min(self.tile_size, max(_SMALLEST_TILE, (int(side) - 2 * self._halo) // 4 * 4))

    def _for_picture(self, height: int, width: int, read: Reader, bar: tqdm | None = None) -> "Stylizer":
        """What stylises the picture that ``read`` reads: with instance norm, and in tiles, by its own statistics."""
        while self._halo is None and not self._in_one_pass(height, width):
            network = self._with_instance_norm
            try:
                size = min(self.tile_size, _SMALL_TILE)
                network = fix_statistics(network, height, width, read, size, self.compute, bar)
            except (RuntimeError, MemoryError) as error:
                self._use_smaller_tiles(error)
            else:
                return Stylizer(network, compute=self.compute, tile_size=self.tile_size)
        return self

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network applied to a part of a picture, or if memory does not suffice, to parts of that."""
        if self._halo is None or max(images.shape[-2:]) <= self.tile_size + 2 * self._halo:
            try:
                return self._pass(images)
            except (RuntimeError, MemoryError) as error:
                self._use_smaller_tiles(error)
        return self.stylize_tensor(images)

    def _use_smaller_tiles(self, error: Exception) -> None:
        """Halve the tiles after running out of memory; any other error is raised again."""
        if not _is_out_of_memory(error):
            raise error
        if self.tile_size <= _SMALLEST_TILE:
            raise MemoryError(f"not even {self.tile_size} x {self.tile_size} pixels at a time") from None
        self.tile_size = max(_SMALLEST_TILE, self.tile_size // 8 * 4)
        if self.compute.device.type == "cuda":
            self._release()
            torch.cuda.empty_cache()

    def _release(self) -> None:
        if isinstance(self._run, CapturedPass):
            self._run.release()

    def _pass(self, images: torch.Tensor) -> torch.Tensor:
        """The network applied to a batch: the one place where that is done."""
        return self._run(images.contiguous(memory_format=memory_format(self.compute.device)))


class Blend(Stylizer):
    """A mixture of styles: each paints the picture, and the colours are mixed in Oklab.

    Args:
        parts: the styles, all on one device.
        weights: of each, above 0; only their proportions matter.
    """

    def __init__(self, parts: list[Stylizer], weights: list[float]):
        self.parts = parts
        self.weights = [weight / sum(weights) for weight in weights]
        self.compute = parts[0].compute
        halos = [part._halo for part in parts]
        self._halo = None if None in halos else max(halos)
        self.tile_size = min(part.tile_size for part in parts)

    def _for_picture(self, height: int, width: int, read: Reader, bar: tqdm | None = None) -> Stylizer:
        if self._halo is not None or self._in_one_pass(height, width):
            return self
        for part in self.parts:
            part.tile_size = self.tile_size
        return Blend([part._for_picture(height, width, read, bar) for part in self.parts], self.weights)

    def _release(self) -> None:
        for part in self.parts:
            part._release()

    def _pass(self, images: torch.Tensor) -> torch.Tensor:
        lab = sum(weight * rgb_to_oklab(part._pass(images)) for part, weight in zip(self.parts, self.weights))
        return oklab_to_rgb(lab)


@dataclass
class _StylizedTile:
    """A part of a picture.

    Attributes:
        box: its place.
        pixels: H x W x 3 or 4, the photograph's, a copy.
        stylized: 1 x 3 x H x W, the network's, float32, on the device.
    """

    box: Box
    pixels: np.ndarray
    stylized: torch.Tensor


class _Strip:
    """Rows of a picture as it was before it was painted over: they are read once, from the top down.

    Attributes:
        pixels: rows x width x channels.
    """

    def __init__(self, image: Image.Image):
        self._image, self._rows = image, slice(0, 0)
        self._memory = self.pixels = np.empty((0, image.width, len(image.getbands())), np.uint8)

    def move_to(self, rows: slice) -> None:
        """Have ``pixels`` hold these rows; those that it has in common with the rows before are kept from them."""
        if rows == self._rows:
            return
        kept = self.pixels[rows.start - self._rows.start :].copy()
        if len(self._memory) < rows.stop - rows.start:
            self._memory = self.pixels = None  # before more is taken
            shape = rows.stop - rows.start, self._image.width, len(self._image.getbands())
            self._memory = np.empty(shape, np.uint8)
        self.pixels = self._memory[: rows.stop - rows.start]
        self.pixels[: len(kept)] = kept
        for top in range(rows.start + len(kept), rows.stop, 128):  # at a time, for Pillow's own copies
            bottom = min(top + 128, rows.stop)
            part = _crop(self._image, (slice(top, bottom), slice(0, self._image.width)))
            self.pixels[top - rows.start : bottom - rows.start] = part
        self._rows = rows


def _paint(image: Image.Image, tile: _StylizedTile, colours: torch.Tensor) -> None:
    """Replace a tile's colours in a picture; its transparency stays."""
    tile.pixels[..., :3] = np.asarray(tensor_to_image(colours[0]))
    image.paste(Image.fromarray(tile.pixels), tile.box[:2])


def _crop(image: Image.Image, place: Place) -> np.ndarray:
    """H x W x channels of a part of a picture, a copy."""
    return np.array(image.crop(_box(place)))


def _box(place: Place) -> Box:
    rows, columns = place
    return columns.start, rows.start, columns.stop, rows.stop


def _to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """1 x 3 x H x W of H x W x 3 or 4, without a copy."""
    return torch.from_numpy(pixels[..., :3]).permute(2, 0, 1)[None]


def _lightness(images: torch.Tensor) -> torch.Tensor:
    """N x 1 x H x W, in [0, 255], as Pillow's mode ``L``: luma by Rec. 601."""
    red, green, blue = images.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _as_type(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[0, 255] in floating point to another type; rounded, not cut, to uint8."""
    return images.round().to(dtype) if dtype == torch.uint8 else images.to(dtype)


def _announce(bar: tqdm | None, tiles: int) -> None:
    if bar is not None:
        bar.total = (bar.total or 0) + tiles


def _advance(bar: tqdm | None) -> None:
    if bar is not None:
        bar.update()


def _is_out_of_memory(error: Exception) -> bool:
    # On CPU and MPS it is a plain RuntimeError.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        words in str(error) for words in ("not enough memory", "out of memory", "can't allocate memory")
    )


def _affordable(tile_size: int, margin: int, compute: Compute) -> int:
    """A tile size whose pass takes at most half of the memory that is free, and at most ``tile_size``."""
    free = available_memory(compute.device)
    if free is None:
        return tile_size
    side = math.isqrt(free // 2 // _BYTES_PER_PIXEL[compute.dtype.itemsize]) - 2 * margin
    return min(tile_size, max(_SMALLEST_TILE, side // 4 * 4))
