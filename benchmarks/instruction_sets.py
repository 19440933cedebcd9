"""Time training and inference at each instruction set of this processor, on one thread and on all; and on the GPU.

    python -m benchmarks.instruction_sets

Repeats benchmarks.training and benchmarks.inference in processes of their own, in which oneDNN and torch's own kernels
use no more than an instruction set has. Prints a table and writes JSON.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common import BenchmarkConfig, new_result, report
from benchmarks.tables import instruction_sets_table
from config import setting
from utils.device import resolve_compute
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class Level:
    """What a processor can, in the order in which each holds the one before.

    Attributes:
        name: for people.
        flag: by which Linux names it in /proc/cpuinfo.
        onednn, aten: values of ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY.
        precision: what it is good for.
    """

    name: str
    flag: str
    onednn: str
    aten: str
    precision: str


LEVELS = (
    Level("AVX2", "avx2", "AVX2", "avx2", "float32"),
    Level("AVX-512", "avx512bw", "AVX512_CORE", "avx512", "float32"),
    Level("AVX-512 bfloat16", "avx512_bf16", "AVX512_CORE_BF16", "avx512", "bfloat16"),
    Level("AMX", "amx_bf16", "AVX512_CORE_AMX", "avx512", "bfloat16"),
)


def levels_here(cpuinfo: str) -> list[Level]:
    """The levels that a processor has, by the content of its /proc/cpuinfo."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return [level for level in LEVELS if flags and level.flag in flags[1].split()]


def run(benchmark: str, environment: dict[str, str], *flags: object) -> dict:
    """The result of a benchmark, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.json")
        command = [sys.executable, "-m", f"benchmarks.{benchmark}", *flags, "--json", file]
        subprocess.run(
            list(map(str, command)), env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True
        )
        return json.loads(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class InstructionSetsConfig(BenchmarkConfig):
    """Settings of ``benchmarks.instruction_sets``."""

    rounds: int = setting(5, "timed calls of each variant", minimum=1)
    size: int = setting(512, "side of the picture that is stylised", minimum=16)
    image_size: int = setting(256, "side of the training crops", minimum=32)
    batch_size: int = setting(4, "photographs of a training step; 1 is soonest done", minimum=1)


def main() -> int:
    args, _ = parse_settings(InstructionSetsConfig, __doc__)

    cpuinfo = Path("/proc/cpuinfo")
    levels = levels_here(cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else "")
    threads = sorted({1, torch.get_num_threads()})
    variants = [
        (level.name, level.precision, count, {
            "ONEDNN_MAX_CPU_ISA": level.onednn, "ATEN_CPU_CAPABILITY": level.aten, "OMP_NUM_THREADS": str(count),
        })
        for level in levels for count in threads
    ]  # fmt: skip
    if not levels:  # another kind of processor, or another system: as it is
        variants = [("all it has", "auto", count, {"OMP_NUM_THREADS": str(count)}) for count in threads]
    variants = [("cpu", *variant) for variant in variants]
    if torch.cuda.is_available():
        variants.append(("cuda", torch.cuda.get_device_name(), "auto", None, {}))

    result = {
        **new_result("instruction_sets", resolve_compute("cpu", "auto")),
        "picture": args.size,
        "batch_size": args.batch_size,
        "rows": [],
    }
    for device, name, precision, count, environment in variants:
        flags = ["--device", device, "--precision", precision, "--rounds", args.rounds]
        sides = ["--image_size", args.image_size, "--batch_size", args.batch_size]
        training = run("training", environment, *flags, *sides)
        inference = run("inference", environment, *flags, "--sizes", args.size, "--own_sizes", args.size)
        result["rows"].append(
            {
                "name": name,
                "precision": precision,
                "threads": count,
                "training": training["median_seconds_per_step"],
                "inference": inference["sizes"][str(args.size)]["median_seconds"],
            }
        )
    return report(result, instruction_sets_table, args.json)


if __name__ == "__main__":
    run_command(main)
