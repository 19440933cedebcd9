"""Time the training step with the default settings, beside plain PyTorch.

    python -m benchmarks.training --vgg_weights vgg19.pth

Plain PyTorch is the same network, objective and optimiser by torch's own layers: eager, float32, NCHW, every gradient
left to autograd. Without weights for the loss network, random ones are used, which take the same time.
"""

import copy
import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from begin_training import training_step
from benchmarks.common import ComputeConfig, peak_memory, report, training_inputs
from config import TrainingConfig, setting
from imaging.tensors import picture_batch, whole_batch
from losses import functional
from losses.perceptual import PerceptualLoss
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from models.vgg19 import VGG19
from training.build import build_state
from training.compilation import compile_step
from training.resume import cosine_schedule
from training.soap import SOAP
from training.state import TrainingState
from utils.device import Compute
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


def plain_state(ours: TrainingState) -> TrainingState:
    """The same training without anything that makes ours fast; call its steps under :func:`plain_gram`."""
    config, device = ours.config, ours.compute.device
    network = TransformerNet(**ours.network.architecture()).to(device).train()
    network.load_state_dict(ours.network.state_dict())
    vgg = VGG19().to(device)
    vgg.load_state_dict(load_vgg19(config.vgg_weights, device, torch.float32).state_dict())
    (image,), ceiling = ours.style_images, copy.deepcopy(ours.objective.ceiling)
    painting, whole = (batch.to(device) for batch in (picture_batch(image, config.image_size), whole_batch(image)))
    objective = PerceptualLoss(config, vgg, [painting], config.image_size, ceiling, [whole])
    objective.load_state_dict(ours.objective.state_dict())
    optimizer = SOAP(network.parameters(), config.lr, weight_decay=config.weight_decay)
    return dataclasses.replace(
        ours, compute=Compute(device, torch.float32), network=network, forward=network, objective=objective,
        criterion=objective, optimizer=optimizer, scheduler=cosine_schedule(optimizer, config.lr, ours.total_steps),
        scaler=torch.amp.GradScaler(device.type, enabled=False),
    )  # fmt: skip


def plain_gram():
    """Within this block the style term takes its Gram matrices by their formula."""
    return mock.patch("losses.terms.gram_matrix", functional.gram_matrix)


def main(args: TrainingTimingConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            **training_inputs(Path(folder), args.batch_size, 2 * args.image_size, args.vgg_weights),
            image_size=args.image_size, batch_size=args.batch_size, width=args.width,
            device=args.device, precision=args.precision,
        )  # fmt: skip
        ours = build_state(config)
        compiled = build_state(config) if args.compile else None
        plain = plain_state(ours)
    photographs = next(ours.calibration_batches())
    plain_photographs = photographs.contiguous()

    def plain_step():
        with plain_gram():
            training_step(plain, plain_photographs)

    calls = {"plain PyTorch, float32": plain_step, "ours": lambda: training_step(ours, photographs)}
    if compiled is not None:
        compile_step(compiled, (photographs,), None)
        calls["ours, torch.compile"] = lambda: training_step(compiled, photographs)
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
