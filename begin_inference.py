"""Repaint photographs in a trained style.

For example:

    python begin_inference.py --model_path checkpoints/starry_night.pth --content_image photo.jpg
    python begin_inference.py --model_path gallery.pth --style wave:0.6,scream:0.4 --content_image photo.jpg
    python begin_inference.py --content_image photos/ more/*.png --output_dir results
    python begin_inference.py --strength 0.7 --preserve_color --mask sky.png
"""

from config import InferenceConfig
from utils.errors import one_line
from utils.settings import run_command


def stylize(config: InferenceConfig, given: frozenset[str] = frozenset()) -> int:
    """Stylise what ``config.content_image`` names; results are ``<output_dir>/<photograph>_<model>.png``, or ``.jpg``.

    ``given`` names the settings that were given explicitly. The exit status is 0; 1 if some of several photographs
    failed; 130 or 143 after a signal. Raises UserError, naming the flag, or the file if it was the only one.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from inference.batch import InferenceRun
    from inference.named_styles import list_styles

    if config.list_styles:
        print(*map(one_line, list_styles(config, given)), sep="\n")
        return 0
    return InferenceRun(config, given).run()


if __name__ == "__main__":
    run_command(stylize, InferenceConfig, __doc__, with_given=True)
