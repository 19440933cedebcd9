"""A picture of 400 megapixels through the command line: time and memory, with fine strokes and by default.

    python -m benchmarks.large_picture

Enlarges a sample photograph to --side x --side pixels, stylises it as a person would, from JPEG to JPEG, and prints
what the command took: the memory of the whole process at its peak, and how much of it was beyond the decoded picture.
Linux and macOS. Takes minutes.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.common import ComputeConfig, new_result, report
from benchmarks.tables import large_picture_table
from config import setting
from utils.device import resolve_compute
from utils.settings import parse_settings, run_command

ROOT = Path(__file__).resolve().parents[1]


def draw(path: Path, side: int) -> None:
    with Image.open(ROOT / "content" / "mountains.jpg") as photograph:
        photograph.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)


def stylize(photograph: Path, side: int, *flags: object) -> dict:
    """What begin_inference.py takes for a picture: seconds, and bytes."""
    results = photograph.parent / "results"
    command = [
        sys.executable, "begin_inference.py", "--content_image", photograph, "--output_dir", results, "--overwrite",
        "--max_pixels", side * side, *flags,
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # of this process alone, unlike what resource.getrusage adds up
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)  # it has said why
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": peak,
        "beyond_picture_bytes": peak - 3 * side * side,
    }


@dataclass(frozen=True)
class LargePictureConfig(ComputeConfig):
    """Settings of ``benchmarks.large_picture``."""

    side: int = setting(20_000, "of the picture, pixels", minimum=16)


def main() -> int:
    args, _ = parse_settings(LargePictureConfig, __doc__)
    compute = resolve_compute(args.device, args.precision)
    where = ["--device", args.device, "--precision", args.precision]
    result = {**new_result("large_picture", compute), "side": args.side, "runs": {}}
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder, "large.jpg")
        # The peak of a process counts what its parent had held when it started it: the picture once, and no more.
        draw(photograph, args.side)
        for name, flags in (("--stroke_scale 1", ["--stroke_scale", 1]), ("default", [])):
            result["runs"][name] = stylize(photograph, args.side, *flags, *where)
    return report(result, large_picture_table, args.json)


if __name__ == "__main__":
    run_command(main)
