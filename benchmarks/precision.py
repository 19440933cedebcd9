"""What reduced precision changes: losses of a training of the same seed, and stylised pictures of the same weights.

    python -m benchmarks.precision --vgg_weights vgg19.pth --dataset_dir photos --style_image painting.jpg

Prints a table and writes JSON. Losses are compared as means over windows of steps. Trainings drift apart whatever the
arithmetic, because each step makes rounding larger: so float32 is also compared with itself, at a learning rate that is
larger by a hundred-thousandth.
"""

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from begin_training import train
from benchmarks.common import BenchmarkConfig, new_result, report
from benchmarks.tables import precision_tables
from config import DEVICE_HELP, TrainingConfig, setting
from data.dataset import list_photographs
from imaging.reading import read_image
from imaging.tensors import picture_batch
from inference.stylizer import Stylizer
from utils.device import resolve_compute
from utils.labels import file_labels
from utils.settings import parse_settings, run_command

WINDOWS = 6


def losses_of_training(config: TrainingConfig) -> list[dict[str, float]]:
    """Content and style losses of a training by their formulas, means over :data:`WINDOWS` windows."""
    train(config)
    metrics = Path(config.output_dir, f"{Path(config.style_image[0]).stem}_training", "metrics.jsonl")
    return [json.loads(line)["raw"] for line in metrics.read_text(encoding="utf-8").splitlines()]


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in [0, 255], decibels."""
    return 10 * math.log10(255**2 / (one - other).square().mean().item())


@dataclass(frozen=True)
class PrecisionConfig(BenchmarkConfig):
    """Settings of ``benchmarks.precision``."""

    vgg_weights: str | None = setting(None, "VGG-19 weights, as of begin_training.py", metavar="FILE")
    dataset_dir: str = setting("photos", "folder of photographs", metavar="FOLDER")
    style_image: str = setting("styles/swirls.jpg", "painting to train on", metavar="PICTURE")
    models: tuple[str, ...] = setting(
        ("checkpoints/starry_night.pth", "checkpoints/wave.pth"), "models to stylise with", metavar="MODEL"
    )
    pictures: int = setting(20, "photographs to stylise", minimum=1)
    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE")
    steps: int = setting(300, "of each training", minimum=1)
    image_size: int = setting(128, "side of the training crops", minimum=32)


def main() -> int:
    args, _ = parse_settings(PrecisionConfig, __doc__)

    compute = resolve_compute(args.device, "auto")
    reduced = str(compute.dtype).removeprefix("torch.")
    runs = {"float32": ("float32", 1.0), "float32 again": ("float32", 1 + 1e-5), reduced: (reduced, 1.0)}
    losses = {}
    for name, (precision, factor) in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            config = TrainingConfig(
                style_image=(args.style_image,), dataset_dir=args.dataset_dir, vgg_weights=args.vgg_weights,
                output_dir=folder, image_size=args.image_size, total_steps=args.steps, num_epochs=10**6,
                log_every_steps=max(1, args.steps // WINDOWS), monitor_every_steps=0, checkpoint_every_steps=0,
                device=args.device, precision=precision, lr=1e-3 * factor,
            )  # fmt: skip
            losses[name] = losses_of_training(config)
    differences = {
        f"{name}, {term}": [b[term] / a[term] - 1 for a, b in zip(losses["float32"], losses[name])]
        for term in ("content", "style")
        for name in ("float32 again", reduced)
    }
    paths = list_photographs(args.dataset_dir)[: args.pictures]
    decibels = {}
    for label, model in zip(file_labels(args.models), args.models):
        full, half = (Stylizer(model, args.device, precision) for precision in ("float32", reduced))
        images = (picture_batch(read_image(path)) for path in paths)
        values = [psnr(full.stylize_tensor(image), half.stylize_tensor(image)) for image in images]
        decibels[label] = {"lowest": min(values), "mean": sum(values) / len(values)}
    result = {
        **new_result("precision", compute),
        "steps": args.steps,
        "image_size": args.image_size,
        "losses": losses,
        "relative_difference": differences,
        "psnr": decibels,
    }
    return report(result, precision_tables, args.json)


if __name__ == "__main__":
    run_command(main)
