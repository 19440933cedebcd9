"""Time how fast photographs reach the training step, from a folder and from a prepared data set.

    python -m benchmarks.loading --dataset_dir photos

Prints a table and writes JSON. Training consumes --batch_size photographs a step: compare with benchmarks.training.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import describe_machine, median, table, write_result
from data.loader import PhotographStream
from data.photographs import PhotographDataset, open_photographs
from data.prepare import main as prepare
from utils.device import resolve_compute


def photographs_a_second(folder: str, image_size: int, workers: int, batches: int, rounds: int) -> float:
    """Median over ``rounds`` streams, each after a first batch, which starts the workers."""
    paths, _ = open_photographs(folder, image_size)
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset_dir", required=True, help="folder of photographs")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=150, help="of 4 photographs, timed a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="file for the result (default: benchmarks/results/loading_cpu.json)")
    args = parser.parse_args()

    rates: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        prepared = str(Path(scratch, "prepared"))
        status = prepare([args.dataset_dir, prepared])
        if status:
            return status
        for name, folder in (("folder", args.dataset_dir), ("prepared", prepared)):
            rates[name] = {
                str(workers): photographs_a_second(folder, args.image_size, workers, args.batches, args.rounds)
                for workers in (0, 1, 2)
            }
    result = {
        "benchmark": "loading",
        "device_type": "cpu",
        "machine": describe_machine(resolve_compute("cpu", "auto")),
        "image_size": args.image_size,
        "photographs_per_second": rates,
    }
    rows = [[name, *(f"{rate:.0f}" for rate in by_workers.values())] for name, by_workers in rates.items()]
    print(table(["photographs a second from a", "no worker", "1 worker", "2 workers"], rows))
    print(f"Wrote {write_result('loading', result, args.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
