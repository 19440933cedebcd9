"""The styles of a network of several: list them, extract one as a model of its own, merge, remove.

    python -m models.styles list gallery.pth
    python -m models.styles extract gallery.pth wave wave.pth
    python -m models.styles extract gallery.pth wave:0.6,scream:0.4 between.pth
    python -m models.styles merge gallery.pth more.pth all.pth
    python -m models.styles remove gallery.pth wave rest.pth

Files end in .pth or .safetensors. Merged are networks that share all but the scales and shifts of their normalisation
layers, as those do that --train norms leaves.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from models.convert import check_target
from utils.errors import UserError
from utils.settings import run_command

# torch is imported where it is needed, so that --help and a mistyped name answer without waiting for it.


def names(path: str | Path) -> tuple[str, ...]:
    """The styles of a model file.

    Raises:
        UserError: if it cannot be read.
    """
    from models.checkpoints import load_checkpoint

    return load_checkpoint(path, "the model").styles(path)


def extract(source: str | Path, style: str, target: str | Path, overwrite: bool = False) -> None:
    """Write one style, or a mixture such as ``wave:0.6,scream:0.4``, as a model of its own.

    Raises:
        UserError: if ``source`` has not that style, or ``target`` exists or cannot be written.
    """
    from models.checkpoints import Checkpoint, save_checkpoint

    checkpoint = _load_several(source)
    weights = checkpoint.network.weights_of(style)
    provenance = {**checkpoint.provenance, "style": style}
    if 1.0 in weights:
        provenance = _of_styles(checkpoint.provenance, [weights.index(1.0)])
    check_target(target, overwrite)
    save_checkpoint(target, Checkpoint(checkpoint.network.for_style(weights), provenance))


def merge(sources: Sequence[str | Path], target: str | Path, overwrite: bool = False) -> None:
    """Write the styles of several networks, which share all else, as one network.

    Raises:
        UserError: if they share less, or have a style of the same name; if ``target`` exists or cannot be written.
    """
    from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from models.multi_style import MultiStyleNet

    checkpoints = [load_checkpoint(source, "the model") for source in sources]
    styles = [checkpoint.styles(source) for checkpoint, source in zip(checkpoints, sources)]
    try:
        network = MultiStyleNet.merged([(one.network, names) for one, names in zip(checkpoints, styles)])
    except ValueError as error:
        raise UserError(f"{', '.join(map(str, sources))} cannot be merged: {error}") from None
    check_target(target, overwrite)
    provenance = {
        "style": [name for one, names in zip(checkpoints, styles) for name in _files(one.provenance, names)],
        "merged_from": [one.provenance for one in checkpoints],
    }
    save_checkpoint(target, Checkpoint(network, provenance))


def remove(source: str | Path, style: str, target: str | Path, overwrite: bool = False) -> None:
    """Write a network without one of its styles; what has one left is a plain model.

    Raises:
        UserError: if ``source`` has not that style, or ``target`` exists or cannot be written.
    """
    from models.checkpoints import Checkpoint, save_checkpoint
    from models.multi_style import MultiStyleNet

    checkpoint = _load_several(source)
    gone = checkpoint.network.weights_of(style)
    kept = [number for number, weight in enumerate(gone) if not weight]
    if not kept:
        raise UserError(f"{source} would have no style left: keep one")
    names = [checkpoint.network.styles[number] for number in kept]
    network = MultiStyleNet.begun_from(checkpoint.network, names)
    check_target(target, overwrite)
    network = network if len(kept) > 1 else network.for_style(0)
    save_checkpoint(target, Checkpoint(network, _of_styles(checkpoint.provenance, kept)))


def _load_several(path: str | Path):
    from models.checkpoints import load_checkpoint
    from models.multi_style import MultiStyleNet

    checkpoint = load_checkpoint(path, "the model")
    if not isinstance(checkpoint.network, MultiStyleNet):
        raise UserError(f"{path} has one style, {checkpoint.styles(path)[0]}: it is a model of its own already")
    return checkpoint


def _of_styles(provenance: dict, kept: list[int]) -> dict:
    """What made a network, for some of its styles: what is told of each, in their order, is told of those alone."""

    def of_kept(values):
        if not isinstance(values, list | tuple) or any(number >= len(values) for number in kept):
            return values
        return values[kept[0]] if len(kept) == 1 else [values[number] for number in kept]

    result = {name: of_kept(value) if name in ("style", "style_level") else value for name, value in provenance.items()}
    scales = provenance.get("loss_scales")
    if isinstance(scales, dict):
        result["loss_scales"] = {**scales, "style": of_kept(scales.get("style"))}
    return result


def _files(provenance: dict, names: Sequence[str]) -> list[str]:
    style = provenance.get("style")
    files = [style] if isinstance(style, str) else style
    return list(files) if isinstance(files, list | tuple) and len(files) == len(names) else list(names)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.styles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|extract|merge|remove")
    for name, arguments in (
        ("list", ["model"]),
        ("extract", ["model", "style", "file"]),
        ("merge", ["models", "file"]),
        ("remove", ["model", "style", "file"]),
    ):
        command = commands.add_parser(name, allow_abbrev=False)
        for argument in arguments:
            command.add_argument(argument, metavar=argument.upper(), nargs="+" if argument == "models" else None)
        if name != "list":
            command.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    args = parser.parse_args()
    if args.command == "list":
        print(*names(args.model), sep="\n")
        return 0
    if args.command == "merge":
        merge(args.models, args.file, args.overwrite)
    else:
        {"extract": extract, "remove": remove}[args.command](args.model, args.style, args.file, args.overwrite)
    print(f"Wrote {args.file}")
    return 0


if __name__ == "__main__":
    run_command(main)
