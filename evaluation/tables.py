"""What evaluation.compare prints."""

from evaluation.contrast import tones_table
from evaluation.figures import FROM
from evaluation.measures import MESH_PERIODS
from utils.measuring import table
from utils.settings import shown

PAPER_ITERATIONS = (100, 300, 500)
"""Of the paper's table 1."""

_COLUMNS = {
    "objective": "sum",
    "content_to_grey": "content to grey",
    "ssim": "SSIM",
    **{f"mesh_{period}": f"mesh, {period} px" for period in MESH_PERIODS},
    "border_mean": "border, mean",
    "border_contrast": "border, contrast",
}
"""What is measured on a picture besides the terms of the objective, with its name in the table."""


def print_result(result: dict) -> None:
    names = result["photographs"]
    source = f" of {result['names']}" if result["names"] else ""
    first = f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
    print(f"{len(names)} photographs{source}, {result['image_size']} x {result['image_size']} pixels: {first}")
    print(result["machine"]["device"])
    for number, model in enumerate(result["models"]):
        if "rows" not in model:
            continue
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
        if result["seconds"]:
            print(f"\n{_seconds_table(result['seconds'][number])}")
    print(f"\n## Tones\n\n{tones_table([{**model, **model['tones']} for model in result['models']])}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _measures_table(model: dict) -> str:
    rows = {name: row["summary"] for name, row in model["rows"].items()}
    found = list(dict.fromkeys(name for summary in rows.values() for name in summary))
    columns = [name for name in found if name not in _COLUMNS] + [name for name in _COLUMNS if name in found]
    lines = [
        [name, *(_number(summary[column]["mean"]) if column in summary else "-" for column in columns)]
        for name, summary in rows.items()
    ]
    titles = [_COLUMNS.get(column, column.replace("_", " ")) for column in columns]
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


def _seconds_table(timed: list[dict]) -> str:
    rows = []
    for entry in timed:
        ratios = [f"{count * entry['iteration'] / entry['network']:,.0f}" for count in PAPER_ITERATIONS]
        rows.append([f"{entry['size']}²", f"{entry['network']:.3g}", f"{entry['iteration']:.3g}", *ratios])
    ratios = [f"{count} iterations : network" for count in PAPER_ITERATIONS]
    return table(["picture", "network, s", "one L-BFGS iteration, s", *ratios], rows)
