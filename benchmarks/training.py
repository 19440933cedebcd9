"""Time the training step with the default settings, beside plain PyTorch.

    python -m benchmarks.training --vgg_weights vgg19.pth

Plain PyTorch is the same network, objective and optimiser by torch's own layers: eager, float32, NCHW, every gradient
left to autograd. Without weights for the loss network, random ones are used, which take the same time.
"""

import contextlib
import dataclasses
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from begin_training import training_step
from benchmarks.common import ComputeConfig, peak_memory, report, training_inputs
from config import TrainingConfig, setting
from training.build import build_state
from utils.measuring import time_in_turns
from utils.settings import run_command


@dataclass(frozen=True)
class TrainingTimingConfig(ComputeConfig):
    """Settings of ``benchmarks.training``."""

    rounds: int = setting(5, "timed steps of each variant", minimum=1)
    vgg_weights: str | None = setting(None, "torchvision vgg19 state dict; left out, random weights", metavar="FILE")
    batch_size: int = setting(TrainingConfig.batch_size, "photographs a step", minimum=1)
    image_size: int = setting(TrainingConfig.image_size, "side of the training crops", minimum=32)
    width: float = setting(TrainingConfig.width, "channels of the network, in those of the paper", minimum=0.05)
    compile: bool = setting(False, "also under torch.compile, which takes some minutes")


def _gram_matrix(features: torch.Tensor) -> torch.Tensor:
    psi = features.flatten(2)
    return psi @ psi.transpose(1, 2) / features[0].numel()


@contextlib.contextmanager
def plain():
    """Within this block, networks, layout of memory and Gram matrices are those of plain PyTorch."""
    with contextlib.ExitStack() as patches:
        for module in ("training.build", "models.pretrained"):
            patches.enter_context(mock.patch(f"{module}.accelerate", lambda network: network))
        for module in ("training.build", "models.pretrained", "training.state"):
            patches.enter_context(mock.patch(f"{module}.memory_format", lambda device: torch.contiguous_format))
        patches.enter_context(mock.patch("losses.terms.gram_matrix", _gram_matrix))
        yield


def main(args: TrainingTimingConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            **training_inputs(Path(folder), args.batch_size, 2 * args.image_size, args.vgg_weights),
            image_size=args.image_size, batch_size=args.batch_size, width=args.width,
            device=args.device, precision=args.precision,
        )  # fmt: skip
        ours = build_state(config)
        compiled = build_state(config) if args.compile else None
        with plain():
            theirs = build_state(dataclasses.replace(config, precision="float32"))
    photographs = next(ours.calibration_batches())
    calls = {
        "plain PyTorch, float32": partial(plain()(training_step), theirs, photographs.contiguous()),
        "ours": partial(training_step, ours, photographs),
    }
    if compiled is not None:
        compiled.compile((photographs,), None)
        calls["ours, torch.compile"] = partial(training_step, compiled, photographs)
    device = ours.compute.device
    seconds = {name: median(values) for name, values in time_in_turns(calls, device, args.rounds).items()}
    base = seconds["plain PyTorch, float32"]
    rows = [
        [name, f"{value:.3g}", f"{base / value:.2f}", peak_memory(calls[name], device)]
        for name, value in seconds.items()
    ]
    print(f"Batch {args.batch_size}, {args.image_size} x {args.image_size}, width {args.width:g}")
    report(ours.compute, ["step", "s", "plain : it", "peak memory, GiB"], rows)


if __name__ == "__main__":
    run_command(main, TrainingTimingConfig, __doc__)
