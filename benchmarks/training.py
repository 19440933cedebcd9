"""Time the training step against the plain baseline.

    python -m benchmarks.training --vgg_weights vgg19.pth

Prints a table and writes JSON. Weights may be left out: random ones take the same time.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from begin_training import training_step
from benchmarks.common import ComputeConfig, new_result, peak_memory, report, training_inputs
from benchmarks.convolutions import Convolutions, convolution_rate
from benchmarks.plain import PlainTraining
from benchmarks.tables import training_table
from config import TrainingConfig, setting
from imaging.tensors import picture_batch
from models.pretrained import load_vgg19
from training.build import build_state
from training.compilation import NotCompiled, compile_step
from utils.measuring import time_in_turns
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class TrainingTimingConfig(ComputeConfig):
    """Settings of ``benchmarks.training``."""

    rounds: int = setting(5, "timed steps of each variant", minimum=1)
    vgg_weights: str | None = setting(None, "torchvision vgg19 state dict; left out, random weights", metavar="FILE")
    batch_size: int = setting(4, "photographs a step", minimum=1)
    image_size: int = setting(256, "side of the training crops", minimum=32)
    compile: bool = setting(False, "also under torch.compile, which takes a minute")


def main() -> int:
    args, _ = parse_settings(TrainingTimingConfig, __doc__)

    with tempfile.TemporaryDirectory() as folder:
        # As the baseline: batch norm, Adam and the paper's terms alone.
        config = TrainingConfig(
            **training_inputs(Path(folder), args.batch_size + 1, 2 * args.image_size, args.vgg_weights),
            image_size=args.image_size, batch_size=args.batch_size, device=args.device, precision=args.precision,
            norm="batch", optimizer="adam", content_layer="relu4_2", checkerboard_weight=0.0,
            style_layer_weights=(1.0,) * 5,
        )  # fmt: skip
        ours = build_state(config)
        compiled = build_state(config) if args.compile else None
        compute, device = ours.compute, ours.compute.device
        vgg = load_vgg19(config.vgg_weights, device, torch.float32)
    photographs = next(ours.calibration_batches())
    style = picture_batch(ours.style_images[0], args.image_size)
    plain = PlainTraining(vgg.state_dict(), style, device)
    plain_photographs = photographs.contiguous()

    with Convolutions() as convolutions:
        training_step(ours, photographs)
    calls = {"plain": lambda: plain.step(plain_photographs), "ours": lambda: training_step(ours, photographs)}
    if compiled is not None:
        try:
            compiled.forward, compiled.criterion = compile_step(
                compiled.network, compiled.objective, (photographs,), None, compute.autocast()
            )
            calls["compiled"] = lambda: training_step(compiled, photographs)
        except NotCompiled as error:
            print(f"torch.compile does not work here: {error}", file=sys.stderr)
    seconds = time_in_turns(calls, device, args.rounds)
    medians = {name: median(values) for name, values in seconds.items()}
    memory = {name: peak_memory(call, device) for name, call in calls.items()}
    flop, rate, alone = convolutions.flop(), convolution_rate(compute), convolutions.seconds_alone(device)
    best = min(medians["ours"], medians.get("compiled", medians["ours"]))
    result = {
        **new_result("training", compute),
        "batch_size": args.batch_size,
        "image_size": args.image_size,
        "seconds_per_step": seconds,
        "median_seconds_per_step": medians,
        "speedup": medians["plain"] / best,
        "peak_memory_bytes": memory,
        "convolution_flop_per_step": flop,
        "flop_per_second": flop / best,
        "convolution_rate": rate,
        "share_of_convolution_rate": flop / best / rate,
        "seconds_of_convolutions_alone": alone,
        "share_of_own_convolutions": alone / best,
    }
    print(
        f"Batch {args.batch_size}, {args.image_size} x {args.image_size}; {flop / 1e9:.0f} GFLOP of convolutions a step"
    )
    return report(result, training_table, args.json)


if __name__ == "__main__":
    run_command(main)
