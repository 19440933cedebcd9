"""The folder that a training writes: what its files are called, what may be replaced, what is removed."""

import os
import re
import warnings
from pathlib import Path

import torch

from config import TrainingConfig
from models.checkpoints import load_checkpoint
from models.transformer_net import TransformerNet
from utils.errors import UserError


def training_folder(config: TrainingConfig) -> Path:
    return Path(config.output_dir, f"{Path(config.style_image).stem}_training")


def checkpoint_name(step: int) -> str:
    return f"step_{step:06d}.pth"


def checkpoints(folder: Path) -> list[Path]:
    return by_step(folder, "step_", ".pth")


def by_step(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """The files that are named by their step and nothing else, in its order: step_1000000 after step_999999."""
    name = re.compile(rf"{prefix}\d{{6,}}{re.escape(suffix)}")
    return sorted((path for path in folder.glob(f"{prefix}*") if name.fullmatch(path.name)), key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def newest_checkpoint(path: Path) -> Path:
    """The file itself, or the checkpoint with the most steps in a folder."""
    if not os.path.isdir(path):
        return path
    found = checkpoints(path)
    if not found:
        raise UserError(f"--checkpoint_path {path} holds no step_NNNNNN.pth to resume from")
    return found[-1]


def refuse_to_leave(output_dir: str, folder: Path) -> None:
    """Refuse a training folder that is a link to somewhere else."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(output_dir)):
        raise UserError(
            f"{folder} is a link to {os.path.realpath(folder)}, outside --output_dir {output_dir}: remove the link, or "
            "give the folder that it leads to as --output_dir"
        )


def is_model_of(path: Path, network: TransformerNet) -> bool:
    """Whether a file is the final model that a network leaves."""
    if not path.exists():
        return False
    found, expected = load_checkpoint(path).network.state_dict(), network.state_dict()
    return all(torch.equal(found[key].half(), value.detach().cpu().half()) for key, value in expected.items())


def refuse_to_replace(folder: Path, result: Path, kept_step: int | None, overwrite: bool) -> None:
    """Refuse to replace unasked what a training left that is not this one: all, or all after ``kept_step``."""
    if overwrite:
        return
    found = checkpoints(folder)
    if kept_step is not None:
        if found and _step_of(found[-1]) > kept_step:
            raise UserError(
                f"{folder} goes on to {found[-1].name}: resume from that, give another --output_dir, or add "
                f"--overwrite to remove what came after step {kept_step}"
            )
    elif found:
        raise UserError(
            f"{folder} holds an earlier training: resume it with --checkpoint_path {folder}, give another "
            "--output_dir, or add --overwrite to start again"
        )
    elif os.path.lexists(result):
        raise UserError(f"{result} exists already: give another --output_dir, or add --overwrite to replace it")


def clear_folder(folder: Path, kept_step: int | None) -> None:
    """Remove what another run left, or this one after ``kept_step``, so that it is not taken for what is to come."""
    found = checkpoints(folder)[::-1] + by_step(folder, "monitor_", ".png")
    if kept_step is None:
        found += [folder / "metrics.jsonl"]
    else:
        found = [path for path in found if _step_of(path) > kept_step]
    for path in [*found, folder / "filmstrip.png", folder / "losses.png"]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}): see to it, then start again") from None


def remove_checkpoints(checkpoints: list[Path]) -> None:
    for path in checkpoints:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(f"{path} cannot be removed ({error.strerror}), --keep_checkpoints or not", stacklevel=3)
