"""Repaint photographs in a trained style.

    python begin_inference.py --model_path checkpoints/starry_night.pth --content_image photo.jpg
    python begin_inference.py --content_image photos/ more/*.png --output_dir results
    python begin_inference.py --strength 0.7 --preserve_color --mask sky.png
"""

from config import InferenceConfig
from utils.settings import parse_settings, run_command


def stylize(config: InferenceConfig, given: frozenset[str] = frozenset()) -> int:
    """Stylise what ``config.content_image`` names; results are ``<output_dir>/<photograph>_<model>.png``, or ``.jpg``.

    Args:
        config: the settings.
        given: names of those that were given explicitly.

    Returns:
        Exit status: 0; 1 if some of several photographs failed; 130 or 143 after a signal.

    Raises:
        UserError: naming the flag, or the file if it was the only one. Nothing has been written then.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from inference.batch import StylingRun
    from inference.painter import Painter, style_name
    from utils.device import resolve_compute

    run = StylingRun(config, given, style=style_name(config, given))
    compute = resolve_compute(config.device, config.precision)
    painter = Painter(config, compute, tell=lambda text: run.report.say(text), several=run.several)
    with run:
        for job, content_image in run.content_images(compute):  # decoded ahead by threads
            run.stylize(job, content_image, painter)  # encoded behind by threads
    return run.exit_status()


def main() -> int:
    return stylize(*parse_settings(InferenceConfig, __doc__))


if __name__ == "__main__":
    run_command(main)
