"""What the page asks for, as the settings of ``begin_inference.py``: one set of names, bounds and sentences."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import InferenceConfig
from demo.catalogue import Style
from inference.named_styles import style_name
from utils.errors import UserError
from utils.settings import quoted, shown, validate

MOST_STYLES = 8  # in a mixture


@dataclass(frozen=True)
class Recipe:
    """Styles and options."""

    config: InferenceConfig  # the command's settings, but for the photograph
    quick: InferenceConfig  # the same with the quick twins of its models; the same settings where one has none
    live: InferenceConfig  # the same with the networks for a camera; as ``quick`` where one has none
    name: str  # of the result, after the photograph's
    arguments: tuple[str, ...]  # of the command line, but for the photograph
    stamps: tuple  # change with the files of the models

    @property
    def has_twin(self) -> bool:
        return self.quick is not self.config

    def command(self, photograph: str) -> str:
        """The command that paints the same picture."""
        photograph = f"./{photograph}" if photograph.startswith("-") else photograph
        return quoted("python", "begin_inference.py", "--content_image", photograph, *self.arguments)


def read_recipe(data: object, styles: Mapping[str, Style], mask: Path | None = None) -> Recipe:
    """A recipe out of what a browser sent, a mask, and the styles that there are, by their ids.

    Args:
        data: ``{"styles": [[id, weight], ...], "strength": 1.0, "stroke_scale": null, "preserve_color": false}``, or
            anything: UserError says what is not so, or out of the command's bounds.
    """
    if not isinstance(data, dict):
        raise UserError("what is wanted of the picture is missing: reload the page")
    chosen = _styles(data.get("styles"), styles)
    values = {name: data[name] for name in ("strength", "stroke_scale", "preserve_color") if name in data}
    values |= _naming(chosen)
    if mask is not None:
        values["mask"] = str(mask)
    config = validate(InferenceConfig(**values))
    quick = _replaced(config, chosen, "twin") or config
    live = _replaced(config, chosen, "live") or quick
    arguments = []
    for name, value in values.items():
        if value != getattr(InferenceConfig, name):
            arguments.append(f"--{name}")
            if value is not True:
                arguments.append("mask.png" if name == "mask" else shown(value))
    name, stamps = style_name(config, frozenset(values)), tuple(style.stamp for style, _ in chosen)
    return Recipe(config, quick, live, name, tuple(arguments), stamps)


def _replaced(config: InferenceConfig, chosen: list[tuple[Style, float]], twin: str) -> InferenceConfig | None:
    """The settings with another network of each style; ``None`` if one has none."""
    twins = [(dataclasses.replace(style, model=getattr(style, twin)), weight) for style, weight in chosen]
    return dataclasses.replace(config, **_naming(twins)) if all(style.model for style, _ in twins) else None


def _styles(data: object, styles: Mapping[str, Style]) -> list[tuple[Style, float]]:
    chosen = []
    for entry in data if isinstance(data, list) else ():
        name, weight = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if not isinstance(name, str) or type(weight) not in (int, float) or not 0 < weight < math.inf:
            raise UserError("a style is a name and a weight above 0: reload the page")
        if name not in styles:
            raise UserError(f"there is no style {name[:200]} here now: reload the page")
        chosen.append((styles[name], float(weight)))
    if not 0 < len(chosen) <= MOST_STYLES or len({style.id for style, _ in chosen}) < len(chosen):
        raise UserError(f"a picture takes one to {MOST_STYLES} styles, each once: choose others")
    return chosen


def _naming(chosen: list[tuple[Style, float]]) -> dict[str, object]:
    """The flags that name a style or a mixture: of one network in itself, of several in the colours."""
    models = {style.model for style, _ in chosen}
    if len(models) > 1:
        return {"blend": ",".join(f"{style.id}:{weight:g}" for style, weight in chosen)}
    naming: dict[str, object] = {"model_path": tuple(models)}
    if len(chosen) > 1:
        naming["style"] = (",".join(f"{style.style}:{weight:g}" for style, weight in chosen),)
    elif chosen[0][0].style is not None:
        naming["style"] = (chosen[0][0].style,)
    return naming
