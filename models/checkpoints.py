"""Checkpoints: one format for the files that a training resumes from and for the style models that it leaves.

A ``.pth`` file is a dict of plain values and tensors:

    format, version   what this is
    model             {"architecture", "state_dict"} of a TransformerNet or MultiStyleNet, ready for inference; up to
                      version 2 the architecture's "norm" and "upsample" stand beside the state_dict
    provenance        what made it: settings, step, loss network, data, library versions
    resume_state      what resuming a training needs beyond that; None in a final style model; up to version 3 it is
                      called training

A ``.safetensors`` file holds a style model: the tensors of ``state_dict``, and all else in the header, as text, with a
SHA-256 of the whole, which that format lacks.
"""

import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from models.multi_style import MultiStyleNet, is_style_name
from models.transformer_net import TransformerNet
from models.untrusted import Refused, check_contents, load_untrusted
from utils.errors import UserError, optional
from utils.file_kinds import head_of, known_kind, refuse_url
from utils.files import PROGRAM, atomic_write

FORMAT = "fast-neural-style-transfer"
VERSION = 4

_OTHER_NETWORKS = {
    r"\bdeconv1\.conv2d\.weight": "fast_neural_style (pytorch/examples), another network",
    r"\bDeconvBlock\.": "fast-neural-style-pytorch, another network",
    r"\bmodel\.\d+\.conv_block\.": "a CycleGAN",
    r"\bdiffusion_model\.": "Stable Diffusion",
    r"\bfeatures\.0\.weight": "VGG, the loss network, which --vgg_weights takes",
}
"""Whose weights have such names."""

_LARGEST_BYTES = 200_000_000  # that a file may have; the largest networks have 161 MB with the state of SOAP


