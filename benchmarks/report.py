"""Tables and a plot out of the results of the other benchmarks.

    python -m benchmarks.report --picture docs/performance.png

Reads every JSON file in benchmarks/results/ and prints the tables of docs/performance.md, a machine beside the other.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.common import RESULTS, gibibytes, table


def training_table(results: list[dict]) -> str:
    """A row a machine and variant: seconds a step, speed against the baseline, memory, and arithmetic."""
    rows = []
    for r in results:
        seconds = r["median_seconds_per_step"]
        for name in ("plain", "ours", "compiled"):
            if name not in seconds:
                continue
            rate = r["convolution_flop_per_step"] / seconds[name]
            rows.append(
                [
                    r["machine"]["device"] if name == "plain" else "",
                    _VARIANTS[name],
                    f"{seconds[name]:.3g}",
                    f"{seconds['plain'] / seconds[name]:.2f}",
                    gibibytes(r["peak_memory_bytes"][name]),
                    f"{rate / 1e12:.2f}",
                    "" if name == "plain" else f"{rate / r['convolution_rate']:.0%}",
                    "" if name == "plain" else f"{r['seconds_of_convolutions_alone'] / seconds[name]:.0%}",
                ]
            )
    header = [
        "machine", "step", "s", "speed", "peak memory, GiB", "TFLOP/s", "of its fastest convolution",
        "its convolutions alone",
    ]  # fmt: skip
    return table(header, rows)


_VARIANTS = {"plain": "plain, float32", "ours": "ours", "compiled": "ours, torch.compile"}


def inference_table(results: list[dict]) -> str:
    """A row a machine and size: seconds a picture, ratios, and how time and memory grow."""
    rows = []
    for r in results:
        for number, (size, timing) in enumerate(r["sizes"].items()):
            seconds = timing["median_seconds"]
            ours = seconds["ours"]
            rows.append(
                [
                    "" if number else r["machine"]["device"],
                    f"{size}²",
                    *(f"{seconds[name]:.3g}" if name in seconds else "-" for name in ("plain", "onnxruntime", "ours")),
                    *(f"{seconds[name] / ours:.1f}" if name in seconds else "-" for name in ("plain", "onnxruntime")),
                    f"{ours / int(size) ** 2 * 1e9:.0f}",
                    gibibytes(timing["peak_memory_bytes"]["ours"]),
                ]
            )
    header = [
        "machine", "picture", "plain, s", "ONNX Runtime, s", "ours, s", "plain : ours", "ONNX Runtime : ours",
        "ours, ns a pixel", "ours, GiB",
    ]  # fmt: skip
    return table(header, rows)


def plot(training: list[dict], inference: list[dict], path: Path) -> None:
    """Bars of speed against the plain baseline, one for each measurement."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [(f"training step\n{r['device_type']}", r["speedup"]) for r in training]
    for r in inference:
        for size, timing in r["sizes"].items():
            seconds = timing["median_seconds"]
            if "plain" not in seconds:
                continue
            bars.append((f"{size}²\n{r['device_type']}", seconds["plain"] / seconds["ours"]))
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.bar([name for name, _ in bars], [value for _, value in bars])
    axes.bar_label(drawn, fmt="%.1f")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("speed, plain baseline = 1")
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default=str(RESULTS), help="folder of JSON files")
    parser.add_argument("--picture", help="PNG file for the plot; needs matplotlib")
    args = parser.parse_args()
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(args.results).glob("*.json"))]
    if not results:
        print(f"error: {args.results} holds no results: run benchmarks.training first", file=sys.stderr)
        return 2
    training = [r for r in results if r["benchmark"] == "training"]
    inference = [r for r in results if r["benchmark"] == "inference"]
    print("### Training\n\n" + training_table(training) + "\n\n### Inference\n\n" + inference_table(inference))
    if args.picture:
        plot(training, inference, Path(args.picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
