"""What is chosen after training: stroke size, strength, colours, where."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image, ImageFilter

from imaging.oklab import oklab_to_rgb, reduce_chroma, rgb_to_oklab
from imaging.resampling import resized_region
from imaging.tensors import flatten

WORKING_SHORT_SIDE = 720


class StylizeError(ValueError):
    """What the engine cannot do; where an ``option`` is at fault, its name, which the flag has too, comes first."""

    def __init__(self, message: str, option: str | None = None):
        super().__init__(f"{option} {message}" if option else message)
        self.option = option


@dataclass(frozen=True)
class StyleOptions:
    """How much of the style, of what size, and where.

    Attributes:
        strength: 0 gives the content image, 1 the network's, exactly; between them colours are mixed in Oklab.
        preserve_color: lightness of the network's image, colour of the content image.
        mask: of the content image's proportions; white is stylised, black is kept, grey is between. What is
            transparent counts as black. Edges are softened by 1/200 of the mask's short side.
        stroke_scale: the network works on the picture reduced by this factor, so that strokes are that much larger;
            ``None`` takes 1 up to a short side of ``WORKING_SHORT_SIDE`` pixels, and then what reduces to it.

    Raises StylizeError for a value out of bounds.
    """

    strength: float = 1.0
    preserve_color: bool = False
    mask: Image.Image | None = None
    stroke_scale: float | None = None

    def __post_init__(self):
        if not 0 <= self.strength <= 1:
            raise StylizeError(f"must lie between 0 and 1, not be {self.strength}", "strength")
        if self.stroke_scale is not None and not 0 < self.stroke_scale < math.inf:
            raise StylizeError(f"must be above 0, not {self.stroke_scale}", "stroke_scale")

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture that the network is given."""
        scale = self.stroke_scale or max(1.0, min(width, height) / WORKING_SHORT_SIDE)
        return max(1, round(width / scale)), max(1, round(height / scale))

    def apply(
        self, content_image: torch.Tensor, stylized: torch.Tensor, size: tuple[int, int], box: tuple[int, int, int, int]
    ) -> torch.Tensor:
        """The result, for the part ``box`` (left, top, right, bottom) of a picture of ``size`` (width, height).

        Args:
            content_image: N x 3 x H x W, any type, RGB in [0, 255], on any device.
            stylized: N x 3 x H x W, float32, RGB in [0, 255]; not looked at where ``strength`` is 0.

        Returns:
            N x 3 x H x W, float32, in [0, 255], on the device of ``stylized``.
        """
        if self.strength == 0:
            return content_image.float()
        in_full = self.mask is None and self.strength == 1
        if in_full and not self.preserve_color:
            return stylized
        content_image = content_image.to(stylized.device).float()
        result = with_colours_of(content_image, stylized) if self.preserve_color else stylized
        if in_full:
            return result
        weight = self.strength
        if self.mask is not None:  # rounded, so that plain white and plain black are 1 and 0 exactly
            weight = weight * (resized_region(self._soft_mask, size, box).round().clamp(0, 255) / 255)
        weight = torch.as_tensor(weight, dtype=result.dtype, device=result.device)
        mixed = oklab_to_rgb(torch.lerp(rgb_to_oklab(content_image), rgb_to_oklab(result), weight))
        # Through Oklab and back is off by rounding; the ends are to be exact.
        return torch.where(weight <= 0, content_image, torch.where(weight >= 1, result, mixed))

    @cached_property
    def _soft_mask(self) -> Image.Image:
        """A mask painted in black and white alone gets soft edges."""
        return flatten(self.mask, "black").convert("L").filter(ImageFilter.GaussianBlur(min(self.mask.size) / 200))

    def check_mask(self, width: int, height: int) -> None:
        """Refuse a mask of other proportions than a picture's; another size is resized."""
        if self.mask is None:
            return
        rounding = (self.mask.width + self.mask.height) / 2  # of the sides of a reduced picture
        if abs(self.mask.width * height - self.mask.height * width) > 0.02 * self.mask.width * height + rounding:
            raise StylizeError(
                f"is {self.mask.width} x {self.mask.height} and the picture {width} x {height}: give one of the "
                "picture's proportions",
                "mask",
            )


AS_TRAINED = StyleOptions()


def with_colours_of(content_image: torch.Tensor, stylized: torch.Tensor) -> torch.Tensor:
    """Oklab lightness of one picture with the colours (a, b) of another, less colourful where sRGB has no such colour.

    Both N x 3 x H x W, float32, RGB in [0, 255]; so is the result. Greys of the content image stay grey exactly.
    """
    lab = torch.cat([rgb_to_oklab(stylized)[:, :1], rgb_to_oklab(content_image)[:, 1:]], 1)
    result = oklab_to_rgb(reduce_chroma(lab))
    grey = content_image.amax(1, keepdim=True) == content_image.amin(1, keepdim=True)
    return torch.where(grey, result.mean(1, keepdim=True), result)
