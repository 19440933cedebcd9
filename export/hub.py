"""A style model as a folder for the Hugging Face Hub, with the code that runs it.

    python -m export.hub checkpoints/wave.pth wave_hub/ --style_image wave.jpg
    hf upload YOU/wave wave_hub/

In the folder: config.json, preprocessor_config.json, model.safetensors, which --model_path takes as well, the code, and
a model card with pictures. Elsewhere, with transformers:

    model = AutoModel.from_pretrained("YOU/wave", trust_remote_code=True)
    model.stylize(Image.open("photo.jpg").convert("RGB")).save("stylized.png")
"""

import io
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from config import MODEL_HELP, OVERWRITE_HELP, REQUIRED, setting
from utils.errors import UserError
from utils.files import PROGRAM, atomic_write
from utils.settings import run_command

# torch is imported where it is needed, so that --help and a mistyped flag answer without waiting for it.

ROOTS = ("modeling_style_transfer", "image_processing_style_transfer")  # modules that transformers imports

_IMPORT = re.compile(r"^( *)from (export|imaging|inference|losses|models|utils)\.(\w+) import", re.MULTILINE)
_BESIDE = '''

def _beside():
    """Never called: older versions of transformers copy only the files that this one imports by itself."""
'''


@dataclass(frozen=True)
class HubConfig:
    """Settings of ``export.hub``."""

    model: str = setting(REQUIRED, MODEL_HELP, metavar="MODEL")
    target: str = setting(REQUIRED, "receives the files", metavar="FOLDER")
    style_image: str | None = setting(None, "the painting, shown in the model card", metavar="PICTURE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def export_hub(config: HubConfig) -> None:
    """Write the style model as a folder that ``transformers.AutoModel.from_pretrained`` reads.

    Raises :class:`UserError` if the model is none, or the painting no picture; if the folder holds something or cannot
    be written; if safetensors is missing.
    """
    from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint

    folder = Path(config.target)
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder")
    if folder.is_dir() and any(folder.iterdir()) and not config.overwrite:
        raise UserError(f"{folder} is not empty: give another folder, or add --overwrite to replace what is there")
    checkpoint = load_checkpoint(config.model, flag="the model")
    files = {f"{name}.py": text.encode() for name, text in code().items()}
    for name, value in configuration(checkpoint).items():
        files[f"{name}.json"] = (json.dumps(value, indent=2) + "\n").encode()
    files["LICENSE"] = (PROGRAM / "LICENSE").read_bytes()
    pictures = sample_pictures(checkpoint.network, config.style_image)
    files |= pictures
    files["README.md"] = model_card(checkpoint, config.model, folder.name, list(pictures)).encode()
    save_checkpoint(folder / "model.safetensors", Checkpoint(checkpoint.network, checkpoint.provenance))
    for name, content in files.items():
        with atomic_write(folder / name) as file:
            file.write(content)


def code() -> dict[str, str]:
    """The modules that a model runs by, by name: those of this project side by side, importing each other so."""
    found: dict[str, str] = {}
    waiting = [("export", name) for name in ROOTS]
    while waiting:
        room, name = waiting.pop()
        if name not in found:
            text = (PROGRAM / room / f"{name}.py").read_text(encoding="utf-8")
            waiting += [(room, name) for _, room, name in _IMPORT.findall(text)]
            found[name] = _IMPORT.sub(r"\1from .\3 import", text)
    beside = "".join(f"    from .{name} import __doc__\n" for name in sorted(found.keys() - set(ROOTS)))
    return {name: text + _BESIDE + beside if name in ROOTS else text for name, text in found.items()}


def configuration(checkpoint) -> dict[str, dict]:
    """``config`` and ``preprocessor_config``, as transformers reads them."""
    modeling, image_processing = ROOTS
    return {
        "config": {
            "model_type": "fast_neural_style_transfer",
            "architectures": ["StyleTransferModel"],
            "auto_map": {
                "AutoConfig": f"{modeling}.StyleTransferConfig",
                "AutoModel": f"{modeling}.StyleTransferModel",
                "AutoModelForImageToImage": f"{modeling}.StyleTransferModel",
            },
            "dtype": "float32",  # of the computation; kernels are stored in halves
            **checkpoint.network.architecture(),
            "provenance": checkpoint.provenance,
        },
        "preprocessor_config": {
            "image_processor_type": "StyleTransferImageProcessor",
            "auto_map": {"AutoImageProcessor": f"{image_processing}.StyleTransferImageProcessor"},
        },
    }


def sample_pictures(network, style_image: str | Path | None) -> dict[str, bytes]:
    """The pictures of a model card, as JPEG: a photograph, the photograph in the style, and the painting, if given."""
    from PIL import Image

    from imaging.reading import read_image
    from imaging.tensors import picture_batch, tensor_to_image
    from inference.stylizer import Stylizer

    photograph = tensor_to_image(picture_batch(read_image(PROGRAM / "content" / "mountains.jpg"), short_side=320)[0])
    pictures = {"photograph.jpg": photograph, "stylized.jpg": Stylizer(network).stylize(photograph)}
    if style_image is not None:
        painting = tensor_to_image(picture_batch(read_image(style_image))[0])
        painting.thumbnail((640, 640), Image.Resampling.LANCZOS)
        pictures["painting.jpg"] = painting
    for name, picture in pictures.items():
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        pictures[name] = file.getvalue()
    return pictures


def model_card(checkpoint, source: str | Path, name: str, pictures: list[str]) -> str:
    """The README.md of a model on the Hub: what it is, its pictures, three lines of use, what made it, its licence."""
    styles, provenance = checkpoint.styles(source), checkpoint.provenance
    several = len(styles) > 1
    style = f', style="{styles[-1]}"' if several else ""
    settings = provenance.get("settings") if isinstance(provenance.get("settings"), dict) else {}
    rows = [("steps", provenance.get("step")), ("loss network", provenance.get("loss_network"))]
    rows += [("photographs", provenance.get("photographs")), *settings.items()]
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows if value is not None)
    shown = " ".join(f"![{picture.removesuffix('.jpg')}]({picture})" for picture in pictures)
    return f"""---
license: other
license_name: research-and-education
license_link: LICENSE
library_name: transformers
pipeline_tag: image-to-image
tags: [style-transfer, image-to-image]
---

# {_cell(", ".join(styles))}

Repaints photographs {"in one of these styles, or a mixture of them" if several else "in this style"}, in a single pass:
fast neural style transfer (Johnson, Alahi and Fei-Fei, 2016, [arXiv:1603.08155](https://arxiv.org/abs/1603.08155)).

{shown}

```python
from PIL import Image
from transformers import AutoModel

model = AutoModel.from_pretrained("{name}", trust_remote_code=True)
model.stylize(Image.open("photo.jpg").convert("RGB"){style}).save("stylized.png")
```

Or in batches, with `AutoImageProcessor.from_pretrained("{name}", trust_remote_code=True)`:
`processor.post_process(model(**processor(photo){style}))[0]`. Strength, colours, masks and the size of strokes are
arguments of `stylize`; `options.py` says which.

## What made it

| | |
| --- | --- |
{table}

For research and education, see [LICENSE](LICENSE).
"""


def _cell(value) -> str:
    """A value in a table of Markdown."""
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(re.sub(r"([\\|<>`*_\[\]])", r"\\\1", text).split())


def main(config: HubConfig) -> None:
    export_hub(config)
    hf = "hf" if shutil.which("hf") else "pip install huggingface_hub, then: hf"
    print(f"Wrote {config.target}. To publish it: {hf} upload YOUR_NAME/{Path(config.target).name} {config.target}")


if __name__ == "__main__":
    run_command(main, HubConfig, __doc__)
