"""Which styles the flags of ``begin_inference.py`` name."""

import collections
import glob
import math
import os
from collections.abc import Sequence
from pathlib import Path

from config import InferenceConfig
from inference.inputs import is_pattern
from inference.stylizer import Blend, Stylizer
from models.checkpoints import load_checkpoint
from utils.device import Compute
from utils.errors import UserError


def style_name(config: InferenceConfig, given: frozenset[str] = frozenset()) -> str:
    """What results are named after: the style, the styles of a mixture, or ``contact_sheet`` for several.

    Args:
        given: names of the settings that were given explicitly.

    Raises:
        UserError: if ``--blend`` is not written as it should be, or does not go with the other flags.
    """
    if config.blend is not None:
        if "model_path" in given:
            raise UserError("--blend names its own styles: leave out --model_path")
        return "+".join(Path(path).stem for path, _ in _parse_blend(config.blend))[:100]
    models = find_models(config.model_path)
    return Path(os.path.abspath(models[0])).stem if len(models) == 1 else "contact_sheet"


def find_models(names: Sequence[str]) -> list[str]:
    """The models that ``--model_path`` names: patterns, which not every shell expands, become what they match."""
    found = []
    for name in names:
        matches = sorted(glob.glob(name)) if is_pattern(name) else [name]
        if not matches:
            raise UserError(f"--model_path {name} matches no file: give another pattern")
        found += matches
    return found


def load_styles(config: InferenceConfig, compute: Compute) -> list[tuple[str, Stylizer]]:
    """(name, style): one, or several for a contact sheet; a mixture is one.

    Raises:
        UserError: naming the flag and the file at fault.
    """
    if config.blend is None:
        models = find_models(config.model_path)
        names = _names_apart([Path(path) for path in models])
        return [(name, _load(path, "--model_path", compute)) for name, path in zip(names, models)]
    parts = _parse_blend(config.blend)
    stylizers = [_load(path, "--blend", compute) for path, _ in parts]
    return [("", Blend(stylizers, [weight for _, weight in parts]))]


def _load(path: str, flag: str, compute: Compute) -> Stylizer:
    return Stylizer(load_checkpoint(path, flag).network, compute=compute)


def _names_apart(paths: list[Path]) -> list[str]:
    """The names of models; with their folder's, where several have one name."""
    times = collections.Counter(path.stem for path in paths)
    return [path.stem if times[path.stem] == 1 else f"{path.absolute().parent.name}/{path.stem}" for path in paths]


def _parse_blend(text: str) -> list[tuple[str, float]]:
    """``a.pth:0.6,b.pth:0.4`` as [("a.pth", 0.6), ("b.pth", 0.4)]."""
    parts = []
    for item in text.split(","):
        path, _, weight = item.strip().rpartition(":")
        try:
            parts.append((path, float(weight)))
        except ValueError:
            parts.append(("", 0.0))
    if len(parts) < 2 or not all(path and 0 < weight < math.inf for path, weight in parts):
        raise UserError(
            f"--blend {text} is no mixture: give two styles or more, each with a weight above 0, such as "
            "a.pth:0.6,b.pth:0.4"
        )
    return parts
