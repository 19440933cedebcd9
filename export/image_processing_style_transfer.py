"""Pictures to what the model takes, and back."""

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import BatchFeature, ImageProcessingMixin
from transformers.image_utils import load_image

from imaging.icc import to_srgb
from imaging.tensors import image_to_tensor, tensor_to_image


class StyleTransferImageProcessor(ImageProcessingMixin):
    """Takes pictures as they look: upright, in sRGB, on white where they are transparent; their size is kept.

    >>> inputs = processor(Image.open("photo.jpg"))
    >>> picture = processor.post_process(model(**inputs))[0]
    """

    model_input_names = ["pixel_values"]

    def __call__(self, images, return_tensors: str = "pt") -> BatchFeature:
        """``pixel_values``, N x 3 x H x W, float32, RGB in [0, 255], as PyTorch's tensors.

        Of a Pillow picture, an array of one, uint8, a path or an address, or a list of these, all of one size; of
        several sizes, ValueError is raised.
        """
        if return_tensors != "pt":
            raise ValueError(f'return_tensors must be "pt", not {return_tensors!r}')
        pictures = [_as_it_looks(image) for image in (images if isinstance(images, list | tuple) else [images])]
        sizes = {picture.size for picture in pictures}
        if len(sizes) != 1:
            raise ValueError(f"a batch has pictures of one size, not {sorted(sizes)}: give them one by one")
        return BatchFeature({"pixel_values": torch.stack([image_to_tensor(picture).float() for picture in pictures])})

    preprocess = __call__

    def post_process(self, outputs) -> list[Image.Image]:
        """What the model gives, as ``RGB`` pictures."""
        return [tensor_to_image(picture) for picture in outputs.stylized]


def _as_it_looks(image) -> Image.Image:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image = ImageOps.exif_transpose(image if isinstance(image, Image.Image) else load_image(image))
    return to_srgb(image.convert("RGBA" if image.has_transparency_data else "RGB"))
