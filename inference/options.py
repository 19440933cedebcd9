"""What is chosen after training: stroke size, strength, colours, where."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image, ImageFilter

from imaging.oklab import oklab_to_rgb, reduce_chroma, rgb_to_oklab
from imaging.resampling import resized_region
from utils.errors import UserError

WORKING_SHORT_SIDE = 720


@dataclass(frozen=True)
class StyleOptions:
    """How much of the painting, of what size, and where.

    Attributes:
        strength: 0 gives the photograph, 1 the network's picture, exactly; between them colours are mixed in Oklab.
        preserve_color: lightness of the network's picture, colour of the photograph.
        mask: of the photograph's proportions; white is stylised, black is kept.
        stroke_scale: the network works on the picture reduced by this factor, so that strokes are that much larger;
            ``None`` takes 1 up to a short side of ``WORKING_SHORT_SIDE`` pixels, and then what reduces to it.
    """

    strength: float = 1.0
    preserve_color: bool = False
    mask: Image.Image | None = None
    stroke_scale: float | None = None

    def __post_init__(self):
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must lie between 0 and 1, not be {self.strength}")
        if self.stroke_scale is not None and not 0 < self.stroke_scale < math.inf:
            raise ValueError(f"stroke_scale must be above 0, not {self.stroke_scale}")

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture that the network is given."""
        scale = self.stroke_scale or max(1.0, min(width, height) / WORKING_SHORT_SIDE)
        return max(1, round(width / scale)), max(1, round(height / scale))

    def apply(
        self, content_image: torch.Tensor, stylized: torch.Tensor, size: tuple[int, int], box: tuple[int, int, int, int]
    ) -> torch.Tensor:
        """The result, for one part of a picture.

        Args:
            content_image, stylized: 1 x 3 x H x W, float32, RGB in [0, 255], on one device.
            size: (width, height) of the whole photograph.
            box: (left, top, right, bottom), the part of it.

        Returns:
            1 x 3 x H x W, float32, in [0, 255].
        """
        result = stylized.clamp(0, 255)
        if self.preserve_color:
            result = with_colours_of(content_image, result)
        weight = self.strength
        if self.mask is not None:
            weight = weight * self._mask_region(size, box).to(result.device)
        if self.mask is None and self.strength == 1:
            return result
        weight = torch.as_tensor(weight, dtype=result.dtype, device=result.device)
        mixed = oklab_to_rgb(torch.lerp(rgb_to_oklab(content_image), rgb_to_oklab(result), weight))
        # Through Oklab and back is off by rounding; the ends are to be exact.
        return torch.where(weight <= 0, content_image, torch.where(weight >= 1, result, mixed))

    @cached_property
    def _soft_mask(self) -> Image.Image:
        """A mask painted in black and white alone gets soft edges."""
        return self.mask.convert("L").filter(ImageFilter.GaussianBlur(min(self.mask.size) / 200))

    def check_mask(self, width: int, height: int) -> None:
        """Refuse a mask of other proportions than a picture's; another size is resized.

        Raises:
            UserError: with both sizes.
        """
        if self.mask is None:
            return
        rounding = (self.mask.width + self.mask.height) / 2  # --max_size leaves half a pixel on either side
        if abs(self.mask.width * height - self.mask.height * width) > 0.02 * self.mask.width * height + rounding:
            raise UserError(
                f"--mask is {self.mask.width} x {self.mask.height} and the photograph {width} x {height}: "
                "give a mask of the photograph's proportions"
            )

    def _mask_region(self, size: tuple[int, int], box: tuple[int, int, int, int]) -> torch.Tensor:
        # Rounded, so that plain white and plain black are 1 and 0 exactly.
        return resized_region(self._soft_mask, size, box).round().clamp(0, 255) / 255


def with_colours_of(content_image: torch.Tensor, stylized: torch.Tensor) -> torch.Tensor:
    """Oklab lightness of one picture with the colours (a, b) of another, less colourful where sRGB has no such colour.

    Both N x 3 x H x W, float32, RGB in [0, 255]; so is the result. Greys of the photograph stay grey exactly.
    """
    lab = torch.cat([rgb_to_oklab(stylized)[:, :1], rgb_to_oklab(content_image)[:, 1:]], 1)
    result = oklab_to_rgb(reduce_chroma(lab))
    grey = content_image.amax(1, keepdim=True) == content_image.amin(1, keepdim=True)
    return torch.where(grey, result.mean(1, keepdim=True), result)
