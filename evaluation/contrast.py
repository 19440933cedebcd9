"""Contrast and colours of a style's results beside its painting's, and whether the style tells white from black."""

import math
from pathlib import Path

import torch

from evaluation.measures import palette_distance, tones
from inference.stylizer import Stylizer
from utils.measuring import table

PLAIN_SHARES = (0.8, 0.95)
"""Parts of a picture that are of one colour."""

PLAIN_PHOTOGRAPHS = 2
"""Photographs, the first ones, that are set on plain grounds."""

_TONES = ("range", "deviation", "gradient")


def white_less_black(stylizer: Stylizer, photographs: list[torch.Tensor], plain: float) -> float:
    """How much brighter a style paints a white ground than a black one: means of RGB there, grey levels.

    Each photograph is put in an ellipse, on a ground of one grey.

    Args:
        photographs: 1 x 3 x H x W each, RGB in [0, 255].
        plain: part of the picture that the ground takes, 0.22 or more.
    """
    total = 0.0
    for photograph in photographs:
        height, width = photograph.shape[-2:]
        y = (torch.arange(height, dtype=torch.float64) + 0.5) / height - 0.5
        x = (torch.arange(width, dtype=torch.float64) + 0.5) / width - 0.5
        is_ground = y[:, None].square() + x.square() > (1 - plain) / math.pi
        for ground, sign in ((255, 1), (0, -1)):
            picture = photograph.masked_fill(is_ground.to(photograph.device), ground)
            total += sign * stylizer.stylize_tensor(picture)[..., is_ground].mean().item()
    return total / len(photographs)


def judge_tones(
    stylizer: Stylizer, pictures: list[torch.Tensor], photographs: list[torch.Tensor], painting: torch.Tensor
) -> dict[str, float]:
    """Tones and palette of results, of the photographs that they were made of, and of the painting.

    Args:
        pictures, photographs: 1 x 3 x H x W each, RGB in [0, 255].
        painting: 1 x 3 x H x W, RGB in [0, 255], about as large.
    """
    found = {}
    for name, images in (("results", pictures), ("painting", [painting]), ("photographs", photographs)):
        mean = torch.cat([tones(image) for image in images]).mean(0)
        found |= {f"{name}_{tone}": value for tone, value in zip(_TONES, mean.tolist())}
    found["range_over_paintings"] = found["results_range"] / max(found["painting_range"], 1.0)
    found["palette_distance"] = palette_distance(pictures, [painting])
    found["photographs_palette_distance"] = palette_distance(photographs, [painting])
    for plain in PLAIN_SHARES:
        grounds = white_less_black(stylizer, photographs[:PLAIN_PHOTOGRAPHS], plain)
        found[_plain_key(plain)] = grounds
    return found


def tones_table(judged: list[dict]) -> str:
    """A row for each style, and how to read it.

    Args:
        judged: ``name``, ``style_image``, and what :func:`judge_tones` found.
    """
    header = [
        "style", "painting", "range", "painting's", "ratio", "deviation", "painting's", "gradient", "painting's",
        "palette distance", *(f"white - black, {plain:.0%} plain" for plain in PLAIN_SHARES),
    ]  # fmt: skip
    with_teachers = "psnr" in judged[0]
    header += ["dB from the teacher"] * with_teachers
    rows = []
    for one in judged:
        numbers = [f"{one[f'results_{tone}']:.3g} {one[f'painting_{tone}']:.3g}".split() for tone in _TONES]
        numbers[0].append(f"{one['range_over_paintings']:.2f}")
        last = [f"{one[key]:.3g}" for key in ("palette_distance", *map(_plain_key, PLAIN_SHARES))]
        last += [f"{one['psnr']:.1f}"] if with_teachers else []
        rows.append([one["name"], Path(one["style_image"]).stem, *sum(numbers, []), *last])
    about = [judged[0][f"photographs_{tone}"] for tone in _TONES]
    return (
        "Luminance, grey levels: range from the 1st to the 99th percentile, standard deviation, mean gradient. The "
        f"photographs: {', '.join(f'{value:.3g}' for value in about)}.\n\n{table(header, rows)}"
    )


def _plain_key(plain: float) -> str:
    return f"white_less_black_{plain:.2f}"
