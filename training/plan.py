"""How many steps a training takes, and which settings cannot work or look like a mistake. Errors name the flag."""

import warnings

from config import TrainingConfig
from models.checkpoints import load_checkpoint
from models.vgg19 import LAYERS
from utils.errors import UserError

ENOUGH_STEPS = 2000
"""Steps after which most style images look right; unless a flag says otherwise a training has no fewer."""

SMALLEST_STYLE_IMAGE = 16
"""Pixels of a style image's short side; the deepest features look at as many."""


def planned_steps(config: TrainingConfig, photographs: int, processes: int = 1) -> tuple[int, str]:
    """Steps that a training will run, and what led to it, in words."""
    batch = config.batch_size * processes
    steps, reason = min(max(2 * photographs // batch, ENOUGH_STEPS), 40_000), ""  # the paper's, at most
    if config.num_epochs is not None:
        steps, reason = max(1, config.num_epochs * photographs // batch), ", as --num_epochs says"
    if config.total_steps is not None and (config.num_epochs is None or config.total_steps <= steps):
        steps, reason = config.total_steps, ", as --total_steps says"
    return steps, f"{steps} steps, {steps * batch / photographs:.3g} passes over {photographs} photographs{reason}"


def check_weights(config: TrainingConfig) -> None:
    """Refuse an objective without content and style; warn of one that lacks one of them."""
    if not config.content_weight and not config.style_weight:
        raise UserError("--content_weight 0 and --style_weight 0 leave nothing to learn: give one of them a weight")
    if not config.style_weight:
        warnings.warn("with --style_weight 0 the model learns no style: it copies photographs", stacklevel=2)
    if not config.content_weight:
        warnings.warn("with --content_weight 0 the model learns to ignore the photographs", stacklevel=2)


def strange_weights(config: TrainingConfig) -> str | None:
    """A sentence about weights whose ratio is more than 30 times the usual one, such as those of another project."""
    content, style, variation = config.content_weight, config.style_weight, config.tv_weight
    usual = TrainingConfig()
    if config.loss_scale == "paper" and (content, style) == (usual.content_weight, usual.style_weight):
        return (
            "--loss_scale paper gives --content_weight and --style_weight another meaning, and these are the "
            "relative scale's: docs/training.md has weights to start from"
        )
    if config.loss_scale == "paper" or not content:
        return None
    style_factor = style / content / (usual.style_weight / usual.content_weight)
    variation_factor = variation / content / (usual.tv_weight / usual.content_weight)
    for name, value, factor, effect in (
        ("style_weight", style, style_factor, "the photograph will drown"),
        ("tv_weight", variation, variation_factor, "all will be smoothed away"),
        ("content_weight", content, 1 / style_factor if style else 0.0, "next to nothing of the style will be learnt"),
    ):
        if factor > 30:
            times = f"{factor:,.0f}" if factor < 1e6 else "more than a million"
            return (
                f"--{name} {value:g} is {times} times the usual beside the other weights, and {effect}; weights "
                "of the size that other projects have go with --loss_scale paper, see docs/training.md"
            )
    return None


def check_style_term(config: TrainingConfig, side: int) -> None:
    """Refuse unknown layers, a wrong number of weights, and a ``side`` too small for the loss network: the shortest
    of the pictures that are compared, in pixels."""
    octaves, layers = config.style_octaves, config.style_layers
    for layer in layers:
        if layer not in LAYERS or layers.count(layer) > 1:
            raise UserError(f"--style_layers {layer}: choose, each once, from {', '.join(LAYERS)}")
    for name, count, of in (("style_layer_weights", len(layers), "layers"), ("style_octave_weights", octaves, "sizes")):
        weights = getattr(config, name)
        if weights is not None and (len(weights) != count or not any(weights)):
            raise UserError(f"--{name} takes {count} weights, one for each of the {of}, and not all of them 0")
    if side >> (octaves - 1) < SMALLEST_STYLE_IMAGE:
        raise UserError(
            f"--style_octaves {octaves} halves {side} pixels to fewer than {SMALLEST_STYLE_IMAGE}: "
            "give fewer, or larger pictures"
        )


def check_styles(config: TrainingConfig, styles: tuple[str, ...]) -> None:
    """Refuse settings that do not work with several styles, or with ``--train norms``."""
    if "all" in styles and (len(styles) > 1 or config.train == "norms"):
        raise UserError("--style_image names a style all, which --style takes for every one: rename the file")
    if len(styles) > 1 and config.norm == "batch":
        network = "--norm batch" if config.start_from is None else f"--start_from {config.start_from}, of batch norm,"
        raise UserError(
            f"{network} does not go together with {len(styles)} style images: give one, or mixed or instance norm"
        )
    if config.train == "norms":
        if config.start_from is None or config.norm == "batch":
            raise UserError(
                "--train norms adds a style to another network, without batch norm: name that with --start_from"
            )
        if config.weight_decay:
            raise UserError("--train norms does not go together with --weight_decay: leave one of them out")
        known = load_checkpoint(config.start_from, "--start_from").styles(config.start_from)
        if twice := set(known) & set(styles):
            raise UserError(
                f"--start_from {config.start_from} has a style {min(twice)} already: rename the style image"
            )
