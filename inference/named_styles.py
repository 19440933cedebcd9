"""The styles that the flags of ``begin_inference.py`` name."""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from config import InferenceConfig
from inference.stylizer import Blend, Stylizer
from models.checkpoints import Checkpoint, find_model, load_checkpoint
from models.multi_style import MultiStyleNet, parse_mixture
from models.styles import one_style
from utils.device import Compute
from utils.errors import UserError
from utils.files import PROGRAM, is_pattern, matching, ships
from utils.labels import file_labels, unique
from utils.settings import validate

Reader = Callable[[str, str], Checkpoint]  # given a path and the flag that names it

CONTACT_SHEET = "contact_sheet"

ALL = "all"  # the value of --style that stands for every style of a model


def style_name(config: InferenceConfig, given: frozenset[str] = frozenset()) -> str:
    """What results are named after: the model or its style, the styles of a mixture, or ``contact_sheet`` for several.

    Raises UserError if ``--blend`` or ``--style`` is not written as it should be, or does not go with the other flags.
    """
    if config.blend is not None:
        if "model_path" in given:
            raise UserError("--blend names its own styles: leave out --model_path")
        if config.style is not None:
            raise UserError("--blend mixes models, and --style the styles of one: leave out one of them")
        return "+".join(Path(path).stem for path, _ in _parse_blend(config.blend))[:100]
    models = find_models(config.model_path)
    if config.style is not None:
        mixtures = [list(parse_mixture(style)) for style in config.style]
        return "+".join(mixtures[0])[:100] if len(mixtures) == 1 and mixtures[0] != [ALL] else CONTACT_SHEET
    return Path(os.path.abspath(models[0])).stem if len(models) == 1 else CONTACT_SHEET


def find_models(names: Sequence[str]) -> list[str]:
    """The models that ``--model_path`` names: patterns, which not every shell expands, become what they match."""
    found = []
    for name in names:
        matches = matching(name) if is_pattern(name) else [name]
        if not matches:
            raise UserError(f"--model_path {name} matches no file: give another pattern")
        found += matches
    return found


def load_styles(
    config: InferenceConfig, compute: Compute, say: Callable[[str], None], read: Reader = load_checkpoint
) -> list[tuple[str, Stylizer]]:
    """(name, style): one, or several for a contact sheet; a mixture is one. ``say`` receives sentences on the choice.

    Raises UserError, naming the flag and the file at fault.
    """
    if config.blend is not None:
        names, weights = zip(*_parse_blend(config.blend))
        parts = [Stylizer(_part_of_blend(name, say, read).network, compute=compute) for name in names]
        return [("", Blend(parts, weights))]
    chosen = choose_styles(find_models(config.model_path), config.style, say, read)
    return [(name, Stylizer(checkpoint.network, compute=compute)) for name, checkpoint in chosen]


def choose_styles(
    models: Sequence[str], styles: Sequence[str] | None, say: Callable[[str], None], read: Reader = load_checkpoint
) -> list[tuple[str, Checkpoint]]:
    """(name, model of one style): the first of each model, or those of one model that ``--style`` names."""
    if styles is None:
        names = file_labels(models)
        return [(name, _first_style(read(path, "--model_path"), path, say)) for name, path in zip(names, models)]
    if len(models) > 1:
        raise UserError(f"--style needs one model, and --model_path names {len(models)}: give one")
    checkpoint = read(models[0], "--model_path")
    if not isinstance(checkpoint.network, MultiStyleNet):
        own = checkpoint.styles(models[0])[0]
        if set(styles) <= {own, Path(models[0]).stem}:
            return [(own, checkpoint)]
        raise UserError(f"--model_path {models[0]} has one style, {own}: leave out --style")
    names = checkpoint.network.styles if tuple(styles) == (ALL,) else styles
    return [(label, one_style(checkpoint, name)) for label, name in zip(unique(names), names)]


def _part_of_blend(name: str, say: Callable[[str], None], read: Reader) -> Checkpoint:
    """A model, or one style of a model of several, which ``MODEL/STYLE`` names."""
    model, _, style = name.rpartition("/")
    with contextlib.suppress(UserError):
        find_model(name)
        model = ""
    with contextlib.suppress(UserError):
        model = str(find_model(model))
    if not os.path.isfile(model):
        return _first_style(read(name, "--blend"), name, say, f"{name}/STYLE names another")
    checkpoint = read(model, "--blend")
    if not isinstance(checkpoint.network, MultiStyleNet):
        raise UserError(f"--blend {name}: {model} has one style: leave out /{style}")
    return one_style(checkpoint, style, "--blend")


def _first_style(
    checkpoint: Checkpoint, path: str, say: Callable[[str], None], how: str = "--style names another"
) -> Checkpoint:
    if not isinstance(checkpoint.network, MultiStyleNet):
        return checkpoint
    first, *others = checkpoint.network.styles
    say(
        f"{path} has {len(others) + 1} styles, and this is the first, {first}: {how}, begin_inference.py "
        f"--list_styles --model_path {path} lists all"
    )
    return one_style(checkpoint, first)


def list_styles(config: InferenceConfig, given: frozenset[str] = frozenset()) -> list[str]:
    """The styles of the models that ``--model_path`` names, a line each; with their files if there are several models.

    Without ``model_path`` among the ``given`` settings, those of all models that ship.
    """
    models = find_models(validate(config).model_path)
    if "model_path" not in given:
        models = [str(path) for path in sorted((PROGRAM / "checkpoints").glob("**/*.pth")) if ships(path)]
    names = [(path, name) for path in models for name in load_checkpoint(path).styles(path)]
    return [name if len(models) == 1 else f"{path}: {name}" for path, name in names]


def _parse_blend(text: str) -> list[tuple[str, float]]:
    """``a.pth:0.6,b.pth:0.4`` as [("a.pth", 0.6), ("b.pth", 0.4)]."""
    items = [item.strip().rpartition(":") for item in text.split(",")]
    try:
        parts = [(path, float(weight)) for path, _, weight in items]
    except ValueError:
        parts = []
    if len(parts) < 2 or not all(path and 0 < weight < math.inf for path, weight in parts):
        raise UserError(
            f"--blend {text} is no mixture: give two styles or more, each with a weight above 0, such as "
            "a.pth:0.6,b.pth:0.4"
        )
    return parts
