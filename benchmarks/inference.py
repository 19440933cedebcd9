"""Time one picture: ours and ONNX Runtime, beside plain PyTorch.

    python -m benchmarks.inference

Plain PyTorch is the first model's forward pass by torch's own layers: eager, float32, NCHW.
"""

import contextlib
import copy
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch

from benchmarks.common import ComputeConfig, peak_memory, report
from config import setting
from inference.options import StyleOptions
from inference.stylizer import Stylizer
from models.checkpoints import load_checkpoint
from utils.device import resolve_compute
from utils.measuring import time_in_turns
from utils.settings import run_command


@dataclass(frozen=True)
class InferenceTimingConfig(ComputeConfig):
    """Settings of ``benchmarks.inference``."""

    model_path: tuple[str, ...] = setting(
        ("starry_night", "fast/starry_night"), "the models; plain PyTorch runs the first of them", metavar="MODEL"
    )
    rounds: int = setting(7, "timed calls of each variant", minimum=1)
    sizes: tuple[int, ...] = setting((256, 512, 1024), "sides of the pictures", minimum=16)


def main(args: InferenceTimingConfig) -> None:
    compute = resolve_compute(args.device, args.precision)
    networks = {path: load_checkpoint(path).network for path in args.model_path}
    plain = copy.deepcopy(networks[args.model_path[0]]).to(compute.device)
    ours = {path: Stylizer(network, compute=compute) for path, network in networks.items()}
    exported = {}
    if compute.device.type == "cpu":
        with contextlib.suppress(ImportError):  # of onnx or onnxruntime
            from export.onnx import runner
            from export.onnx_graph import to_onnx

            exported = {path: runner(to_onnx(network)) for path, network in networks.items()}
    rows = []
    for size in args.sizes:
        image = torch.rand(1, 3, size, size, device=compute.device) * 255
        calls = {"plain": partial(torch.inference_mode()(plain.forward), image)}
        for path, stylizer in ours.items():
            calls[path] = partial(stylizer.stylize_tensor, image, StyleOptions(stroke_scale=1))
            if path in exported:
                calls[f"onnx {path}"] = partial(exported[path], image)
        timed = time_in_turns(calls, compute.device, args.rounds, pause=0.1)
        seconds = {name: median(values) for name, values in timed.items()}
        for path in ours:
            own, others = seconds[path], (seconds["plain"], seconds.get(f"onnx {path}"))
            times = ["-" if time is None else f"{time:.3g}" for time in (*others, own)]
            ratios = ["-" if time is None else f"{time / own:.1f}" for time in others]
            rows.append([f"{size}²", path, *times, *ratios, peak_memory(calls[path], compute.device)])
    header = [
        "picture", "model", "plain PyTorch, s", "ONNX Runtime, s", "ours, s", "plain : ours", "ONNX Runtime : ours",
        "ours, GiB",
    ]  # fmt: skip
    report(compute, header, rows)


if __name__ == "__main__":
    run_command(main, InferenceTimingConfig, __doc__)
