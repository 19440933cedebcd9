"""Tables and a plot out of the results of the other benchmarks.

    python -m benchmarks.tables --picture performance.png

Reads every JSON file in benchmarks/results/ and prints a table of each, a machine beside the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import RESULTS, gibibytes
from config import setting
from utils.errors import UserError
from utils.measuring import table
from utils.settings import parse_settings, run_command


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


def loading_table(results: list[dict]) -> str:
    """A row a machine: photographs a second by the number of workers."""
    rows = [
        [r["machine"]["device"], *(f"{rate:.0f}" for rate in r["photographs_per_second"].values())] for r in results
    ]
    return table(["photographs a second", "no worker", "1 worker", "2 workers"], rows)


def precision_tables(results: list[dict]) -> str:
    """Losses by windows of steps, then pictures."""
    tables = []
    for r in results:
        differences = r["relative_difference"]
        windows = len(next(iter(differences.values())))
        each = r["steps"] // windows
        rows = [
            [f"{i * each + 1} to {(i + 1) * each}", *(f"{values[i]:+.2%}" for values in differences.values())]
            for i in range(windows)
        ]
        tables.append(table(["difference from float32, steps", *differences], rows))
        rows = [[name, f"{value['lowest']:.1f}", f"{value['mean']:.1f}"] for name, value in r["psnr"].items()]
        tables.append(table(["PSNR against float32, dB", "lowest", "mean"], rows))
    return "\n\n".join(tables)


def memory_table(results: list[dict]) -> str:
    """A row for every fourth sample, and the growth."""
    rows = []
    for r in results:
        for name in ("training steps", "pictures"):
            samples, slope = r[name]["samples"], r[name]["megabytes_per_thousand"]
            rows += [
                [f"{number:,} {name}", f"{used:.0f}", str(files)] for number, used, files in samples[::4] + samples[-1:]
            ]
            rows.append([f"growth over the last three quarters, a thousand {name}", f"{slope:+.2f}", ""])
    return table(["after", "memory, MB", "open files"], rows)


def large_picture_table(results: list[dict]) -> str:
    """A row a stroke size: time and memory of the whole command."""
    rows = [
        [
            f"{r['side']:,} x {r['side']:,}, {name}",
            f"{run['seconds']:.0f}",
            f"{run['processor_seconds']:.0f}",
            f"{run['peak_bytes'] / 2**20:,.0f}",
            f"{run['beyond_picture_bytes'] / 2**20:,.0f}",
        ]
        for r in results
        for name, run in r["runs"].items()
    ]
    header = ["picture", "s", "processor, s", "peak memory, MiB", "beyond the picture, MiB"]
    return table(header, rows)


def video_table(results: list[dict]) -> str:
    """A row a machine and size: frames a second of the network alone and of films, and memory by length."""
    rows = []
    for r in results:
        for number, (size, timing) in enumerate(r["sizes"].items()):
            network, film = (r["frames"] / timing["median_seconds"][name] for name in ("network", "film"))
            rows.append(
                [
                    "" if number else r["machine"]["device"],
                    size.replace("x", " x "),
                    f"{network:.3g}",
                    f"{film:.3g}",
                    f"{film / network:.0%}",
                    *map(gibibytes, timing["peak_memory_bytes"]),
                ]
            )
    header = [
        "machine", "film", "network alone, frames a second", "from file to file", "of the network's", "memory, GiB",
        "four times as long, GiB",
    ]  # fmt: skip
    return table(header, rows)


def instruction_sets_table(results: list[dict]) -> str:
    """A row an instruction set and number of threads: seconds, and speed against the plain baseline there."""
    rows = []
    for r in results:
        for number, row in enumerate(r["rows"]):
            training, inference = row["training"], row["inference"]
            rows.append(
                [
                    "" if number else r["machine"]["device"],
                    f"{row['name']}, {row['precision']}",
                    str(row["threads"] or "-"),
                    *(f"{seconds['ours']:.3g}" for seconds in (training, inference)),
                    *(f"{seconds['plain'] / seconds['ours']:.1f}" for seconds in (training, inference)),
                    f"{inference['onnxruntime'] / inference['ours']:.1f}" if "onnxruntime" in inference else "-",
                ]
            )
    header = [
        "machine", "instructions", "threads", "step, s", "picture, s", "plain : ours, step", "picture",
        "ONNX Runtime : ours, picture",
    ]  # fmt: skip
    return table(header, rows)


def page_table(results: list[dict]) -> str:
    """A row a machine and photograph: seconds until the page shows something, and all of it; then the webcam's."""
    rows = []
    for r in results:
        for number, (size, timing) in enumerate(r["sizes"].items()):
            medians = timing["median_seconds"]
            machine = "" if number else r["machine"]["device"]
            rows.append([machine, size.replace("x", " x "), f"{medians['first']:.2f}", f"{medians['whole']:.2f}"])
    lines = [table(["machine", "photograph", "first picture, s", "whole picture, s"], rows), ""]
    for r in results:
        webcam = r["webcam"]
        frame, enlarged = webcam["frame"].replace("x", " x "), webcam["enlarged"]
        strokes = "strokes of their own size" if enlarged == 1 else f"strokes {enlarged} times as large"
        lines.append(f"{r['machine']['device']}, webcam of {frame}: {webcam['rate']:.3g} frames a second, {strokes}")
    return "\n".join(lines)


_TABLES = {
    "training": ("Training step", training_table),
    "inference": ("One picture", inference_table),
    "instruction_sets": ("Instruction sets", instruction_sets_table),
    "loading": ("Photographs on their way to the step", loading_table),
    "precision": ("Reduced precision", precision_tables),
    "memory": ("Long runs", memory_table),
    "large_picture": ("A large picture", large_picture_table),
    "video": ("Films", video_table),
    "page": ("The page", page_table),
}


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


@dataclass(frozen=True)
class TablesConfig:
    """Settings of ``benchmarks.tables``."""

    results: str = setting(str(RESULTS), "folder of JSON files", metavar="FOLDER")
    picture: str | None = setting(None, "PNG file for the plot; needs matplotlib", metavar="FILE")


def main() -> int:
    args, _ = parse_settings(TablesConfig, __doc__)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(args.results).glob("*.json"))]
    if not results:
        raise UserError(f"{args.results} holds no results: run benchmarks.training first")
    by_kind = {kind: [r for r in results if r["benchmark"] == kind] for kind in _TABLES}
    sections = [(title, make(by_kind[kind])) for kind, (title, make) in _TABLES.items() if by_kind[kind]]
    print("\n\n".join(f"## {title}\n\n{tables}" for title, tables in sections))
    if args.picture:
        plot(by_kind["training"], by_kind["inference"], Path(args.picture))
    return 0


if __name__ == "__main__":
    run_command(main)
