"""A style model as another one: in another file format, with fewer styles, or several models in one.

    python -m export.model wave.pth wave.safetensors
    python -m export.model gallery.pth wave.pth --style wave
    python -m export.model gallery.pth between.pth --style wave:0.6,scream:0.4
    python -m export.model gallery.pth rest.pth --without wave
    python -m export.model gallery.pth more.pth all.pth

Files end in .pth, or in .safetensors where that package is installed. A checkpoint to resume from becomes a style model
too, without what resuming needs. Models can be merged if they share all but the scales and shifts of their
normalisation layers, as those do that --train norms leaves.
"""

from dataclasses import dataclass

from config import MODEL_HELP, OVERWRITE_HELP, REQUIRED, setting
from utils.errors import UserError
from utils.files import MODELS, check_target
from utils.settings import run_command


@dataclass(frozen=True)
class ModelConfig:
    """Settings of ``export.model``."""

    model: tuple[str, ...] = setting(REQUIRED, f"{MODEL_HELP}; several are merged", metavar="MODEL")
    target: str = setting(REQUIRED, "receives it, in the format of its ending", metavar="FILE")
    style: str | None = setting(None, "keep this style alone, or a mixture such as wave:0.6,scream:0.4")
    without: str | None = setting(None, "leave out this style, or those of a mixture", metavar="STYLE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def export_model(config: ModelConfig) -> None:
    """Write what ``config`` describes.

    Raises :class:`UserError` if a model cannot be read, has no such style, or cannot be merged; if the target exists or
    cannot be written. Nothing is written then.
    """
    check_target(config.target, config.overwrite, MODELS)
    if config.style and config.without:
        raise UserError("--style and --without exclude each other: give one of them")
    # Imported here, so that --help and a mistyped name answer without waiting for torch.
    from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    from models.styles import merged, one_style, without_style

    models = [load_checkpoint(path, "the model") for path in config.model]
    styles = [model.styles(path) for model, path in zip(models, config.model)]
    result = merged(list(zip(models, styles))) if len(models) > 1 else models[0]
    chosen = config.style or config.without
    if chosen and sum(map(len, styles)) == 1:
        raise UserError(f"{config.model[0]} has one style, {styles[0][0]}: leave out --style and --without")
    if config.style:
        result = one_style(result, config.style)
    elif config.without:
        result = without_style(result, config.without, "--without")
    save_checkpoint(config.target, Checkpoint(result.network, result.provenance))
    print(f"Wrote {config.target}")


if __name__ == "__main__":
    run_command(export_model, ModelConfig, __doc__)
