"""Pictures without their transparency."""

from PIL import Image


def flatten(image: Image.Image, background: str = "white") -> Image.Image:
    """An ``RGB`` picture as it is; an ``RGBA`` one as it looks on a background of one colour, as ``RGB``."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return image if image.mode == "RGB" else image.convert("RGB")
