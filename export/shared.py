"""What the commands of ``export`` share."""

import json
from pathlib import Path

from utils.files import PROGRAM

MODEL_HELP = "trained style, .pth or .safetensors, or the name of a model"


def facts(checkpoint, source: str | Path) -> dict[str, str]:
    """What a file tells of the model in it: its styles and what made it, in JSON; its licence."""
    return {
        "styles": json.dumps(checkpoint.styles(source)),
        "provenance": json.dumps(checkpoint.provenance),
        "license": (PROGRAM / "LICENSE").read_text(encoding="utf-8"),
    }
