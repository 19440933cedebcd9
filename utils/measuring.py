"""Timing in turns, a description of the machine, and tables."""

import platform
import subprocess
import time
from collections.abc import Callable

import torch

from utils.device import Compute
from utils.files import PROGRAM


def time_in_turns(
    variants: dict[str, Callable[[], object]], device: torch.device, rounds: int, warmup: int = 2, pause: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each variant, with one call of each a round, so that other work on the machine slows all alike.

    ``warmup`` rounds come first, untimed. ``pause`` is seconds before each call: another library's threads may go on
    waiting for work, and so hold the cores, for a while after its call.
    """
    synchronize = torch.cuda.synchronize if device.type == "cuda" else torch.cpu.synchronize
    seconds = {name: [] for name in variants}
    for current in range(warmup + rounds):
        for name, call in variants.items():
            synchronize()
            time.sleep(pause)
            start = time.perf_counter()
            call()
            synchronize()
            if current >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def describe_machine(compute: Compute) -> dict:
    """Device, threads, versions and commit, for the record."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        commit = subprocess.check_output(command, stderr=subprocess.DEVNULL, cwd=PROGRAM, text=True).strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        commit = "unknown"
    return {
        "device": compute.describe(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": commit,
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
