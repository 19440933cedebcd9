"""From a trained style and a photograph to a picture: the one engine behind every command."""

from pathlib import Path

import torch
from PIL import Image

from data.images import image_to_tensor, tensor_to_image
from models.folding import fold_batch_norm
from models.transformer_net import TransformerNet
from utils.checkpoints import load_checkpoint
from utils.device import Compute, resolve_compute
from utils.tiling import halo, tiles


class Stylizer:
    """Repaints pictures in a trained style.

    >>> stylizer = Stylizer("checkpoints/starry_night.pth")
    >>> stylizer.stylise(Image.open("photo.jpg")).save("stylised.png")

    Args:
        model: path of a checkpoint, or a network, which is copied.
        device, precision: as the flags of the commands; or ``compute`` itself.
        tile_size: rows and columns that are stylised at once, at most; a multiple of 4.

    Raises:
        UserError: if the checkpoint cannot be used, or the device or precision does not exist here.
    """

    def __init__(
        self,
        model: str | Path | TransformerNet,
        device: str = "auto",
        precision: str = "auto",
        compute: Compute | None = None,
        tile_size: int = 1024,
    ):
        self.tile_size = tile_size
        self.compute = compute or resolve_compute(device, precision)
        network = model if isinstance(model, TransformerNet) else load_checkpoint(model).network
        # Weights in the type of the computation: nothing is converted on the way.
        self.network = fold_batch_norm(network).to(
            self.compute.device, self.compute.dtype, memory_format=torch.channels_last
        )

        self._halo = halo(self.network)

    @torch.inference_mode()
    def stylise_tensor(self, images: torch.Tensor, output: torch.Tensor | None = None) -> torch.Tensor:
        """Stylise a batch, in tiles where it is large: the same pixels, in bounded memory.

        Args:
            images: N x 3 x H x W, any type, RGB in [0, 255], on any device.
            output: receives the result, of the same shape; a uint8 one receives it rounded.

        Returns:
            ``output``, or N x 3 x H x W, float32, in [0, 255], on the device.
        """
        height, width = images.shape[-2:]
        device = self.compute.device
        # Instance norm's statistics are those of the whole picture, which tiles do not have.
        if self._halo is None or max(height, width) <= self.tile_size:
            result = self._pass(images.to(device))
            return result if output is None else output.copy_(_as_type(result, output.dtype))
        if output is None:
            output = torch.empty(images.shape, device=device)
        for tile in tiles(height, width, self.tile_size, self._halo):
            result = self._pass(images[(..., *tile.source)].to(device))[(..., *tile.inside)]
            output[(..., *tile.target)] = _as_type(result, output.dtype)
        return output

    def _pass(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.float().contiguous(memory_format=torch.channels_last))

    def stylise(self, image: Image.Image) -> Image.Image:
        """A picture in the style, of the same size.

        Args:
            image: mode ``RGB``, or ``RGBA``, whose transparency is kept as it is.

        Returns:
            A picture of the same mode.
        """
        images = image_to_tensor(image)[None]
        result = tensor_to_image(self.stylise_tensor(images, output=torch.empty_like(images))[0])
        if image.mode == "RGBA":
            result.putalpha(image.getchannel("A"))
        return result


def _as_type(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[0, 255] in floating point to another type; rounded, not cut, to uint8."""
    return images.round().to(dtype) if dtype == torch.uint8 else images.to(dtype)
