"""What evaluation.compare prints, and its sheet of pictures."""

from pathlib import Path

import torch
from PIL import Image

from imaging.sheets import contact_sheet
from imaging.tensors import tensor_to_image
from utils.measuring import table
from utils.settings import shown

FROM = {"photograph": "L-BFGS from the photograph", "noise": "L-BFGS from noise"}
"""What optimisation is called, by its start."""

_COLUMNS = {"objective": "sum", "content_to_grey": "content to grey"}
"""What is measured on a picture besides the terms of the objective, with its name in the table."""

_TONES = [
    ("range", "results_range", ".3g"), ("painting's", "painting_range", ".3g"),
    ("ratio", "range_over_paintings", ".2f"),
    ("deviation", "results_deviation", ".3g"), ("painting's", "painting_deviation", ".3g"),
    ("gradient", "results_gradient", ".3g"), ("painting's", "painting_gradient", ".3g"),
    ("palette distance", "palette_distance", ".3g"), ("white - black, 80% plain", "white_less_black_0.80", ".3g"),
    ("white - black, 95% plain", "white_less_black_0.95", ".3g"), ("dB from the teacher", "psnr", ".1f"),
]  # fmt: skip
"""Columns of the table of tones: title, name of the figure, and its format."""


def print_result(result: dict) -> None:
    names = result["photographs"]
    source = f" of {result['names']}" if result["names"] else ""
    first = f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    print(f"{len(names)} photographs{source}, {result['image_size']} x {result['image_size']} pixels: {first}")
    print(result["machine"]["device"])
    for model in result["models"]:
        if "rows" in model:
            _print_model(model)
    print(f"\n## Tones\n\n{_tones_table(result['models'])}")


def _print_model(model: dict) -> None:
    objective = dict(model["objective"])
    scale = objective.pop("loss_scale")
    weights = ", ".join(f"{name} {shown(value)}" for name, value in objective.items() if value is not None)
    level = f" (its level of {model['style_level']:.3g} included)" if model["style_level"] != 1 else ""
    if scale == "relative":
        scale += ", of its training" if model["scales_of"] == "training" else ", measured on these photographs"
    print(f"\n## {model['name']}\n")
    painting = f"{model['style_image']} at {model['painting_size']} pixels"
    print(f"Scales {scale}; {weights}{level}; {painting}.\n")
    print(_measures_table(model))
    print(f"\n{_equalled_table(model)}" if model["iterations_equalled"] else "\nNo L-BFGS beside it.")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _measures_table(model: dict) -> str:
    rows = {name: row["summary"] for name, row in model["rows"].items()}
    terms = [name for name in rows[model["name"]] if name not in _COLUMNS]
    lines = [
        [name, *(_number(summary[column]["mean"]) for column in (*terms, *_COLUMNS))] for name, summary in rows.items()
    ]
    titles = [name.replace("_", " ") for name in terms] + list(_COLUMNS.values())
    return table(["mean over the photographs", *titles], lines)


def _equalled_table(model: dict) -> str:
    rows = []
    for start, equalled in model["iterations_equalled"].items():
        more = f"> {equalled['run']}"
        low, middle, high = (more if value is None else str(value) for value in equalled["quartiles"])
        better = f"{equalled['iterations'].count(None)} of {len(equalled['iterations'])}"
        rows.append([FROM[start], middle, f"{low} to {high}", better])
    return table(["", "iterations equalled, median", "quartiles", "better than all iterations run"], rows)


def _tones_table(models: list[dict]) -> str:
    columns = [column for column in _TONES if column[1] in models[0]["tones"]]
    rows = []
    for model in models:
        numbers = [format(model["tones"][key], digits) for _, key, digits in columns]
        rows.append([model["name"], Path(model["style_image"]).stem, *numbers])
    about = ", ".join(f"{models[0]['tones'][f'photographs_{tone}']:.3g}" for tone in ("range", "deviation", "gradient"))
    return (
        "Luminance, grey levels: range from the 1st to the 99th percentile, standard deviation, mean gradient. The "
        f"photographs: {about}.\n\n{table(['style', 'painting', *(title for title, _, _ in columns)], rows)}"
    )


def sheet(names: list[str], models: list[dict[str, list[torch.Tensor]]]) -> Image.Image:
    """Photograph, then what each model and optimisation made of it, a row a photograph, for the first twelve.

    There is a dictionary for each model, of pictures by rows: 1 x 3 x H x W each, uint8; the first row are the
    photographs. Where one has fewer pictures, the sheet has as many rows.
    """
    count = min(12, *(len(pictures) for rows in models for pictures in rows.values()))
    columns = [(name, pictures) for rows in models for name, pictures in rows.items() if name != "photographs"]
    cells = []
    for number, name in enumerate(names[:count]):
        cells.append((name, models[0]["photographs"][number]))
        cells += [(title, pictures[number]) for title, pictures in columns]
    return contact_sheet([(name, tensor_to_image(cell[0])) for name, cell in cells], columns=len(columns) + 1)
