"""Take a style out of a network of several, remove styles from it, or merge the styles of several networks."""

from collections.abc import Sequence

import torch

from models.checkpoints import Checkpoint
from models.multi_style import MultiStyleNet
from utils.errors import UserError


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
        UserError: unless the networks share all but the scales and shifts, and each name is there once.
    """
    first, cannot = models[0][0].network, "these models cannot be merged"
    if any(checkpoint.network.norm == "batch" for checkpoint, _ in models):
        raise UserError(f"{cannot}: several styles need instance or mixed norm, and one of them has batch norm")
    try:
        network = MultiStyleNet(**first.architecture() | {"styles": [name for _, names in models for name in names]})
    except ValueError as error:
        raise UserError(f"{cannot}: {error}") from None
    states, together = [checkpoint.network.state_dict() for checkpoint, _ in models], {}
    for key, table in network.state_dict().items():
        value = states[0][key]
        if table.dim() == 2:  # with a row for each style
            together[key] = torch.cat([state[key].reshape(-1, value.shape[-1]) for state in states])
        elif all(state.keys() == states[0].keys() and torch.equal(state[key], value) for state in states[1:]):
            together[key] = value
        else:
            raise UserError(f"{cannot}: they differ in more than their normalisation layers ({key})")
    network.load_state_dict(together)
    files, parts = [], []
    for checkpoint, names in models:
        style = checkpoint.provenance.get("style")
        style = [style] if isinstance(style, str) else style
        style = list(style if isinstance(style, list | tuple) and len(style) == len(names) else names)
        files += style
        parts.append({**checkpoint.provenance, "style": style if len(style) > 1 else style[0]})
    return Checkpoint(network.eval(), {"style": files, "merged_from": parts})


def _provenance_of(provenance: dict, kept: list[int], count: int) -> dict:
    """What made a network of ``count`` styles, reduced to what concerns the styles that are kept."""

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
