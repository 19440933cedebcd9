"""Flicker of trained styles, measured on films."""

from collections.abc import Iterator
from itertools import islice
from statistics import fmean

import numpy as np
import torch
from PIL import Image

from config import InferenceConfig
from evaluation.flicker import FlickerConfig
from evaluation.saving import write_json
from imaging.films import FilmReader
from imaging.optical_flow import Motion, opencv
from inference.named_styles import load_styles
from inference.repaint import repainted
from inference.stylizer import Stylizer
from utils.device import resolve_compute
from utils.errors import UserError
from utils.files import check_target
from utils.labels import file_labels
from utils.measuring import describe_machine, table
from utils.progress import progress_bar

NOISE = 2.0
"""Standard deviation of a still camera's noise, grey levels."""

STILL_EVERY = 25
"""Frames from one that is taken for a still camera's to the next."""


def still_camera(stylizer: Stylizer, pixels: np.ndarray, generator: torch.Generator) -> float:
    """How much noise a style makes of a camera's: root mean square of the difference of two results, over that of the
    two pictures, which are one frame, H x W x 3, uint8, with new normal noise of :data:`NOISE` each."""
    frame = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    noisy = [(frame + NOISE * torch.randn(frame.shape, generator=generator)).clamp(0, 255) for _ in range(2)]
    one, other = (stylizer.stylize_tensor(picture).cpu() for picture in noisy)
    return ((one - other).square().mean() / (noisy[0] - noisy[1]).square().mean()).sqrt().item()


def judge_films(config: FlickerConfig) -> int:
    """Measure, print the table, and write what is asked for.

    Returns:
        Exit status 0.

    Raises:
        UserError: naming the flag or file at fault.
    """
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
        write_json(config.json, result)
        print(f"Wrote {config.json}")
    return 0


def judge_film(path: str, styles: dict[str, Stylizer], config: FlickerConfig) -> dict:
    """The figures of a film and of what styles make of it.

    Returns:
        ``frames``, ``width``, ``height``, ``cuts``; ``seen``, the mean part that is not occluded; ``film``, E_warp of
        the film itself; and by style, ``e_warp``, ``per_pair`` and ``still_camera``.
    """
    generator = torch.Generator().manual_seed(config.seed)
    per_pair = {name: [] for name in ("", *styles)}
    still = {name: [] for name in styles}
    seen, frames, before = [], 0, {}
    with FilmReader(path, max_pixels=config.max_pixels) as film:
        total = min(film.total or config.frames or 0, config.frames or film.total or 0)
        with progress_bar(total or None, "frame") as bar:
            for pixels in islice(_reduced(film, config.max_size), config.frames):
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


def _reduced(film: FilmReader, max_size: int | None) -> Iterator[np.ndarray]:
    """The frames of a film, H x W x 3, uint8."""
    for frame in film.frames():
        pixels = frame.pixels
        if max_size is not None and max(pixels.shape) > max_size:
            image = Image.fromarray(pixels)
            image.thumbnail((max_size, max_size), Image.Resampling.LANCZOS)
            pixels = np.array(image)
        yield pixels


def _table(films: dict[str, dict]) -> str:
    rows = []
    for label, film in zip(file_labels(list(films)), films.values()):
        about = f"{label}, {film['width']} x {film['height']}, {film['frames']} frames, {film['cuts']} cuts"
        rows.append([about, "the film itself", f"{film['film']:.5f}", "1"])
        rows += [
            ["", name, f"{one['e_warp']:.5f}", f"{one['still_camera']:.2f}"] for name, one in film["styles"].items()
        ]
    return table(["film", "style", "E_warp", "still camera"], rows)
