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

    Two pictures are the frame ``pixels``, H x W x 3, uint8, with new normal noise of 2 grey levels each.

    Returns:
        Root mean square of the difference of the two results, over that of the two pictures.
    """
    import torch

    frame = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    noisy = [(frame + 2 * torch.randn(frame.shape, generator=generator)).clamp(0, 255) for _ in range(2)]
    one, other = (stylizer.stylize_tensor(picture).cpu() for picture in noisy)
    return ((one - other).square().mean() / (noisy[0] - noisy[1]).square().mean()).sqrt().item()


def judge_films(config: FlickerConfig) -> None:
    """Measure, print the table, and write what is asked for. Raises UserError."""
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from imaging.optical_flow import opencv
    from inference.named_styles import load_styles
    from utils.device import resolve_compute
    from utils.files import atomic_write, check_target
    from utils.labels import file_labels
    from utils.measuring import describe_machine, table

    if config.json is not None:
        check_target(config.json, config.overwrite, (".json",), "--json")
    opencv()
    compute = resolve_compute(config.device, config.precision)
    named = InferenceConfig(model_path=config.model_path, style=config.style)
    styles = dict(load_styles(named, compute, print))
    films = {path: judge_film(path, styles, config) for path in config.films}
    rows = []
    for label, film in zip(file_labels(list(films)), films.values()):
        about = f"{label}, {film['width']} x {film['height']}, {film['frames']} frames, {film['cuts']} cuts"
        rows.append([about, "the film itself", f"{film['film']:.5f}", "1"])
        for name, style in film["styles"].items():
            rows.append(["", name, f"{style['e_warp']:.5f}", f"{style['still_camera']:.2f}"])
    print(compute.describe())
    print(table(["film", "style", "E_warp", "still camera"], rows))
    if config.json is not None:
        result = {"machine": describe_machine(compute), "settings": {"max_size": config.max_size}, "films": films}
        with atomic_write(config.json) as file:
            file.write(json.dumps(result, indent=1).encode())
        print(f"Wrote {config.json}")


def judge_film(path: str, styles: dict, config: FlickerConfig) -> dict:
    """The figures of a film, and of what each style, a :class:`inference.stylizer.Stylizer` by its name, makes of it.

    ``seen`` is the mean part that is not occluded, ``film`` E_warp of the film itself.
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
        total = min(filter(None, (film.total, config.frames)), default=None)
        with progress_bar(total, "frame") as bar:
            for frame in islice(film.frames(), config.frames):
                pixels = resized(frame.pixels, reduced_size(film.size, config.max_size))
                results = {"": pixels} | {name: repainted(stylizer, pixels) for name, stylizer in styles.items()}
                if before:
                    motion = Motion(before[""], pixels)
                    if not motion.cut:
                        seen.append(motion.seen.mean().item())
                        for name, result in results.items():
                            per_pair[name].append(motion.error(before[name], result))
                if frames % 25 == 0:
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


if __name__ == "__main__":
    run_command(judge_films, FlickerConfig, __doc__)
