"""Timing in turns, a description of the machine, and tables."""

import contextlib
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from utils.device import Compute


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next counts all work so far."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_in_turns(
    variants: dict[str, Callable[[], object]], device: torch.device, rounds: int, warmup: int = 2, pause: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each variant, with one call of each a round, so that other work on the machine slows all alike.

    Args:
        variants: name -> a call without arguments.
        rounds: timed rounds, after ``warmup`` untimed ones.
        pause: seconds before each call; another library's threads may go on waiting for work, and so hold the cores,
            for a while after its call.
    """
    seconds = {name: [] for name in variants}
    for current in range(warmup + rounds):
        for name, call in variants.items():
            synchronize(device)
            time.sleep(pause)
            start = time.perf_counter()
            call()
            synchronize(device)
            if current >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def describe_machine(compute: Compute) -> dict:
    """Device, threads, versions and commit, for the record."""
    commit = ""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):  # no git, or no repository
        command = ["git", "describe", "--always", "--dirty"]
        commit = subprocess.check_output(command, stderr=subprocess.DEVNULL, cwd=Path(__file__).parent).decode().strip()
    return {
        "device": compute.describe(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": commit or "unknown",
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
