"""Time stylisation against the plain baseline, and against ONNX Runtime where it is installed.

    python -m benchmarks.inference

Prints a table and writes JSON.
"""

import argparse
import io
import sys

import torch

from benchmarks.common import describe_machine, median, table, time_in_turns, write_result
from models.transformer_net import TransformerNet
from utils.device import keep_freed_memory, resolve_compute
from utils.stylizer import Stylizer


def onnx_session(network: TransformerNet, image: torch.Tensor):
    """The network as an ONNX Runtime session on the CPU; ``None`` where onnx or onnxruntime is missing."""
    try:
        import onnx  # noqa: F401  torch's exporter needs it
        import onnxruntime
    except ImportError:
        return None
    buffer = io.BytesIO()
    torch.onnx.export(network, (image,), buffer, input_names=["image"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", help="file for the result (default: benchmarks/results/inference_DEVICE.json)")
    args = parser.parse_args()

    compute = resolve_compute(args.device, args.precision)
    device = compute.device
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(0)
    network = TransformerNet().eval()
    stylizer = Stylizer(network, compute=compute)
    plain = TransformerNet().eval().to(device)
    plain.load_state_dict(network.state_dict())

    result = {
        "benchmark": "inference",
        "device_type": device.type,
        "machine": describe_machine(compute),
        "sizes": {},
    }
    rows = []
    for size in args.sizes:
        image = torch.rand(1, 3, size, size, device=device) * 255
        calls = {
            "plain": torch.inference_mode()(lambda image=image: plain(image)),
            "ours": lambda image=image: stylizer.stylise_tensor(image),
        }
        session = onnx_session(network, image) if device.type == "cpu" else None
        if session is not None:
            array = image.numpy()
            calls["onnxruntime"] = lambda session=session, array=array: session.run(None, {"image": array})
        seconds = time_in_turns(calls, device, args.rounds)
        medians = {name: median(values) for name, values in seconds.items()}
        result["sizes"][str(size)] = {"seconds": seconds, "median_seconds": medians}
        onnx = f"{medians['onnxruntime']:.4f}" if session is not None else "-"
        ratio = f"{medians['plain'] / medians['ours']:.2f}"
        onnx_ratio = f"{medians['onnxruntime'] / medians['ours']:.2f}" if session is not None else "-"
        rows.append([f"{size} x {size}", f"{medians['plain']:.4f}", onnx, f"{medians['ours']:.4f}", ratio, onnx_ratio])
    print(compute.describe())
    header = ["one image", "plain, s", "ONNX Runtime, s", "ours, s", "plain : ours", "ONNX Runtime : ours"]
    print(table(header, rows))
    print(f"Wrote {write_result('inference', result, args.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
