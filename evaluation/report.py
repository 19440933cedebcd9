"""What evaluation.compare prints, and its sheet of pictures."""

import torch
from PIL import Image

from evaluation.contrast import tones_table
from imaging.sheets import contact_sheet
from imaging.tensors import tensor_to_image
from utils.measuring import table
from utils.settings import shown

FROM = {"photograph": "L-BFGS from the photograph", "noise": "L-BFGS from noise"}
"""What optimisation is called, by its start."""

SHEET_PHOTOGRAPHS = 12

_COLUMNS = {"objective": "sum", "content_to_grey": "content to grey"}
"""What is measured on a picture besides the terms of the objective, with its name in the table."""


def print_result(result: dict) -> None:
    names = result["photographs"]
    source = f" of {result['names']}" if result["names"] else ""
    first = f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    print(f"{len(names)} photographs{source}, {result['image_size']} x {result['image_size']} pixels: {first}")
    print(result["machine"]["device"])
    for model in result["models"]:
        if "rows" in model:
            _print_model(model)
    print(f"\n## Tones\n\n{tones_table([{**model, **model['tones']} for model in result['models']])}")


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
    def text(value, run):
        return f"> {run}" if value is None else str(value)

    rows = []
    for start, equalled in model["iterations_equalled"].items():
        low, middle, high = (text(value, equalled["run"]) for value in equalled["quartiles"])
        better = sum(value is None for value in equalled["iterations"])
        rows.append([FROM[start], middle, f"{low} to {high}", f"{better} of {len(equalled['iterations'])}"])
    return table(["", "iterations equalled, median", "quartiles", "better than all iterations run"], rows)


def sheet(names: list[str], models: list[dict[str, list[torch.Tensor]]]) -> Image.Image:
    """Photograph, then what each model and optimisation made of it, a row a photograph, for the first twelve.

    Args:
        names: of the photographs.
        models: for each, row names and N pictures, 1 x 3 x H x W, uint8; the first row are the photographs. Where some
            rows have fewer pictures, the sheet has as many rows.
    """
    count = min(SHEET_PHOTOGRAPHS, *(len(pictures) for rows in models for pictures in rows.values()))
    (first, photographs), *_ = models[0].items()
    columns = [(name, pictures) for rows in models for name, pictures in rows.items() if name != first]
    cells = []
    for number, name in enumerate(names[:count]):
        cells.append((name, photographs[number]))
        cells += [(title, pictures[number]) for title, pictures in columns]
    return contact_sheet([(name, tensor_to_image(cell[0])) for name, cell in cells], columns=len(columns) + 1)
