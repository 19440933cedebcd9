"""From a trained style and a content image to a picture: the one engine behind every command.

It knows neither flags nor files other than models; :class:`StylizeError` says what it cannot do.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from imaging.oklab import oklab_to_rgb, rgb_to_oklab
from imaging.resampling import resized_region
from inference.canvas import PictureCanvas, Place, TensorCanvas, as_picture, box, tiles
from inference.instance_norm import fix_statistics
from inference.options import AS_TRAINED, StyleOptions, StylizeError
from losses.functional import luminance
from models.checkpoints import load_checkpoint
from models.fusion import fuse_batch_norm, fused_pass
from models.multi_style import MultiStyleNet
from models.transformer_net import TransformerNet
from utils.device import Compute, available_memory, keep_freed_memory, memory_format, resolve_compute
from utils.errors import UserError, is_out_of_memory

_SMALLEST_TILE = 64
_SMALL_TILE = 1024  # where larger ones would be no faster
_BYTES_PER_PIXEL = {2: 340, 4: 630}  # that a pass takes, by the bytes of a number; measured on a CPU
_TILE_BYTES = 384 * 2**20  # what a tile and the row of a picture that it lies in may take on a CPU

Canvas = PictureCanvas | TensorCanvas
Painted = Iterator[tuple[Place, torch.Tensor, torch.Tensor]]
"""Places, each with the content image there, as it is on the canvas, and what the network makes of it."""


class Stylizer:
    """Repaints pictures in a trained style.

    Args:
        model: path of a checkpoint, or a network, which is copied.
        device, precision: see :func:`utils.device.resolve_compute`; or ``compute`` itself.
        tile_size: rows and columns that are stylised at once, at most; a multiple of 4. Less if memory is short.
        style: of a network of several, a name or a mixture such as ``wave:0.6,scream:0.4``; left out, the first.

    Raises:
        StylizeError: if the checkpoint cannot be used, or the device or precision does not exist here.
    """

    def __init__(
        self,
        model: str | Path | TransformerNet,
        device: str = "auto",
        precision: str = "auto",
        compute: Compute | None = None,
        tile_size: int = 2048,
        style: str | None = None,
    ):
        if type(tile_size) is not int or tile_size < 4 or tile_size % 4:
            raise StylizeError(f"must be a multiple of 4, not {tile_size!r}", "tile_size")
        try:
            self.compute = compute or resolve_compute(device, precision)
            network = model if isinstance(model, TransformerNet) else load_checkpoint(model, "model").network
            if isinstance(network, MultiStyleNet):
                network = network.for_style(0 if style is None else network.weights_of(style))
        except UserError as error:  # of a command, whose flags have these names
            raise StylizeError(str(error).removeprefix("--")) from None
        device, dtype, layout = self.compute.device, self.compute.dtype, memory_format(self.compute.device)
        self.network = fuse_batch_norm(network).to(device, memory_format=layout)
        if device.type == "cpu":
            keep_freed_memory()  # for a compute that resolve_compute did not make
            self._run = fused_pass(self.network, dtype)
        else:  # weights in the type of the computation: nothing is converted on the way
            self._run = self.network.to(dtype)
        self._halo = self.network.reach()
        self._with_instance_norm = copy.deepcopy(network) if self._halo is None else None
        self.tile_size, free = tile_size, available_memory(device)
        if free is not None:
            self.tile_size = self._affordable(free // 2)

    @torch.inference_mode()
    def stylize(
        self,
        image: Image.Image | np.ndarray,
        options: StyleOptions = AS_TRAINED,
        *,
        in_place: bool = False,
        bar: tqdm | None = None,
    ) -> Image.Image:
        """A picture in the style, of the same size and mode.

        Args:
            image: mode ``RGB``, or ``RGBA``, which keeps its transparency; or an array H x W x 3 or 4 of uint8.
            in_place: paint over ``image`` and return it, rather than a copy: memory is then taken for a row of tiles
                alone, whatever the size.
            bar: its total grows by the number of tiles.

        Raises:
            MemoryError: if memory does not suffice for even a small tile.
            StylizeError: if it is no such picture, or the mask has other proportions.
        """
        picture = as_picture(image)
        if picture is image and not in_place:
            picture = picture.copy()
        self._paint(PictureCanvas(picture), options, bar)
        return picture

    @torch.inference_mode()
    def stylize_tensor(
        self, images: torch.Tensor, options: StyleOptions = AS_TRAINED, output: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The same for a batch of tensors, such as frames of a film: all at once if they are small, else by tiles.

        Args:
            images: N x 3 x H x W, any type, RGB in [0, 255], on any device.
            output: receives the result, of the same shape, not ``images`` itself; a uint8 one receives it rounded.

        Returns:
            ``output``, or N x 3 x H x W, float32, in [0, 255], on the device of the network.

        Raises:
            MemoryError, StylizeError: as :meth:`stylize`.
        """
        if not isinstance(images, torch.Tensor) or images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
            what = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
            raise StylizeError(f"a tensor N x 3 x H x W is expected, not {what}: give pictures to stylize")
        working_size = options.working_size(images.shape[-1], images.shape[-2])
        batches = images.split(max(1, len(images)) if self._in_one_pass(working_size) else 1)
        if output is None:
            output = torch.empty(images.shape, device=self.compute.device)
        for batch, target in zip(batches, output.split(len(batches[0]))):
            self._paint(TensorCanvas(batch, target), options)
        return output

    def _paint(self, canvas: Canvas, options: StyleOptions, bar: tqdm | None = None) -> None:
        """Write what the network and the options make of the content image on a canvas."""
        options.check_mask(*canvas.size)
        bar = tqdm(total=0, disable=True) if bar is None else bar
        working_size = options.working_size(*canvas.size)
        if options.strength == 0:
            places = (tile.target for tile in tiles(canvas.size[1], canvas.size[0], _SMALL_TILE, 0))
            stylized_tiles = ((place, canvas.crop(place), None) for place in places)
        elif working_size == canvas.size:
            stylized_tiles = self._tiles(canvas, bar)
        else:
            stylized_tiles = self._tiles_at(working_size, canvas, bar)
        for place, content_image, stylized in stylized_tiles:
            canvas.write(place, options.apply(content_image, stylized, canvas.size, box(place)))

    def _tiles(self, canvas: Canvas, bar: tqdm) -> Painted:
        width, height = canvas.size
        engine = self._for_picture(canvas, bar)
        size = engine.tile_size
        if engine._halo is None:
            size = max(canvas.size)
        elif self.compute.device.type == "cpu" and not engine._in_one_pass(canvas.size):
            size = engine._affordable(_TILE_BYTES, width)  # it is to be stylised in bounded memory
        places = tiles(height, width, size, engine._halo or 0)
        bar.total += len(places)
        for place in places:
            source = canvas.source(place.source)
            stylized = engine._forward(source.to(self.compute.device))
            yield place.target, source[(..., *place.inside)], stylized[(..., *place.inside)]
            bar.update()

    def _tiles_at(self, size: tuple[int, int], canvas: Canvas, bar: tqdm) -> Painted:
        """As :meth:`_tiles`, with the network at work on the canvas resized to ``size``.

        What a smaller picture cannot hold of the content image's lightness, its fine detail, is given back.
        """
        width, height = canvas.size
        places = tiles(height, width, min(self.tile_size, _SMALL_TILE), 0)
        bar.total += len(places)
        working = canvas.reduced(size)
        for place, _, stylized in self._tiles(working, bar):
            working.write(place, stylized)
        for _, _, place in places:
            content_image = canvas.crop(place)
            enlarged = resized_region(working.output, canvas.size, box(place)).to(self.compute.device)
            stylized, reduced_lightness = enlarged.split([3, 1], 1)
            if math.prod(size) < math.prod(canvas.size):
                content_lightness = luminance(content_image.to(self.compute.device).float())
                stylized = stylized + (content_lightness - reduced_lightness)
            yield place, content_image, stylized.clamp(0, 255)
            bar.update()

    def _in_one_pass(self, size: tuple[int, int]) -> bool:
        # With instance norm tiles cost more than a pass: the area decides.
        return max(size) <= self.tile_size or (self._halo is None and math.prod(size) <= self.tile_size**2)

    def _affordable(self, room: int, width: int = 0) -> int:
        """The size of a tile that fits, with its row in a picture of this ``width``, into ``room`` bytes."""
        # Pixels of a tile, and three bytes of each in its row: c t^2 + 3 w t = room.
        cost = _BYTES_PER_PIXEL[self.compute.dtype.itemsize]
        side = (math.sqrt((3 * width) ** 2 + 4 * cost * room) - 3 * width) / (2 * cost)
        return min(self.tile_size, max(_SMALLEST_TILE, (int(side) - 2 * (self._halo or 0)) // 4 * 4))

    def _for_picture(self, canvas: Canvas, bar: tqdm) -> "Stylizer":
        """What stylises a content image: with instance norm, and in tiles, by the picture's own statistics."""
        width, height = canvas.size
        while self._halo is None and not self._in_one_pass(canvas.size):
            network, size = self._with_instance_norm, min(self.tile_size, _SMALL_TILE)
            try:
                network = fix_statistics(network, height, width, canvas.crop, size, self.compute, bar)
            except (RuntimeError, MemoryError) as error:
                self._use_smaller_tiles(error)
            else:
                return Stylizer(network, compute=self.compute, tile_size=self.tile_size)
        return self

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network applied to a part of a picture, or if memory does not suffice, to parts of that."""
        if self._halo is None or max(images.shape[-2:]) <= self.tile_size + 2 * self._halo:
            try:
                return self.compute.run(self._pass, images)
            except (RuntimeError, MemoryError) as error:
                self._use_smaller_tiles(error)
        return self.stylize_tensor(images, StyleOptions(stroke_scale=1))

    def _use_smaller_tiles(self, error: Exception) -> None:
        """Halve the tiles after running out of memory; any other error is raised again."""
        if not is_out_of_memory(error):
            raise error
        if self.tile_size <= _SMALLEST_TILE:
            raise MemoryError(f"not even {self.tile_size} x {self.tile_size} pixels at a time") from None
        self.tile_size = max(_SMALLEST_TILE, self.tile_size // 8 * 4)
        if self.compute.device.type == "cuda":
            torch.cuda.empty_cache()

    def _pass(self, images: torch.Tensor) -> torch.Tensor:
        """The network applied to a batch: the one place where that is done."""
        return self._run(images.contiguous(memory_format=memory_format(self.compute.device)))


class Blend(Stylizer):
    """A mixture of styles, all on one device: each paints the picture, and the colours are mixed in Oklab.

    The weights are above 0; only their proportions matter.
    """

    def __init__(self, parts: Sequence[Stylizer], weights: Sequence[float]):
        self.parts = parts
        self.weights = [weight / sum(weights) for weight in weights]
        self.compute = parts[0].compute
        halos = [part._halo for part in parts]
        self._halo = None if None in halos else max(halos)
        self.tile_size = min(part.tile_size for part in parts)

    def _for_picture(self, canvas: Canvas, bar: tqdm) -> Stylizer:
        if self._halo is not None or self._in_one_pass(canvas.size):
            return self
        for part in self.parts:
            part.tile_size = self.tile_size
        return Blend([part._for_picture(canvas, bar) for part in self.parts], self.weights)

    def _pass(self, images: torch.Tensor) -> torch.Tensor:
        lab = sum(weight * rgb_to_oklab(part._pass(images)) for part, weight in zip(self.parts, self.weights))
        return oklab_to_rgb(lab)
