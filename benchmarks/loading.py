"""Time how fast photographs reach the training step from a folder.

    python -m benchmarks.loading --dataset_dir photos

A training step takes --batch_size of them: compare with benchmarks.training.
"""

import time
from dataclasses import dataclass
from statistics import median

from benchmarks.common import report
from config import setting
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from utils.device import resolve_compute
from utils.settings import parse_settings, run_command


def photographs_a_second(folder: str, image_size: int, workers: int, batches: int, rounds: int) -> float:
    """Median over ``rounds`` streams, each after a first batch, which starts the workers."""
    paths = list_photographs(folder)
    rates = []
    for seed in range(rounds):
        stream = PhotographStream(PhotographDataset(paths, image_size, seed), 4, num_workers=workers)
        next(stream)
        start = time.perf_counter()
        for _ in range(batches):
            next(stream)
        rates.append(4 * batches / (time.perf_counter() - start))
        stream.close()
    return median(rates)


@dataclass(frozen=True)
class LoadingConfig:
    """Settings of ``benchmarks.loading``."""

    dataset_dir: str = setting("photos", "folder of photographs", metavar="FOLDER")
    image_size: int = setting(256, "side of the training crops", minimum=32)
    batches: int = setting(150, "of 4 photographs, timed a round", minimum=1)
    rounds: int = setting(3, "streams that are timed", minimum=1)


def main() -> int:
    args, _ = parse_settings(LoadingConfig, __doc__)
    rates = [
        photographs_a_second(args.dataset_dir, args.image_size, workers, args.batches, args.rounds)
        for workers in (0, 1, 2)
    ]
    header = ["photographs a second", "no worker", "1 worker", "2 workers"]
    return report(resolve_compute("cpu", "auto"), header, [["", *(f"{rate:.0f}" for rate in rates)]])


if __name__ == "__main__":
    run_command(main)
