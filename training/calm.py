"""Make a model calm: it paints films and a camera's noise as steadily as it can, and all else as it did before.

python -m training.calm wave.pth calm_wave.pth --dataset_dir photos/

Neither the painting nor the loss network is needed: the model itself shows what is to be painted. Ctrl-C writes what
there is.
"""

import sys
from dataclasses import dataclass

from config import DEVICE_HELP, MAX_PIXELS, MAX_PIXELS_HELP, OVERWRITE_HELP, PRECISION_HELP, PRECISIONS, setting
from utils.errors import UserError
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class CalmConfig:
    """Settings of ``training.calm``."""

    # What is made calm
    model_path: str | None = setting(None, "the model; the flag may be left out where it comes first", metavar="FILE")
    output: str | None = setting(
        None,
        "file that receives the calm one, .pth or .safetensors; likewise, where it comes second",
        metavar="FILE",
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)
    dataset_dir: str = setting("photos", "folder of photographs, read with its subfolders", metavar="FOLDER")

    # How
    steps: int = setting(600, "steps of the optimiser", minimum=1)
    temporal_weight: float = setting(
        2.0, "weight of the temporal term beside faithfulness to the model: more is calmer, and softer", minimum=0
    )
    image_size: int = setting(256, "side of the square crops, pixels", minimum=32, maximum=4096)
    batch_size: int = setting(1, "photographs a step", minimum=1)
    lr: float = setting(0.002, "learning rate at the beginning; it falls to 0 by a cosine", above=0)
    seed: int = setting(0, "of order, crops, motions and noise", minimum=0, maximum=2**63 - 1)

    # The machine
    device: str = setting("auto", DEVICE_HELP)
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)
    num_workers: int | None = setting(None, "processes that read photographs; left out, by the machine", minimum=0)
    max_pixels: int = setting(MAX_PIXELS, MAX_PIXELS_HELP, minimum=1)


def main() -> int:
    arguments = sys.argv[1:]
    for place, flag in ((0, "--model_path"), (2, "--output")):
        if len(arguments) > place and not arguments[place].startswith("-"):
            arguments.insert(place, flag)
        else:
            break
    config, _ = parse_settings(CalmConfig, __doc__, arguments)
    for flag in ("model_path", "output"):
        if getattr(config, flag) is None:
            raise UserError(f"--{flag} is missing: give the model, and then the file that receives the calm one")
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from training.distillation import calm

    return calm(config)


if __name__ == "__main__":
    run_command(main)
