"""What the commands of ``export`` share: their command line, and what they tell of a model."""

import json
from pathlib import Path

from utils.files import PROGRAM
from utils.settings import Parser


def export_parser(module: str, description: str, target: str, target_help: str) -> Parser:
    """``python -m <module> MODEL <target>``, with ``--overwrite``."""
    parser = Parser(prog=f"python -m {module}", description=description)
    parser.add_argument("source", metavar="MODEL", help="trained style, .pth or .safetensors, or the name of a model")
    parser.add_argument("target", metavar=target, help=target_help)
    parser.add_argument("--overwrite", action="store_true", help=f"replace {target} where it exists")
    return parser


def facts(checkpoint, source: str | Path) -> dict[str, str]:
    """What a file tells of the model in it: its styles and what made it, in JSON; its licence."""
    return {
        "styles": json.dumps(checkpoint.styles(source)),
        "provenance": json.dumps(checkpoint.provenance),
        "license": (PROGRAM / "LICENSE").read_text(encoding="utf-8"),
    }
