"""ICC profiles. The network is trained on sRGB numbers and answers with them."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

_ALMOST = 3  # levels of 255, within which a profile that calls itself something else is sRGB
_HOW = (ImageCms.Intent.RELATIVE_COLORIMETRIC, 0x0040)  # cmsFLAGS_NOCACHE, which Pillow has a name for from 10.3 on


def through_own_profile(image: Image.Image) -> Image.Image | None:
    """A ``CMYK`` or ``LAB`` picture as sRGB, ``RGB``, by the profile in its ``info``; ``None`` if that is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # littlecms refuses broken profiles in many ways; the plain conversion remains.
        return None
    converted.info.pop("icc_profile", None)  # it described the inks
    return converted


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture, ``RGB`` or ``RGBA``, with its colours in sRGB.

    Its profile stays in ``info["icc_profile"]`` if :func:`from_srgb` can bring it back into that; else it is removed.
    """
    transforms = _transforms(image.info.get("icc_profile"))
    if transforms is None:  # broken, or that of the greys or inks which the file was converted from
        image.info.pop("icc_profile", None)
        return image
    return _apply(transforms[0], image)


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """An sRGB picture in the colours of a profile that :func:`to_srgb` has left in ``info``."""
    return _apply(_transforms(profile)[1], image)


def _apply(transform: ImageCms.ImageCmsTransform | None, image: Image.Image) -> Image.Image:
    if transform is None:
        return image
    result = ImageCms.applyTransform(image.convert("RGB"), transform)
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A"))
    result.info = dict(image.info)
    return result


@functools.lru_cache(maxsize=16)
def _transforms(profile: bytes | None):
    """Transforms to sRGB and from it, both ``None`` where they change nothing; ``None`` if the profile is unusable."""
    try:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        # Without littlecms' cache, threads may share them.
        there, back = (ImageCms.buildTransform(*pair, "RGB", "RGB", *_HOW) for pair in ((own, srgb), (srgb, own)))
    except Exception:  # littlecms refuses broken profiles, and those of another kind, in many ways
        return None
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    seen = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), there))
    return (None, None) if np.abs(seen.astype(int) - colours).max() <= _ALMOST else (there, back)
