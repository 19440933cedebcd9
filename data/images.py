"""Picture files: decoded once, for training and inference alike, to what a viewer would show."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps

from data.errors import ImageError


def read_image(path: str | Path, draft_size: int | None = None) -> Image.Image:
    """Decode a picture, the first frame of an animated one, upright by its EXIF orientation.

    Args:
        path: any format that Pillow reads.
        draft_size: where given, a format that can decode at a reduced scale (JPEG) may do so as long as both sides stay
            at least this many pixels.

    Returns:
        A loaded image in mode ``RGB``, or ``RGBA`` where the file has transparency. Greyscale, palette, CMYK, 16-bit
        and floating-point pictures are converted; metadata is in ``info``.

    Raises:
        ImageError: naming the file and the reason.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata in files that decode well, and from 89 megapixels on.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if draft_size is not None:
                    image.draft(None, (draft_size, draft_size))
                image.load()
                return to_rgb(_upright(image))
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: give the path of a picture") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder: give the path of a picture") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path} is too large to be opened safely: reduce it first") from None
    except Image.UnidentifiedImageError:
        reason = "it is empty" if path.is_file() and path.stat().st_size == 0 else "no known format"
        raise ImageError(f"{path} cannot be read as a picture ({reason}): give another file") from None
    # Decoders meet hostile and damaged files with nearly every built-in exception, from struct.error to MemoryError.
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        raise ImageError(f"{path} cannot be read as a picture ({reason}): give another file") from None


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height by the file's header, without decoding; (0, 0) where :func:`read_image` will refuse it."""
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # see above
        return 0, 0


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Broken EXIF is no reason to refuse a picture whose pixels are sound.
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode as ``RGB``, or as ``RGBA`` where it has transparency."""
    if image.mode in ("RGB", "RGBA"):
        if image.mode == "RGB" and "transparency" in image.info:
            return image.convert("RGBA")
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_to_8_bit(image).convert("RGB")
    if image.mode in ("CMYK", "LAB") and image.info.get("icc_profile"):
        converted = _through_profile(image)
        if converted is not None:
            return converted
    transparent = image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA" if transparent else "RGB")


def _grey_to_8_bit(image: Image.Image) -> Image.Image:
    """Integers of more than eight bits and floating-point numbers to [0, 255]; not-a-number becomes black."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = values.max(initial=0.0)
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and top <= 1.0:
        white = 1.0
    else:  # 32-bit containers say nothing of their white: take the smallest of the usual ones that holds the picture.
        white = next((usual for usual in (255.0, 65535.0) if top <= usual), top)
    return Image.fromarray((values / white * 255.0).round().clip(0, 255).astype(np.uint8))


def _through_profile(image: Image.Image) -> Image.Image | None:
    """CMYK or Lab to sRGB through the picture's own profile; ``None`` if the profile is unusable."""
    import io

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # littlecms refuses broken profiles in many ways; the plain conversion remains.
        return None
    converted.info.pop("icc_profile", None)  # it described the CMYK numbers
    return converted


def image_to_tensor(image: Image.Image) -> torch.Tensor:
    """An ``RGB`` picture as a uint8 tensor, 3 x H x W (transparency, if any, is left out)."""
    array = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1)


def tensor_to_image(tensor: torch.Tensor) -> Image.Image:
    """3 x H x W, RGB in [0, 255], any type, as an ``RGB`` picture: rounded and clamped."""
    if tensor.is_floating_point():
        tensor = tensor.round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(tensor.permute(1, 2, 0).contiguous().cpu().numpy())


def read_image_tensor(path: str | Path, short_side: int | None = None) -> torch.Tensor:
    """A picture as 1 x 3 x H x W float32, RGB in [0, 255], its short side resized to ``short_side`` pixels if given.

    Raises:
        ImageError: naming the file and the reason.
    """
    image = read_image(path).convert("RGB")
    if short_side is not None:
        scale = short_side / min(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return image_to_tensor(image).unsqueeze(0).float()
