"""A style model in another file format: ``.pth``, or ``.safetensors`` where that package is installed.

    python -m models.convert checkpoints/wave.pth wave.safetensors
    python begin_inference.py --model_path wave.safetensors

A checkpoint to resume from becomes a style model too, without what resuming needs.
"""

from pathlib import Path

from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from utils.files import MODELS, check_target
from utils.settings import Parser, run_command


def convert(source: str | Path, target: str | Path, overwrite: bool = False) -> None:
    """Write the style model of ``source`` to ``target``, in the format of that name's ending.

    Raises:
        UserError: if ``source`` is no checkpoint, or ``target`` exists or cannot be written.
    """
    check_target(target, overwrite, MODELS)
    checkpoint = load_checkpoint(source, flag="the model")
    save_checkpoint(target, Checkpoint(checkpoint.network, checkpoint.provenance))
    print(f"Wrote {target}")


def main() -> int:
    parser = Parser(prog="python -m models.convert", description=__doc__)
    parser.add_argument("source", metavar="MODEL", help="trained style, .pth or .safetensors")
    parser.add_argument("target", metavar="FILE", help="receives it, in the format of its ending")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    args = parser.parse_args()
    convert(args.source, args.target, args.overwrite)
    return 0


if __name__ == "__main__":
    run_command(main)
