"""Repaint a photograph in a trained style.

    python begin_inference.py --model_path checkpoints/starry_night.pth --content_image photo.jpg
"""

from pathlib import Path

from config import InferenceConfig
from utils.settings import parse_settings, run_command


def stylise(config: InferenceConfig) -> Path:
    """Stylise ``config.content_image`` and write ``<output_dir>/<photograph>_<model>.png``, ``.jpg`` for a JPEG.

    Returns:
        The path written.

    Raises:
        UserError: naming the flag or file at fault. Nothing has been written then.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from data.errors import UserError
    from data.images import read_image
    from utils.device import resolve_compute
    from utils.files import atomic_write
    from utils.stylizer import Stylizer

    photograph = Path(config.content_image)
    image = read_image(photograph)
    jpeg = photograph.suffix.lower() in (".jpg", ".jpeg", ".jfif") and image.mode == "RGB"
    output = Path(config.output_dir, f"{photograph.stem}_{Path(config.model_path).stem}{'.jpg' if jpeg else '.png'}")
    if output.exists() and not config.overwrite:
        raise UserError(f"{output} exists already: add --overwrite to replace it, or give another --output_dir")

    compute = resolve_compute(config.device, config.precision)
    stylizer = Stylizer(config.model_path, compute=compute)
    print(f"Stylising on {compute.describe()}")
    result = stylizer.stylise(image)
    with atomic_write(output) as file:
        if jpeg:
            result.save(file, "JPEG", quality=95, subsampling=0)
        else:
            result.save(file, "PNG")
    print(f"Wrote {output}, {result.width} x {result.height}")
    return output


def main() -> int:
    config, _ = parse_settings(InferenceConfig, __doc__)
    stylise(config)
    return 0


if __name__ == "__main__":
    run_command(main)
