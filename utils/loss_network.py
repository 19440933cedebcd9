"""VGG-19's pretrained weights: torchvision's own, or a file."""

import hashlib
from pathlib import Path

import torch

from data.errors import UserError
from models.vgg19 import VGG19

_HOW_TO = (
    "download vgg19-dcbb9e9d.pth (torchvision's VGG19_Weights.IMAGENET1K_V1) on a machine that can, copy it here, and "
    "give it with --vgg_weights FILE"
)


def load_vgg19(weights_file: str | None, device: torch.device, dtype: torch.dtype) -> VGG19:
    """The frozen loss network with ImageNet weights.

    Args:
        weights_file: a torchvision ``vgg19`` state dict, float16 or float32, whole or cut after ``features.28``;
            ``None`` for torchvision's own download, kept in torch's cache.
        device, dtype: where and in which type the convolutions run. Stored in that type, not converted each step.

    Returns:
        The network; its ``fingerprint`` tells one set of weights from another, whatever file and type they came in.

    Raises:
        UserError: if the download fails, or the file is not such a state dict.
    """
    state = _downloaded() if weights_file is None else _from_file(Path(weights_file))
    vgg = VGG19()
    expected = vgg.state_dict()
    source = "torchvision's download" if weights_file is None else f"--vgg_weights {weights_file}"
    for key, value in expected.items():
        found = state.get(key)
        if not isinstance(found, torch.Tensor) or found.shape != value.shape:
            has = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else "no such tensor"
            raise UserError(
                f"{source} is not a torchvision vgg19 state dict: expected {key} of shape {tuple(value.shape)}, found "
                f"{has}; the file needs features.0.weight to features.28.bias"
            )
        if not found.is_floating_point() or not found.isfinite().all():
            raise UserError(f"{source} is damaged: {key} must hold finite floating-point numbers")
    vgg.load_state_dict({key: state[key].float() for key in expected})
    vgg.fingerprint = _fingerprint(vgg)  # before the conversion, which must not change it
    vgg.features.to(dtype)
    return vgg.to(device, memory_format=torch.channels_last)


def _fingerprint(vgg: VGG19) -> str:
    digest = hashlib.sha256()
    for value in vgg.state_dict().values():
        digest.update(value.to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _downloaded() -> dict:
    # Imported here: torchvision takes a second, and a --vgg_weights file does without.
    from torchvision.models import VGG19_Weights

    try:
        return VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    # torch.hub lets through URLError, OSError and, on a bad hash, RuntimeError.
    except (OSError, RuntimeError) as error:
        raise UserError(f"the VGG-19 weights could not be downloaded ({error}): {_HOW_TO}") from None


def _from_file(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"--vgg_weights {path} is not a file: {_HOW_TO}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or foreign file fails in zipfile, pickle or torch, each with exceptions of its own.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"--vgg_weights {path} cannot be read as a PyTorch state dict ({reason}): {_HOW_TO}") from None
    if not isinstance(state, dict):
        raise UserError(f"--vgg_weights {path} holds no state dict but a {type(state).__name__}: {_HOW_TO}")
    return state
