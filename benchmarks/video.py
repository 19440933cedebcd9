"""Time films from file to file against the network alone, and see whether memory grows with their length.

    python -m benchmarks.video

The films, H.264, pan over the sample photograph. The network gets the same frames alone, in turns with the film.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.common import ComputeConfig, peak_memory, report, sample
from config import setting
from imaging.film_writing import FilmWriter
from imaging.films import FilmReader, Frame, as_time
from inference.repaint import repaint_film, repainted
from inference.stylizer import Stylizer
from utils.device import resolve_compute
from utils.measuring import time_in_turns
from utils.settings import run_command


def draw_film(path: Path, size: tuple[int, int], frames: int) -> None:
    """A film that pans over a photograph."""
    width, height = size
    scene = np.asarray(sample(width + 64, height + 64))
    with FilmWriter(path, ".mp4", size, as_time(25), as_time(1 / 25)) as film:
        for number in range(frames):
            left = top = number % 64
            film.write(Frame(scene[top : top + height, left : left + width], as_time(number / 25), as_time(1 / 25)))


@dataclass(frozen=True)
class VideoConfig(ComputeConfig):
    """Settings of ``benchmarks.video``."""

    rounds: int = setting(3, "timed calls of each variant", minimum=1)
    model_path: str = setting("films/wave", "style model", metavar="MODEL")
    sizes: tuple[str, ...] = setting(("640x360", "1280x720"), "of the films", metavar="WIDTHxHEIGHT")
    frames: int = setting(24, "of each film", minimum=1)


def main(args: VideoConfig) -> None:
    compute = resolve_compute(args.device, args.precision)
    stylizer, rows = Stylizer(args.model_path, compute=compute), []
    with tempfile.TemporaryDirectory() as folder:
        film, longer, target = (Path(folder, f"{name}.mp4") for name in ("film", "longer", "result"))
        for size in args.sizes:
            for path, frames in ((film, args.frames), (longer, 4 * args.frames)):
                draw_film(path, tuple(map(int, size.split("x"))), frames)
            with FilmReader(film) as reader:
                pictures = [frame.pixels for frame in reader.frames()]
            calls = {
                "network": lambda pictures=pictures: [repainted(stylizer, pixels) for pixels in pictures],
                "film": partial(repaint_film, stylizer, film, target),
            }
            timed = time_in_turns(calls, compute.device, args.rounds, warmup=1, pause=0.1)
            network, film_rate = (args.frames / median(timed[name]) for name in ("network", "film"))
            both = [partial(repaint_film, stylizer, path, target) for path in (film, longer)]
            memory = [peak_memory(call, torch.device("cpu")) for call in both]
            rates = f"{network:.3g}", f"{film_rate:.3g}", f"{film_rate / network:.0%}"
            rows.append([size.replace("x", " x "), *rates, *memory])
    header = [
        "film", "network alone, frames a second", "from file to file", "of the network's", "memory, GiB",
        "four times as long, GiB",
    ]  # fmt: skip
    report(compute, header, rows)


if __name__ == "__main__":
    run_command(main, VideoConfig, __doc__)
