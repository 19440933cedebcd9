"""Time stylisation against the plain baseline, and against ONNX Runtime where it is installed.

    python -m benchmarks.inference

Prints a table and writes JSON. The baseline is the same model's forward pass by torch's own layers, eager, float32,
NCHW. The largest sizes are timed for ours alone: how time and memory grow.
"""

import copy
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.common import ComputeConfig, new_result, peak_memory, report
from benchmarks.tables import inference_table
from config import setting
from inference.options import StyleOptions
from inference.stylizer import Stylizer
from models.checkpoints import load_checkpoint
from utils.device import keep_freed_memory, resolve_compute
from utils.measuring import time_in_turns
from utils.settings import parse_settings, run_command


def onnx_network(network: torch.nn.Module):
    """What ``export.onnx`` writes, run by ONNX Runtime on the CPU; ``None`` where onnx or onnxruntime is missing."""
    try:
        from export.onnx import runner
        from export.onnx_graph import to_onnx

        return runner(to_onnx(network))
    except ImportError:
        return None


@dataclass(frozen=True)
class InferenceTimingConfig(ComputeConfig):
    """Settings of ``benchmarks.inference``."""

    model_path: str = setting("starry_night", "the model", metavar="MODEL")
    rounds: int = setting(7, "timed calls of each variant", minimum=1)
    sizes: tuple[int, ...] = setting((256, 512, 1024), "sides of the pictures", minimum=16)
    own_sizes: tuple[int, ...] = setting((2048, 4096), "sides that are timed for ours alone", minimum=16)


def main() -> int:
    args, _ = parse_settings(InferenceTimingConfig, __doc__)

    compute = resolve_compute(args.device, args.precision)
    device = compute.device
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(0)
    network = load_checkpoint(args.model_path).network
    stylizer = Stylizer(network, compute=compute)
    plain = copy.deepcopy(network).to(device)
    exported = onnx_network(network) if device.type == "cpu" else None

    result = {**new_result("inference", compute), "sizes": {}}
    for size in sorted({*args.sizes, *args.own_sizes}):
        image = torch.rand(1, 3, size, size, device=device) * 255
        calls = {"ours": lambda image=image: stylizer.stylize_tensor(image, StyleOptions(stroke_scale=1))}
        if size in args.sizes:
            calls["plain"] = torch.inference_mode()(lambda image=image: plain(image))
            if exported is not None:
                calls["onnxruntime"] = lambda image=image: exported(image)
        seconds = time_in_turns(calls, device, args.rounds, pause=0.1)
        medians = {name: median(values) for name, values in seconds.items()}
        memory = {name: peak_memory(call, device) for name, call in calls.items()}
        result["sizes"][str(size)] = {"seconds": seconds, "median_seconds": medians, "peak_memory_bytes": memory}
    return report(result, inference_table, args.json)


if __name__ == "__main__":
    run_command(main)
