"""How much a style flickers: the warping error of neighbouring frames, and what it makes of a still camera's noise.

python -m evaluation.flicker bikes.mp4 carphone.mp4 --model_path wave.pth starry_night.pth
python -m evaluation.flicker film.mp4 --model_path gallery --style all --frames 30 --json flicker.json
"""

import sys
from dataclasses import dataclass

from config import OVERWRITE_HELP, setting
from evaluation.weights import inference_setting
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class FlickerConfig:
    """Settings of ``evaluation.flicker``."""

    # What is judged, and on what
    films: tuple[str, ...] = setting(
        (), "films to judge by; the flag may be left out where they come first", metavar="FILM"
    )
    model_path: tuple[str, ...] = inference_setting("model_path", help="trained styles")
    style: tuple[str, ...] | None = inference_setting(
        "style", help="styles of a model that has several: names, mixtures, or all; left out, the first"
    )
    frames: int | None = setting(None, "frames of each film, the first ones; left out, all", minimum=2)
    max_size: int | None = setting(None, "longest side, pixels: larger films are reduced first", minimum=16)
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)

    # The machine
    device: str = inference_setting("device")
    precision: str = inference_setting("precision", help="arithmetic of the network, as of begin_inference.py")
    max_pixels: int = inference_setting("max_pixels")

    # What is written beside the table
    json: str | None = setting(None, "file for all figures, pair by pair: .json", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def main() -> int:
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--films")
    config, _ = parse_settings(FlickerConfig, __doc__, arguments)
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation.stability import judge_films

    return judge_films(config)


if __name__ == "__main__":
    run_command(main)
