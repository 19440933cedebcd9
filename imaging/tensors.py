"""Pictures without their transparency, and as tensors: RGB, in [0, 255]."""

import numpy as np
import torch
from PIL import Image


def flatten(image: Image.Image, background: str = "white") -> Image.Image:
    """An ``RGB`` picture as it is; an ``RGBA`` one as it looks on a background of one colour, as ``RGB``."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def scaled(image: Image.Image, scale: float) -> Image.Image:
    """A picture ``scale`` times as large."""
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS)


def image_to_tensor(image: Image.Image) -> torch.Tensor:
    """A picture as it looks on white, as a uint8 tensor, 3 x H x W."""
    return torch.from_numpy(np.array(flatten(image))).permute(2, 0, 1)


def tensor_to_image(tensor: torch.Tensor) -> Image.Image:
    """3 x H x W, RGB in [0, 255], any type, as an ``RGB`` picture: rounded and clamped."""
    if tensor.is_floating_point():
        tensor = tensor.round().clamp_(0, 255).to(torch.uint8)
    return Image.fromarray(tensor.permute(1, 2, 0).contiguous().cpu().numpy())


def picture_batch(image: Image.Image, short_side: int | None = None) -> torch.Tensor:
    """A picture as 1 x 3 x H x W float32, RGB in [0, 255], its short side resized to ``short_side`` pixels if given."""
    image = flatten(image)
    if short_side is not None:
        image = scaled(image, short_side / min(image.size))
    return image_to_tensor(image).unsqueeze(0).float()


def whole_batch(painting: Image.Image) -> torch.Tensor:
    """A painting as :func:`picture_batch` gives it, its short side at most 1,024 pixels."""
    return picture_batch(painting, min(*painting.size, 1024))
