"""What the benchmarks share: flags, inputs, memory, the machine, results."""

import ctypes
import json
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
from utils.measuring import describe_machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What every benchmark takes."""

    json: str | None = setting(
        None, "file for the result; left out, benchmarks/results/BENCHMARK_DEVICE.json", metavar="FILE"
    )


@dataclass(frozen=True)
class ComputeConfig(BenchmarkConfig):
    """What a benchmark takes that runs on any device."""

    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE")
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)


def draw(folder: Path, pictures: int, size: int) -> list[Path]:
    """Pictures of noise, no two of the same size."""
    folder.mkdir(exist_ok=True)
    rng, paths = np.random.default_rng(0), []
    for number in range(pictures):
        paths.append(folder / f"{number:03d}.jpg")
        shape = (size + number % 17, size + number % 23, 3)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(paths[-1])
    return paths


def training_inputs(folder: Path, photographs: int, size: int, vgg_weights: str | None = None) -> dict[str, str]:
    """Settings that name what a training reads: noise, and where no weights are given, random ones."""
    paths = draw(folder / "photographs", photographs, size)
    if vgg_weights is None:
        vgg_weights = str(folder / "vgg19.pth")
        torch.save(VGG19().state_dict(), vgg_weights)
    return {
        "style_image": (str(paths[0]),),
        "training_monitor_content_image": str(paths[1]),
        "dataset_dir": str(folder / "photographs"),
        "output_dir": str(folder / "out"),
        "vgg_weights": vgg_weights,
    }


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that a call takes at its peak, beyond what is in use before; ``None`` where the system does not tell.

    On a CPU: resident memory, after what earlier calls freed has been given back (Linux).
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
        before = resident_memory()
        call()
        return resident_memory("VmHWM") - before
    except (OSError, AttributeError):
        return None


def resident_memory(key: str = "VmRSS") -> int:
    """Bytes of memory that this process has in use, or with ``"VmHWM"`` had at its peak. Linux alone."""
    return int(re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1]) * 1024


def gibibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**30:.2f}"


def new_result(benchmark: str, compute: Compute) -> dict:
    """What every result begins with."""
    return {"benchmark": benchmark, "device_type": compute.device.type, "machine": describe_machine(compute)}


def report(result: dict, table: Callable[[list[dict]], str], path: str | None) -> int:
    """Print a result by its table of ``benchmarks.tables``, and write it as JSON.

    Args:
        path: the file; left out, ``benchmarks/results/<benchmark>_<device type>.json``.

    Returns:
        Exit status 0.
    """
    path = Path(path) if path else RESULTS / f"{result['benchmark']}_{result['device_type']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(result["machine"]["device"])
    print(table([result]))
    print(f"Wrote {path}")
    return 0
