"""Tables and a plot out of the results of the other benchmarks.

    python -m benchmarks.report --picture docs/performance.png

Reads every JSON file in benchmarks/results/ and prints the tables of docs/performance.md, a machine beside the other.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.common import RESULTS, table


def training_table(results: list[dict]) -> str:
    """A row a machine: seconds a step, speed against the baseline, arithmetic rate."""
    rows = [
        [
            r["machine"]["device"],
            f"{r['batch_size']} x {r['image_size']}²",
            f"{r['median_seconds_per_step']['plain']:.4g}",
            f"{r['median_seconds_per_step']['ours']:.4g}",
            f"{r['speedup']:.1f}",
            f"{r['flop_per_second'] / 1e12:.3g}",
            f"{r['share_of_convolution_rate']:.0%}",
        ]
        for r in results
    ]
    header = ["machine", "batch", "plain, s a step", "ours, s a step", "ratio", "TFLOP/s", "of its convolution rate"]
    return table(header, rows)


def inference_table(results: list[dict]) -> str:
    """A row a machine and size: seconds an image, and ratios."""
    rows = []
    for r in results:
        for size, timing in r["sizes"].items():
            seconds = timing["median_seconds"]
            onnx = seconds.get("onnxruntime")
            rows.append(
                [
                    r["machine"]["device"],
                    f"{size}²",
                    f"{seconds['plain']:.4g}",
                    f"{onnx:.4g}" if onnx else "-",
                    f"{seconds['ours']:.4g}",
                    f"{seconds['plain'] / seconds['ours']:.1f}",
                    f"{onnx / seconds['ours']:.1f}" if onnx else "-",
                ]
            )
    header = ["machine", "picture", "plain, s", "ONNX Runtime, s", "ours, s", "plain : ours", "ONNX Runtime : ours"]
    return table(header, rows)


def plot(training: list[dict], inference: list[dict], path: Path) -> None:
    """Bars of speed against the plain baseline, one for each measurement."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [(f"training step\n{r['device_type']}", r["speedup"]) for r in training]
    for r in inference:
        for size, timing in r["sizes"].items():
            seconds = timing["median_seconds"]
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
