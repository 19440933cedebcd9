"""What the benchmarks share: flags, noise to train on, memory, and what they print."""

import ctypes
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from config import DEVICE_HELP, PRECISION_HELP, PRECISIONS, setting
from models.vgg19 import VGG19
from utils.device import Compute
from utils.files import PROGRAM
from utils.measuring import table


@dataclass(frozen=True)
class ComputeConfig:
    """What every benchmark of a network takes."""

    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE")
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)


def training_inputs(folder: Path, photographs: int, size: int, vgg_weights: str | None = None) -> dict[str, str]:
    """Settings that name what a training reads: pictures of noise, and random weights if none are given."""
    rng, paths = np.random.default_rng(0), []
    (folder / "photographs").mkdir()
    for number in range(photographs):
        paths.append(folder / "photographs" / f"{number:03d}.jpg")
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(paths[-1])
    if vgg_weights is None:
        vgg_weights = str(folder / "vgg19.pth")
        torch.save(VGG19().state_dict(), vgg_weights)
    return {"style_image": (str(paths[0]),), "dataset_dir": str(paths[0].parent), "vgg_weights": vgg_weights}


def sample(width: int, height: int) -> Image.Image:
    """The sample photograph, ``RGB``, of a size."""
    with Image.open(PROGRAM / "content" / "mountains.jpg") as photograph:
        return photograph.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def peak_memory(call: Callable[[], object], device: torch.device) -> str:
    """GiB that a call takes at its peak, beyond what is in use before; ``-`` where the system does not say.

    On a CPU: resident memory, after what earlier calls freed has been given back (Linux).
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return f"{(torch.cuda.max_memory_allocated(device) - before) / 2**30:.2f}"
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
        before = resident_memory()
        call()
        return f"{(resident_memory('VmHWM') - before) / 2**30:.2f}"
    except (OSError, AttributeError):
        return "-"


def resident_memory(key: str = "VmRSS", process: int | str = "self") -> int:
    """Bytes of memory that a process has in use, or with ``"VmHWM"`` had at its peak. Linux only."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) * 1024


def report(compute: Compute, header: list[str], rows: list[list[str]]) -> None:
    """Print the machine and a table."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    print(compute.describe() + (f", no instructions beyond {limit}" if limit else ""))
    print(table(header, rows))