@dataclass
class Checkpoint:
    network: TransformerNet
    provenance: dict
    resume_state: dict | None = None

    def styles(self, path: str | Path) -> tuple[str, ...]:
        """Names of the network's styles; where it has one, after its style image, or else its own file."""
        if isinstance(self.network, MultiStyleNet):
            return self.network.styles
        style = self.provenance.get("style")
        name = Path(style if isinstance(style, str) else path).stem
        return ("".join(c if is_style_name(c) else "_" for c in name)[:100] or "style",)

    def facts(self, path: str | Path) -> dict[str, str]:
        """What another format tells of the model in the file: its styles and what made it, in JSON; its licence."""
        return {
            "styles": json.dumps(self.styles(path)),
            "provenance": json.dumps(self.provenance),
            "license": (PROGRAM / "LICENSE").read_text(encoding="utf-8"),
        }


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    A final model, without ``resume_state``, has its convolution kernels in float16: half the size, no visible change.

    Raises:
        UserError: where the file cannot be written.
    """
    network = checkpoint.network
    state = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    if checkpoint.resume_state is None:
        # Vectors (normalisation, biases) stay float32: they are few, and a variance could overflow float16.
        for key, value in state.items():
            if value.dim() == 4 and value.half().isfinite().all():
                state[key] = value.half()
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "model": {"architecture": network.architecture(), "state_dict": state},
        "provenance": checkpoint.provenance,
        "resume_state": checkpoint.resume_state,
    }
    # Through memory: torch.save turns a full disk into exceptions that do not name it.
    if Path(path).suffix == ".safetensors":
        data = _to_safetensors(contents, path)
    else:
        buffer = io.BytesIO()
        torch.save(contents, buffer)
        data = buffer.getbuffer()
    with atomic_write(path) as file:
        file.write(data)


def find_model(name: str | Path, flag: str = "--model_path") -> Path:
    """The file that a setting names: a path; the folder of a training, whose newest checkpoint is meant; or the name of
    a model, with or without its ending, that lies in ``checkpoints/`` here or beside the program.

    Raises:
        UserError: naming ``flag``, and the models that there are; or that it is a web address.
    """
    refuse_url(name)
    if os.path.isdir(name):
        steps = [path for path in Path(name).glob("step_*.pth") if path.stem.removeprefix("step_").isdecimal()]
        if not steps:
            raise UserError(f"{flag} {name} holds no step_NNNNNN.pth: give a model, or the folder of a training")
        return max(steps, key=lambda path: int(path.stem.removeprefix("step_")))
    folders = [Path("checkpoints"), PROGRAM / "checkpoints"]
    for folder in (Path(), PROGRAM, *folders):
        for ending in ("", ".pth", ".safetensors"):
            if os.path.isfile(folder / f"{name}{ending}"):
                return folder / f"{name}{ending}"
    there = set()
    for folder in folders:
        for path in (*folder.glob("*.pth"), *folder.glob("*/*.pth")):
            there.add(path.relative_to(folder).with_suffix("").as_posix())
    models = ", ".join(sorted(name for name in there if "_training/" not in name))  # such as wave, or fast/wave
    raise UserError(
        f"{flag} {name} is not a file: give a style model (.pth) that begin_training.py wrote"
        + (f", or one of {models}" if models else "")
    )


def load_checkpoint(path: str | Path, flag: str = "--model_path") -> Checkpoint:
    """Read a checkpoint and check it; see :func:`find_model` and :func:`models.untrusted.load_untrusted`.

    Returns:
        The checkpoint, with its network on the CPU, float32, in eval mode.

    Raises:
        UserError: naming the file, what was wrong with it, and ``flag``.
    """
    path = find_model(path, flag)
    try:
        contents = _from_safetensors(path) if path.suffix == ".safetensors" else load_untrusted(path, _LARGEST_BYTES)
    except Refused as error:
        raise UserError(f"{flag} {path} is refused, nothing in it was run: {error}; give another file") from None

    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise UserError(f"{flag} {path} {_foreign(contents)}: give a file that begin_training.py wrote")
    version = contents.get("version")
    if type(version) is not int or version not in range(1, VERSION + 1):
        raise UserError(
            f"{flag} {path} has checkpoint version {str(version)[:20]}, this program reads {VERSION}: use the version "
            "of the program that wrote it"
        )
    network = _network_of(contents.get("model"), f"{flag} {path}")
    provenance = contents.get("provenance")
    resume_state = contents.get("training" if version < 4 else "resume_state")
    if not isinstance(provenance, dict) or not isinstance(resume_state, dict | None):
        raise UserError(f"{flag} {path} is damaged (no provenance): give another file")
    return Checkpoint(network, provenance, resume_state)


def _foreign(contents) -> str:
    for key in ("state_dict", "model"):  # usual places for the weights beside other things
        if isinstance(contents, dict) and isinstance(contents.get(key), dict):
            contents = contents[key]
    names = " ".join(map(str, contents)) if isinstance(contents, dict) else ""
    for pattern, whose in _OTHER_NETWORKS.items():
        if re.search(pattern, names):
            return f"holds the weights of {whose}"
    return "is not a checkpoint of this project"


def _to_safetensors(contents: dict, path: str | Path) -> bytes:
    if contents["resume_state"] is not None:
        raise UserError(f"{path} cannot hold a training to resume, only a style model: name it .pth")
    state = {key: value.contiguous() for key, value in contents["model"]["state_dict"].items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "architecture": json.dumps(contents["model"]["architecture"]),
        "provenance": json.dumps(contents["provenance"]),
    }
    return _safetensors("safetensors.torch").save(state, {**metadata, "sha256": _sha256(metadata, state)})


def _safetensors(module: str):
    return optional(
        module, ".safetensors files need the package safetensors: pip install safetensors, or use a .pth file"
    )


def _sha256(metadata: dict[str, str], state: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for key, value in sorted(state.items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _from_safetensors(path: Path) -> dict:
    """The contents that a ``.pth`` file would have. The format itself declares no more than the file holds."""
    safetensors = _safetensors("safetensors")
    if path.stat().st_size > _LARGEST_BYTES:
        raise Refused(f"it has {path.stat().st_size} bytes, and such files have {_LARGEST_BYTES} at most")
    if kind := known_kind(head_of(path)):
        raise Refused(f"it is {kind}")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, it is no dict
        if metadata.get("format") != FORMAT:
            return {}
        sha256 = metadata.pop("sha256", None)
        if int(metadata["version"]) > 3 and sha256 != _sha256(metadata, state):
            raise Refused("it is damaged (its contents do not have its checksum)")
        values = {name: json.loads(metadata[name]) for name in ("architecture", "provenance") if name in metadata}
        model = metadata | values | {"state_dict": state}  # norm and upsample of an old one stand for themselves
        contents = {"format": FORMAT, "version": int(metadata["version"]), "model": model, **values}
        check_contents(contents, path.stat().st_size)
        return contents
    # What these say themselves is the library's English, the name of a key, or a number.
    except (OSError, ValueError, KeyError, RuntimeError, RecursionError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None)
        raise Refused(f"it cannot be read ({reason})" if reason else "it is damaged, or no style model") from None


def build_network(architecture: dict) -> TransformerNet:
    """The network that :meth:`TransformerNet.architecture` describes, with random weights.

    Raises:
        TypeError, ValueError, AttributeError: where it describes none.
    """
    styles = architecture.get("styles")
    if styles is None:
        return TransformerNet(**architecture)
    if architecture.get("norm") not in ("instance", "mixed"):
        raise ValueError("several styles need instance or mixed norm")
    if not isinstance(styles, list) or len(styles) > 1000 or not all(map(is_style_name, styles)):
        raise ValueError("styles must be names")
    return MultiStyleNet(**architecture)


def _network_of(model, source: str) -> TransformerNet:
    model = model if isinstance(model, dict) else {}
    architecture = model.get("architecture", {name: model.get(name) for name in ("norm", "upsample")})
    try:
        network = build_network(architecture)
    except (TypeError, ValueError, AttributeError):
        raise UserError(f"{source} is damaged (unknown architecture): give another file") from None
    state, expected = model.get("state_dict"), network.state_dict()
    if not isinstance(state, dict) or state.keys() != expected.keys():
        raise UserError(f"{source} is damaged (its weights are not those of a TransformerNet): give another file")
    for key, value in state.items():
        if not isinstance(value, torch.Tensor) or value.shape != expected[key].shape:
            raise UserError(f"{source} is damaged (wrong shape of {key}): give another file")
        if value.is_floating_point() != expected[key].is_floating_point() or value.is_complex():
            raise UserError(f"{source} is damaged (wrong type of {key}): give another file")
        if not value.to(expected[key].dtype).isfinite().all():
            raise UserError(f"{source} holds weights that are not finite ({key}): take an earlier checkpoint")
        if key.endswith("running_var") and (value < 0).any():
            raise UserError(f"{source} is damaged (a variance below zero, {key}): give another file")
    network.load_state_dict(state)  # copies float16 kernels into the float32 ones
    return network.eval()
