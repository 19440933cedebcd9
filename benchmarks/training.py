"""Time the training step against the plain baseline.

    python -m benchmarks.training --vgg_weights vgg19.pth

Prints a table and writes JSON. Weights may be left out: random ones take the same time.
"""

import argparse
import sys
from types import SimpleNamespace

import torch
from torch.utils.flop_counter import FlopCounterMode

from begin_training import training_step
from benchmarks.common import convolution_rate, describe_machine, median, table, time_in_turns, write_result
from benchmarks.plain import PlainTraining
from losses.perceptual import ContentCeiling, LossScales, PerceptualLoss, style_grams
from models.transformer_net import TransformerNet
from models.vgg19 import VGG19
from utils.device import keep_freed_memory, resolve_compute
from utils.loss_network import load_vgg19


def build_run(vgg_state: dict, style: torch.Tensor, compute, image_size: int) -> SimpleNamespace:
    """What ``training_step`` needs, as ``utils.training_run`` builds it."""
    device = compute.device
    vgg = VGG19()
    vgg.load_state_dict(vgg_state)
    vgg.features.to(compute.dtype)
    vgg.to(device, memory_format=torch.channels_last)
    grams = style_grams(vgg, style.to(device))
    scales = LossScales(style=tuple(len(grams) * g.square().sum().item() for g in grams))
    criterion = PerceptualLoss(vgg, grams, image_size, 1.0, 60.0, 0.05, scales, ContentCeiling(1.0, 40000)).to(device)
    network = TransformerNet().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-5, fused=True)
    return SimpleNamespace(
        compute=compute,
        forward=network,
        criterion=criterion,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40000),
        scaler=torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--vgg_weights", help="torchvision vgg19 state dict; left out: random weights")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="file for the result (default: benchmarks/results/training_DEVICE.json)")
    args = parser.parse_args()

    compute = resolve_compute(args.device, args.precision)
    device = compute.device
    if device.type == "cpu":
        keep_freed_memory()  # for both: the baseline gains from it as well
    torch.manual_seed(0)
    vgg = load_vgg19(args.vgg_weights, device, torch.float32) if args.vgg_weights else VGG19()
    state = vgg.state_dict()
    style = torch.rand(1, 3, args.image_size, args.image_size) * 255
    photographs = torch.rand(args.batch_size, 3, args.image_size, args.image_size, device=device) * 255
    ours, plain = build_run(state, style, compute, args.image_size), PlainTraining(state, style, device)
    channels_last = photographs.contiguous(memory_format=torch.channels_last)

    with FlopCounterMode(display=False) as counter:
        training_step(ours, channels_last)
    flop = counter.get_total_flops()
    seconds = time_in_turns(
        {"plain": lambda: plain.step(photographs), "ours": lambda: training_step(ours, channels_last)},
        device,
        args.rounds,
    )
    rate = convolution_rate(compute)
    medians = {name: median(values) for name, values in seconds.items()}
    result = {
        "benchmark": "training",
        "device_type": device.type,
        "machine": describe_machine(compute),
        "batch_size": args.batch_size,
        "image_size": args.image_size,
        "seconds_per_step": seconds,
        "median_seconds_per_step": medians,
        "speedup": medians["plain"] / medians["ours"],
        "flop_per_step": flop,
        "flop_per_second": flop / medians["ours"],
        "convolution_rate": rate,
        "share_of_convolution_rate": flop / medians["ours"] / rate,
    }
    if device.type == "cuda":
        result["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    print(f"{compute.describe()}, batch {args.batch_size}, {args.image_size} x {args.image_size}")
    rows = [
        ["plain baseline, float32", f"{medians['plain']:.4f}", "1.00"],
        [f"ours, {str(compute.dtype).removeprefix('torch.')}", f"{medians['ours']:.4f}", f"{result['speedup']:.2f}"],
    ]
    print(table(["training step", "seconds", "speed"], rows))
    share = f"{result['share_of_convolution_rate']:.0%} of the {rate / 1e9:.0f} of plain convolutions"
    print(f"{flop / 1e9:.0f} GFLOP a step, {result['flop_per_second'] / 1e9:.0f} GFLOP/s, {share}")
    print(f"Wrote {write_result('training', result, args.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
