"""Checkpoints: one format for the files that a training resumes from and for the style models that it leaves.

A file is a dict of plain values and tensors, read with ``weights_only=True``, which runs no code:

    format, version   what this is
    model             {"norm", "upsample", "state_dict"} of a TransformerNet, ready for inference
    provenance        what made it: settings, step, loss network, data, library versions
    training          what resuming needs beyond that; None in a final style model
"""

import io
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from data.errors import UserError
from models.transformer_net import NORMS, UPSAMPLES, TransformerNet
from utils.files import atomic_write

FORMAT = "fast-neural-style-transfer"
VERSION = 1


@dataclass
class Checkpoint:
    """The contents of a checkpoint file."""

    network: TransformerNet
    provenance: dict
    training: dict | None = None


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    A final model, one without ``training``, has its convolution kernels in float16: half the size, no visible change.

    Raises:
        UserError: where the file cannot be written.
    """
    network = checkpoint.network
    state = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    if checkpoint.training is None:
        # Vectors (normalisation, biases) stay float32: they are few, and a variance could overflow float16.
        state = {key: value.half() if value.dim() == 4 else value for key, value in state.items()}
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "model": {"norm": network.norm, "upsample": network.upsample, "state_dict": state},
        "provenance": checkpoint.provenance,
        "training": checkpoint.training,
    }
    # Through memory: torch.save turns a full disk into exceptions that do not name it.
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: str | Path, flag: str = "--model_path") -> Checkpoint:
    """Read a checkpoint and check it: format, version, architecture, shapes, finite weights. Runs no code in it.

    Returns:
        The checkpoint, with its network on the CPU, float32, in eval mode.

    Raises:
        UserError: naming the file, what was wrong with it, and ``flag``.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{flag} {path} is not a file: give a style model (.pth) that begin_training.py wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on foreign pickles before it refuses them
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{flag} {path} is refused, nothing in it was run: it is damaged, or holds more than weights and settings"
        ) from None
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{flag} {path} cannot be read as a checkpoint ({reason}): give another file") from None

    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise UserError(f"{flag} {path} is not a checkpoint of this project: give a file that begin_training.py wrote")
    if contents.get("version") != VERSION:
        raise UserError(
            f"{flag} {path} has checkpoint version {contents.get('version')!r}, this program reads {VERSION}: use the "
            "version of the program that wrote it"
        )
    network = _build_network(contents.get("model"), f"{flag} {path}")
    provenance, training = contents.get("provenance"), contents.get("training")
    if not isinstance(provenance, dict) or not isinstance(training, dict | None):
        raise UserError(f"{flag} {path} is damaged (no provenance): give another file")
    return Checkpoint(network, provenance, training)


def _build_network(model, source: str) -> TransformerNet:
    if not isinstance(model, dict) or model.get("norm") not in NORMS or model.get("upsample") not in UPSAMPLES:
        raise UserError(f"{source} is damaged (unknown architecture): give another file")
    network = TransformerNet(model["norm"], model["upsample"])
    state, expected = model.get("state_dict"), network.state_dict()
    if not isinstance(state, dict) or state.keys() != expected.keys():
        raise UserError(f"{source} is damaged (its weights are not those of a TransformerNet): give another file")
    for key, value in state.items():
        if not isinstance(value, torch.Tensor) or value.shape != expected[key].shape:
            raise UserError(f"{source} is damaged (wrong shape of {key}): give another file")
        if not value.isfinite().all():
            raise UserError(f"{source} holds weights that are not finite ({key}): take an earlier checkpoint")
    network.load_state_dict(state)  # copies float16 kernels into the float32 ones
    return network.eval()
