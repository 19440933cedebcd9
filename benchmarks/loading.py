"""Time how fast photographs reach the training step from a folder.

    python -m benchmarks.loading --dataset_dir photos

Prints a table and writes JSON. Training consumes --batch_size photographs a step: compare with benchmarks.training.
"""

import sys
import time
from statistics import median

from benchmarks.common import new_parser, new_result, report
from benchmarks.tables import loading_table
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from utils.device import resolve_compute


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


def main() -> int:
    parser = new_parser(__doc__)
    parser.add_argument("--dataset_dir", required=True, help="folder of photographs")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=150, help="of 4 photographs, timed a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    rates = {
        str(workers): photographs_a_second(args.dataset_dir, args.image_size, workers, args.batches, args.rounds)
        for workers in (0, 1, 2)
    }
    result = {
        **new_result("loading", resolve_compute("cpu", "auto")),
        "image_size": args.image_size,
        "photographs_per_second": rates,
    }
    return report(result, loading_table, args.json)


if __name__ == "__main__":
    sys.exit(main())
