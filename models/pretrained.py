"""VGG-19's pretrained weights: torchvision's own, or a file."""

import hashlib
import os
import sys
from pathlib import Path

import torch
from torch import nn

from models.cpu_kernels import accelerate
from models.untrusted import Refused, load_untrusted
from models.vgg19 import VGG19
from utils.device import memory_format
from utils.errors import UserError

_HOW_TO = (
    "download vgg19-dcbb9e9d.pth (torchvision's VGG19_Weights.IMAGENET1K_V1) on a machine that can, copy it here, and "
    "give it with --vgg_weights FILE"
)


def load_vgg19(weights_file: str | None, device: torch.device, dtype: torch.dtype) -> VGG19:
    """The frozen loss network with ImageNet weights.

    Args:
        weights_file: a torchvision ``vgg19`` state dict, float16 or float32, whole or cut after ``features.28``, or a
            ``vgg16`` one, whose features it then gives; ``None`` for torchvision's own download, kept in torch's cache.
        device, dtype: where and in which type the convolutions run.

    Raises:
        UserError: if the download fails, or the file is not such a state dict.
    """
    if weights_file is not None and not os.path.isfile(weights_file):
        raise UserError(f"--vgg_weights {weights_file} is not a file: {_HOW_TO}")
    source = "torchvision's download" if weights_file is None else f"--vgg_weights {weights_file}"
    state = _downloaded() if weights_file is None else _state_dict(Path(weights_file), source)
    with torch.device("meta"):  # random weights would be drawn for nothing
        vgg = VGG19()
    if "features.17.weight" in state:  # which is a ReLU in VGG-19
        state = _from_vgg16(state)
    weights = {}
    for key, value in vgg.state_dict().items():
        found = state.get(key)
        if not isinstance(found, torch.Tensor) or found.shape != value.shape:
            has = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else "no such tensor"
            raise UserError(
                f"{source} is no torchvision vgg19 or vgg16 state dict: expected {key} of shape {tuple(value.shape)}, "
                f"found {has}; the file needs features.0.weight to features.28.bias"
            )
        weights[key] = found.detach().float()  # old files hold parameters
        if not found.is_floating_point() or not weights[key].isfinite().all():
            raise UserError(f"{source} is damaged: {key} must hold numbers that are finite in float32")
        if key.endswith("weight") and not weights[key].any():
            raise UserError(f"{source} holds zeros alone in {key}, and sees nothing: give the weights of a trained VGG")
    vgg.load_state_dict(weights, assign=True)
    halves = b"".join(value.half().numpy().tobytes() for value in weights.values())  # the same from any type
    vgg.fingerprint = hashlib.sha256(halves).hexdigest()[:16]
    for index, layer in enumerate(vgg.features):
        if isinstance(layer, nn.Conv2d) and _passes_on(layer):
            vgg.features[index] = vgg.features[index + 1] = nn.Identity()
    vgg.features.to(dtype)
    return accelerate(vgg.to(device, memory_format=memory_format(device)))


def _from_vgg16(state: dict) -> dict:
    """The VGG-19 state dict that computes a VGG-16's features: conv3_4 and conv4_4 pass on what they get."""
    numbers = {**{number: number for number in (0, 2, 5, 7, 10, 12, 14)}, 17: 19, 19: 21, 21: 23, 24: 28}
    converted = {}
    for number, to in numbers.items():
        for part in ("weight", "bias"):
            converted[f"features.{to}.{part}"] = state.get(f"features.{number}.{part}")
    for number, channels in ((16, 256), (25, 512)):
        identity = nn.init.dirac_(torch.empty(channels, channels, 3, 3))
        converted |= {f"features.{number}.weight": identity, f"features.{number}.bias": torch.zeros(channels)}
    return converted


def _passes_on(layer: nn.Conv2d) -> bool:
    """Whether a convolution and its ReLU give what they get, which is not negative, for it is another ReLU's."""
    is_square = layer.in_channels == layer.out_channels
    return is_square and not layer.bias.any() and torch.equal(layer.weight, nn.init.dirac_(layer.weight * 0))


def _downloaded() -> dict:
    """The state dict of torchvision's file in torch's cache, fetched into it once. Nothing else here uses a network."""
    # Imported here: torchvision takes a second, and a --vgg_weights file does without.
    from torchvision.models import VGG19_Weights

    url = VGG19_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    digits = path.stem.rpartition("-")[2]  # torchvision names files by the first digits of their SHA-256
    if not path.is_file():
        print(f"Downloading {url} to {path}, 548 MB, once; --vgg_weights FILE does without", file=sys.stderr)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Under another name until it is complete and has that hash.
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digits)
        # torch.hub lets through URLError, OSError and, on a bad hash, RuntimeError.
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"the VGG-19 weights could not be downloaded ({reason}): {_HOW_TO}") from None
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    if not digest.hexdigest().startswith(digits):
        raise UserError(f"{path} is not torchvision's file, by its hash: remove it, to have it downloaded again")
    return _state_dict(path, str(path))


def _state_dict(path: Path, source: str) -> dict:
    try:
        state = load_untrusted(path, 2**31)  # torchvision's file has 575 MB
    except Refused as error:
        raise UserError(f"{source} cannot be read as a PyTorch state dict: {error}; {_HOW_TO}") from None
    if not isinstance(state, dict):
        raise UserError(f"{source} holds no state dict but a {type(state).__name__}: {_HOW_TO}")
    return state
