"""The styles of a network of several: list them, extract one as a model of its own, merge, remove.

    python -m models.styles list gallery.pth
    python -m models.styles extract gallery.pth wave wave.pth
    python -m models.styles extract gallery.pth wave:0.6,scream:0.4 between.pth
    python -m models.styles merge gallery.pth more.pth all.pth
    python -m models.styles remove gallery.pth wave rest.pth

Files end in .pth or .safetensors. Merged are networks that share all but the scales and shifts of their normalisation
layers, as those do that --train norms leaves.
"""

from collections.abc import Sequence

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from utils.errors import UserError
from utils.files import MODELS, check_target
from utils.settings import Parser, run_command


def one_style(checkpoint: Checkpoint, style: str, flag: str = "--style") -> Checkpoint:
    """A model of one style, or of a mixture such as ``wave:0.6,scream:0.4``, out of a network of several.

    Raises:
        UserError: naming ``flag``, if the network has no such style.
    """
    weights = checkpoint.network.weights_of(style, flag)
    network = checkpoint.network.for_style(weights)
    if 1.0 in weights:
        return Checkpoint(network, _provenance_of(checkpoint.provenance, [weights.index(1.0)], len(weights)))
    # The level and the scales of the style term are of single styles.
    told = {name: value for name, value in checkpoint.provenance.items() if name not in ("style_level", "loss_scales")}
    return Checkpoint(network, {**told, "style": style})


def without_style(checkpoint: Checkpoint, style: str, flag: str = "--style") -> Checkpoint:
    """A network of several without one of its styles, or without those of a mixture; with one left, a plain model.

    Raises:
        UserError: naming ``flag``, if the network has no such style, or would have none left.
    """
    gone = checkpoint.network.weights_of(style, flag)
    kept = [number for number, weight in enumerate(gone) if not weight]
    if not kept:
        raise UserError(f"{flag} {style} leaves no style: keep one")
    network = MultiStyleNet.begun_from(checkpoint.network, [checkpoint.network.styles[number] for number in kept])
    provenance = _provenance_of(checkpoint.provenance, kept, len(gone))
    return Checkpoint(network if len(kept) > 1 else network.for_style(0), provenance)


def merged(models: Sequence[tuple[Checkpoint, Sequence[str]]]) -> Checkpoint:
    """The styles of several models, under the given names, in one network.

    Raises:
        UserError: unless the networks share all but these layers, and each name is there once.
    """
    try:
        network = MultiStyleNet.merged([(checkpoint.network, names) for checkpoint, names in models])
    except ValueError as error:
        raise UserError(f"these models cannot be merged: {error}") from None
    files, parts = [], []
    for checkpoint, names in models:
        style = checkpoint.provenance.get("style")
        style = [style] if isinstance(style, str) else style
        style = list(style if isinstance(style, list | tuple) and len(style) == len(names) else names)
        files += style
        parts.append({**checkpoint.provenance, "style": style if len(style) > 1 else style[0]})
    return Checkpoint(network, {"style": files, "merged_from": parts})


def _provenance_of(provenance: dict, kept: list[int], count: int) -> dict:
    """What made a network of ``count`` styles, for those that are kept: what is told of each style, of these alone."""

    def of_kept(values):
        if not isinstance(values, list | tuple) or len(values) != count:
            return values
        return values[kept[0]] if len(kept) == 1 else [values[number] for number in kept]

    result = {name: of_kept(value) if name in ("style", "style_level") else value for name, value in provenance.items()}
    scales = provenance.get("loss_scales")
    rows = scales.get("style") if isinstance(scales, dict) else None
    if isinstance(rows, list | tuple) and all(isinstance(row, list | tuple) for row in rows):
        result["loss_scales"] = {**scales, "style": of_kept(rows)}
    parts = provenance.get("merged_from")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return result
    sizes = [len(part["style"]) if isinstance(part.get("style"), list) else 1 for part in parts]
    if sum(sizes) != count:
        return result
    left, first = [], 0
    for part, size in zip(parts, sizes):
        inside = [number - first for number in kept if first <= number < first + size]
        left += [_provenance_of(part, inside, size)] if inside else []
        first += size
    return left[0] if len(left) == 1 else {**result, "merged_from": left}


def main() -> int:
    parser = Parser(prog="python -m models.styles", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|extract|merge|remove")
    for name, arguments in (
        ("list", ["model"]),
        ("extract", ["model", "style", "file"]),
        ("merge", ["models", "file"]),
        ("remove", ["model", "style", "file"]),
    ):
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, metavar=argument.upper(), nargs="+" if argument == "models" else None)
        if name != "list":
            command.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    args = parser.parse_args()
    paths = args.models if args.command == "merge" else [args.model]
    models = [load_checkpoint(path, "the model") for path in paths]
    names = [model.styles(path) for model, path in zip(models, paths)]
    if args.command == "list":
        print(*names[0], sep="\n")
        return 0
    check_target(args.file, args.overwrite, MODELS)
    if args.command == "merge":
        result = merged(list(zip(models, names)))
    elif len(names[0]) == 1:
        raise UserError(f"{args.model} has one style, {names[0][0]}: it is a model of its own already")
    else:
        result = (one_style if args.command == "extract" else without_style)(models[0], args.style, "STYLE")
    save_checkpoint(args.file, result)
    print(f"Wrote {args.file}")
    return 0


if __name__ == "__main__":
    run_command(main)
