"""From a trained style and a photograph to a picture: the one engine behind every command."""

from pathlib import Path

import torch
from PIL import Image

from data.images import image_to_tensor, tensor_to_image
from models.folding import fold_batch_norm
from models.transformer_net import TransformerNet
from utils.checkpoints import load_checkpoint
from utils.device import Compute, resolve_compute


class Stylizer:
    """Repaints pictures in a trained style.

    >>> stylizer = Stylizer("checkpoints/starry_night.pth")
    >>> stylizer.stylise(Image.open("photo.jpg")).save("stylised.png")

    Args:
        model: path of a checkpoint, or a network, which is copied.
        device, precision: as the flags of the commands; or ``compute`` itself.

    Raises:
        UserError: if the checkpoint cannot be used, or the device or precision does not exist here.
    """

    def __init__(
        self,
        model: str | Path | TransformerNet,
        device: str = "auto",
        precision: str = "auto",
        compute: Compute | None = None,
    ):
        self.compute = compute or resolve_compute(device, precision)
        network = model if isinstance(model, TransformerNet) else load_checkpoint(model).network
        # Weights in the type of the computation: nothing is converted on the way.
        self.network = fold_batch_norm(network).to(
            self.compute.device, self.compute.dtype, memory_format=torch.channels_last
        )

    @torch.inference_mode()
    def stylise_tensor(self, images: torch.Tensor) -> torch.Tensor:
        """N x 3 x H x W, any type, RGB in [0, 255], to the same shape in float32, in [0, 255], on the device."""
        images = images.to(self.compute.device).float().contiguous(memory_format=torch.channels_last)
        return self.network(images)

    def stylise(self, image: Image.Image) -> Image.Image:
        """A picture in the style, of the same size.

        Args:
            image: mode ``RGB``, or ``RGBA``, whose transparency is kept as it is.

        Returns:
            A picture of the same mode.
        """
        result = tensor_to_image(self.stylise_tensor(image_to_tensor(image)[None])[0])
        if image.mode == "RGBA":
            result.putalpha(image.getchannel("A"))
        return result
