"""Time the training step against the plain baseline.

    python -m benchmarks.training --vgg_weights vgg19.pth

Prints a table and writes JSON. Weights may be left out: random ones take the same time.
"""

import sys
from statistics import median
from types import SimpleNamespace

import torch

from begin_training import training_step
from benchmarks.common import (
    add_timing_flags,
    convolution_rate,
    gibibytes,
    new_parser,
    new_result,
    peak_memory,
    write_result,
)
from benchmarks.convolutions import Convolutions
from benchmarks.plain import PlainTraining
from losses.content_ceiling import ContentCeiling
from losses.perceptual import LossScales, PerceptualLoss, style_grams
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from models.vgg19 import VGG19
from training.compilation import NotCompiled, compile_step
from utils.device import keep_freed_memory, resolve_compute
from utils.measuring import table, time_in_turns
from utils.processes import Processes


def build_run(vgg_state: dict, style: torch.Tensor, compute, image_size: int) -> SimpleNamespace:
    """What ``training_step`` needs, as ``training.run`` builds it."""
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
        network=network,
        forward=network,
        processes=Processes(),
        criterion=criterion,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40000),
        scaler=torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16),
    )


def main() -> int:
    parser = new_parser(__doc__)
    add_timing_flags(parser, rounds=5)
    parser.add_argument("--vgg_weights", help="torchvision vgg19 state dict; left out: random weights")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--compile", action="store_true", help="also under torch.compile, which takes a minute")
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

    with Convolutions() as convolutions:
        training_step(ours, channels_last)
    calls = {"plain": lambda: plain.step(photographs), "ours": lambda: training_step(ours, channels_last)}
    if args.compile:
        compiled = build_run(state, style, compute, args.image_size)
        try:
            compiled.forward, compiled.criterion = compile_step(
                compiled.forward, compiled.criterion, channels_last, compute.autocast()
            )
            calls["compiled"] = lambda: training_step(compiled, channels_last)
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
    precision = str(compute.dtype).removeprefix("torch.")
    names = {
        "plain": "plain baseline, float32",
        "ours": f"ours, {precision}",
        "compiled": f"ours, {precision}, torch.compile",
    }
    rows = [
        [names[name], f"{value:.4f}", f"{medians['plain'] / value:.2f}", gibibytes(memory[name])]
        for name, value in medians.items()
    ]
    print(f"{compute.describe()}, batch {args.batch_size}, {args.image_size} x {args.image_size}")
    print(table(["training step", "seconds", "speed", "peak memory, GiB"], rows))
    print(
        f"{flop / 1e9:.0f} GFLOP of convolutions a step: {flop / best / 1e9:.0f} GFLOP/s, {flop / best / rate:.0%} of "
        f"the {rate / 1e9:.0f} of this machine's fastest 3x3 convolution; the step's own convolutions, each by itself, "
        f"take {alone:.3f} s, {alone / best:.0%} of the step"
    )
    print(f"Wrote {write_result(result, args.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
