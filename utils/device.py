"""Device and precision, resolved once for a whole run."""

import contextlib
import ctypes
import dataclasses
import os
import platform
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from utils.errors import UserError


def _call(function: Callable, *args):
    return function(*args)


@dataclass(frozen=True)
class Compute:
    """Where and in which arithmetic the networks run."""

    device: torch.device
    dtype: torch.dtype  # of the networks; losses and the optimiser are float32 whatever it is
    run: Callable = _call  # calls a function that applies a network to a picture

    def in_one_thread(self) -> "Compute":
        """The same, with networks at work in one thread, whoever calls them; the caller waits.

        Each thread that computes has a team of OpenMP threads. Once there are more of these than processor cores, they
        sleep at the end of each operation, and a small picture takes twice as long (2 cores). So call
        ``torch.set_num_threads(1)`` afterwards: it holds for the caller and for all threads that begin later.
        """
        if self.device.type != "cpu":
            return self
        pool = ThreadPoolExecutor(1)
        pool.submit(torch.get_num_threads).result()  # from here on it keeps that number
        call = torch.inference_mode()(_call)
        return dataclasses.replace(self, run=lambda *args: pool.submit(call, *args).result())

    def autocast(self) -> contextlib.AbstractContextManager:
        """Runs convolutions in :attr:`dtype` while parameters stay float32."""
        if self.dtype == torch.float32:  # which not every device has an autocast for
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def describe(self) -> str:
        """One line for people, such as ``NVIDIA H100, bfloat16``."""
        precision = str(self.dtype).removeprefix("torch.")
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {precision}"
        if self.device.type == "mps":
            return f"Apple MPS, {precision}"
        name = _linux_says("/proc/cpuinfo", r"^model name\s*:(.*)") or platform.processor() or platform.machine()
        threads = torch.get_num_threads()
        return f"CPU ({name}, {threads} thread{'s' if threads > 1 else ''}), {precision}"


def memory_format(device: torch.device) -> torch.memory_format:
    """The memory layout of pictures and kernels: channels last, which is fastest for convolutions."""
    # On Apple's MPS too much has failed with it, such as the backward pass of batch norm.
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def resolve_compute(device: str, precision: str, local_rank: int = 0) -> Compute:
    """The device and precision that the flags ``--device`` and ``--precision`` ask for, made ready for large tensors.

    Where no CUDA GPU is named, that of number ``local_rank`` is taken. Raises :class:`UserError` if the device is
    unknown or absent, or cannot compute in that precision.
    """
    resolved = _resolve_device(device, local_rank)
    if resolved.type == "cuda":
        torch.cuda.set_device(resolved)
    supported = _supported(resolved)
    precision = supported[0] if precision == "auto" else precision
    if precision not in supported:
        raise UserError(
            f"--precision {precision} does not work on {resolved.type}: use one of auto, {', '.join(supported)}"
        )
    if resolved.type == "cpu":
        keep_freed_memory()
    return Compute(resolved, getattr(torch, precision))


def _resolve_device(name: str, local_rank: int) -> torch.device:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind, _, index = name.lower().partition(":")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name.lower()):
        raise UserError(f"--device must be auto, cpu, cuda, cuda:N or mps, not {name!r}")
    if kind == "auto":
        kind = next(kind for kind, there in present.items() if there)
    if not present[kind]:
        which = "CUDA" if kind == "cuda" else "Apple"
        raise UserError(f"--device {name}: PyTorch finds no {which} GPU here; use auto or cpu")
    if kind != "cuda":
        return torch.device(kind)
    number = int(index or local_rank)
    if number >= torch.cuda.device_count():
        raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA GPUs, numbered from 0")
    return torch.device("cuda", number)


def _supported(device: torch.device) -> tuple[str, ...]:
    """Precisions that work on a device, the one that ``auto`` takes first."""
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= (8, 0):  # Ampere on: bfloat16 in hardware
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32")
    if device.type == "cpu":
        # oneDNN's convolutions have instructions for bfloat16, or take many times as long as in float32.
        flags = _linux_says("/proc/cpuinfo", r"^flags\s*:(.*)").split()
        return ("bfloat16", "float32") if {"avx512_bf16", "amx_bf16"} & set(flags) else ("float32", "bfloat16")
    return ("float32",)


def _linux_says(path: str, pattern: str) -> str:
    """What a pattern finds in a file in which Linux describes the machine; empty elsewhere."""
    with contextlib.suppress(OSError):
        if found := re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE):
            return found[1].strip()
    return ""


def default_num_workers(device: torch.device) -> int:
    """How many processes read photographs: a step takes milliseconds on a GPU, and needs the cores on a CPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores) if device.type == "cuda" else min(2, cores // 2)


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device; ``None`` where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    kilobytes = _linux_says("/proc/meminfo", r"^MemAvailable:\s*(\d+)")
    if device.type != "cpu" or not kilobytes:
        return None
    free = int(kilobytes) * 1024
    # A container may have a limit of its own; of what it uses, files that are read again if need be do not count.
    files = {"max": r"^(\d+)", "current": r"^(\d+)", "stat": r"^inactive_file (\d+)"}
    numbers = [_linux_says(f"/sys/fs/cgroup/memory.{name}", pattern) for name, pattern in files.items()]
    if not all(numbers):
        return free
    limit, used, cached = map(int, numbers)
    return min(free, max(0, limit - used + cached))


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor of its size, instead of giving it back to the system.

    Each step and each picture allocates the same gigabytes again, and fresh pages are faulted in one by one: without
    this, a training step took 15% longer (0.92 s against 0.80 s, batch 4, 256 x 256), and stylising 2048 x 2048 pixels
    2.5 times as long (2.4 s against 0.95 s; 2 cores). Does nothing if the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # the last on Windows
        return
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # M_... of malloc.h
    mallopt(arena_max, 1)  # else each thread keeps its own
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)  # never
    mallopt(top_pad, 2**28)
