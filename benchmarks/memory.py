"""Memory of a long training and of many stylisations.

    python -m benchmarks.memory

Trains through 2,000 steps and stylises 2,000 pictures, tiny ones, with everything on that a long run has: reading
processes, lines of metrics, monitor pictures, checkpoints of which two are kept. Prints the memory of the process along
the way, with its open files, and writes JSON. Takes minutes.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from begin_training import run_training
from benchmarks.common import BenchmarkConfig, draw, new_result, report, resident_memory, training_inputs
from benchmarks.tables import memory_table
from config import TrainingConfig, setting
from imaging.reading import read_image
from inference.stylizer import Stylizer
from models.transformer_net import TransformerNet
from training.run import TrainingRun
from utils.device import keep_freed_memory, resolve_compute
from utils.settings import parse_settings, run_command


def watch_training(folder: Path, steps: int, size: int, note: Callable[[int], None]) -> None:
    """Train; ``note`` is called with the number of every step."""
    config = TrainingConfig(
        **training_inputs(folder, 200, 2 * size),
        image_size=size, batch_size=1, total_steps=steps, num_epochs=steps, num_workers=2, device="cpu",
        log_every_steps=10, monitor_every_steps=steps // 20, checkpoint_every_steps=steps // 20, keep_checkpoints=2,
    )  # fmt: skip

    class WatchedRun(TrainingRun):
        def finish_step(self, step, losses):
            super().finish_step(step, losses)
            note(step)

    run_training(WatchedRun(config))


def watch_inference(folder: Path, pictures: int, size: int, note: Callable[[int], None]) -> None:
    """Read, stylise and write; ``note`` is called with the number of every picture."""
    paths = draw(folder, 50, size)
    stylizer = Stylizer(TransformerNet().eval(), device="cpu")
    for number in range(1, pictures + 1):
        stylizer.stylize(read_image(paths[number % len(paths)])).save(folder / "result.jpg")
        note(number)


@dataclass(frozen=True)
class MemoryConfig(BenchmarkConfig):
    """Settings of ``benchmarks.memory``."""

    steps: int = setting(2000, "of the training, and pictures stylised", minimum=4)
    image_size: int = setting(32, "side of the training crops", minimum=32)


def main() -> int:
    args, _ = parse_settings(MemoryConfig, __doc__)

    compute = resolve_compute("cpu", "auto")
    keep_freed_memory()
    result = {**new_result("memory", compute), "steps": args.steps}
    for name, watch in (("training steps", watch_training), ("pictures", watch_inference)):
        samples = []

        def note(number, samples=samples):
            if number % max(1, args.steps // 20) == 0:
                samples.append((number, resident_memory() / 1e6, len(os.listdir("/proc/self/fd"))))

        with tempfile.TemporaryDirectory() as folder:
            watch(Path(folder), args.steps, args.image_size, note)
        numbers, megabytes, _ = np.array(samples, float).T
        settled = slice(len(samples) // 4, None)  # pools and caches have filled by then
        slope = float(np.polyfit(numbers[settled], megabytes[settled], 1)[0]) * 1000
        result[name] = {"samples": samples, "megabytes_per_thousand": slope}
    return report(result, memory_table, args.json)


if __name__ == "__main__":
    run_command(main)
