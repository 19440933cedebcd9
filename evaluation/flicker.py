"""Measure how much a style flickers: the warping error of neighbouring frames, and how it repeats a camera's noise.

python -m evaluation.flicker bikes.mp4 carphone.mp4 --model_path wave.pth starry_night.pth
python -m evaluation.flicker film.mp4 --model_path gallery --style all --frames 30 --json flicker.json
"""

import json
from dataclasses import dataclass
from statistics import fmean

from config import OVERWRITE_HELP, REQUIRED, InferenceConfig, setting, shared_setting
from utils.errors import UserError
from utils.settings import run_command

NOISE = 2.0
"""Standard deviation of a still camera's noise, grey levels."""

STILL_EVERY = 25
"""Frames between two that are taken for a still camera's."""


@dataclass(frozen=True)
class FlickerConfig:
    """Settings of ``evaluation.flicker``."""

    films: tuple[str, ...] = setting(REQUIRED, "films to judge by", metavar="FILM")
    model_path: tuple[str, ...] = shared_setting("model_path", help="trained styles")
    style: tuple[str, ...] | None = shared_setting(
        "style", help="styles of a model that has several: names, mixtures, or all; left out, the first"
    )
    frames: int | None = setting(None, "frames of each film, the first ones; left out, all", minimum=2)
    max_size: int | None = setting(None, "longest side, pixels: larger films are reduced first", minimum=16)
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)

    device: str = shared_setting("device", heading="The machine")
    precision: str = shared_setting("precision", help="arithmetic of the network, as in begin_inference.py")
    max_pixels: int = shared_setting("max_pixels")

    json: str | None = setting(
        None, "file for all figures, pair by pair: .json", metavar="FILE", heading="What is written"
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)


def still_camera(stylizer, pixels, generator) -> float:
    """How much a style amplifies the noise of a still camera.

    Two pictures are one frame with new normal noise of :data:`NOISE` each.

    Args:
        stylizer: see :class:`inference.stylizer.Stylizer`.
        pixels: the frame, H x W x 3, uint8.
        generator: of torch, for the noise.

    Returns:
        Root mean square of the difference of the two results, over that of the two pictures.
    """
    import torch

    frame = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    noisy = [(frame + NOISE * torch.randn(frame.shape, generator=generator)).clamp(0, 255) for _ in range(2)]
    one, other = (stylizer.stylize_tensor(picture).cpu() for picture in noisy)
    return ((one - other).square().mean() / (noisy[0] - noisy[1]).square().mean()).sqrt().item()


def judge_films(config: FlickerConfig) -> None:
    """Measure, print the table, and write what is asked for.

    Raises:
        UserError: naming the flag or file at fault.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from imaging.optical_flow import opencv
    from inference.named_styles import load_styles
    from utils.device import resolve_compute
    from utils.files import atomic_write, check_target
    from utils.measuring import describe_machine

    if config.json is not None:
        check_target(config.json, config.overwrite, (".json",), "--json")
    opencv()
    compute = resolve_compute(config.device, config.precision)
    named = InferenceConfig(model_path=config.model_path, style=config.style)
    styles = dict(load_styles(named, compute, print))
    films = {path: judge_film(path, styles, config) for path in config.films}
    result = {"machine": describe_machine(compute), "settings": {"max_size": config.max_size}, "films": films}
    print(compute.describe())
    print(_table(films))
    if config.json is not None:
        with atomic_write(config.json) as file:
            file.write(json.dumps(result, indent=1).encode())
        print(f"Wrote {config.json}")


def judge_film(path: str, styles: dict, config: FlickerConfig) -> dict:
    """Measure a film and what styles make of it.

    Args:
        styles: a :class:`inference.stylizer.Stylizer` by name.

    Returns:
        ``frames``, ``width``, ``height``, ``cuts``; ``seen``, the mean part that is not occluded; ``film``, E_warp of
        the film itself; and for each style ``e_warp``, ``per_pair`` and ``still_camera``.
    """
    from itertools import islice

    import torch

    from imaging.films import FilmReader
    from imaging.optical_flow import Motion
    from inference.repaint import reduced_size, repainted, resized
    from utils.progress import progress_bar

    generator = torch.Generator().manual_seed(config.seed)
    per_pair = {name: [] for name in ("", *styles)}
    still = {name: [] for name in styles}
    seen, frames, before = [], 0, {}
    with FilmReader(path, max_pixels=config.max_pixels) as film:
        total = min(film.total or config.frames or 0, config.frames or film.total or 0)
        with progress_bar(total or None, "frame") as bar:
            for frame in islice(film.frames(), config.frames):
                pixels = resized(frame.pixels, reduced_size(film.size, config.max_size))
                results = {"": pixels} | {name: repainted(stylizer, pixels) for name, stylizer in styles.items()}
                if before:
                    motion = Motion(before[""], pixels)
                    if not motion.cut:
                        seen.append(motion.seen.mean().item())
                        for name, result in results.items():
                            per_pair[name].append(motion.error(before[name], result))
                if frames % STILL_EVERY == 0:
                    for name, stylizer in styles.items():
                        still[name].append(still_camera(stylizer, pixels, generator))
                before, frames = results, frames + 1
                bar.update()
    if not seen:
        raise UserError(f"{path} has no two frames of one scene ({frames} frames were read): give another film")
    figures = {
        name: {"e_warp": fmean(per_pair[name]), "still_camera": fmean(still[name]), "per_pair": per_pair[name]}
        for name in styles
    }
    height, width = before[""].shape[:2]
    return {
        "frames": frames, "width": width, "height": height, "cuts": frames - 1 - len(seen), "seen": fmean(seen),
        "film": fmean(per_pair[""]), "styles": figures,
    }  # fmt: skip


def _table(films: dict[str, dict]) -> str:
    from utils.labels import file_labels
    from utils.measuring import table

    rows = []
    for label, film in zip(file_labels(list(films)), films.values()):
        about = f"{label}, {film['width']} x {film['height']}, {film['frames']} frames, {film['cuts']} cuts"
        rows.append([about, "the film itself", f"{film['film']:.5f}", "1"])
        rows += [
            ["", name, f"{one['e_warp']:.5f}", f"{one['still_camera']:.2f}"] for name, one in film["styles"].items()
        ]
    return table(["film", "style", "E_warp", "still camera"], rows)


if __name__ == "__main__":
    run_command(judge_films, FlickerConfig, __doc__)
