"""What a training leaves behind: pictures, and models with what made them."""

import contextlib
import dataclasses
import platform
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from imaging.sheets import filmstrip, side_by_side
from imaging.writing import save_png
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import merged
from models.transformer_net import TransformerNet
from training.folder import by_step
from training.state import TrainingState
from utils.device import Compute


def monitored(network: TransformerNet, photograph: Image.Image | None, compute: Compute) -> list[Image.Image]:
    """What a network makes of the monitor's photograph, if there is one, in up to four of its styles."""
    networks = [network]
    if isinstance(network, MultiStyleNet):
        networks = [network.for_style(number) for number in range(min(len(network.styles), 4))]
    return [Stylizer(one, compute=compute).stylize(photograph) for one in networks if photograph]


def monitor_picture(state: TrainingState) -> Image.Image:
    """The monitor's photograph, and beside it each style image with its result."""
    pictures = [state.monitor_photograph]
    results = monitored(state.network, state.monitor_photograph, state.compute)
    for style_image, result in zip(state.style_images, results):
        pictures += [style_image, result]
    return side_by_side(pictures)


def write_filmstrip(folder: Path, content_image: Image.Image) -> None:
    """The results of all monitor pictures in a folder, in one picture beside them."""
    results = []
    for picture in by_step(folder, "monitor_", ".png"):
        with contextlib.suppress(OSError), Image.open(picture) as image:  # passing over one that was damaged
            # The result is as wide as the content image is at the picture's height.
            width = max(1, round(content_image.width * image.height / content_image.height))
            results.append(image.crop((image.width - width, 0, image.width, image.height)).convert("RGB"))
    if results:
        save_png(filmstrip(results), folder / "filmstrip.png")


def provenance(state: TrainingState) -> dict:
    """What made the network, for its checkpoints."""
    if state.teacher is None:
        names, levels = [Path(path).name for path in state.config.style_image], state.objective.ceiling.level().tolist()
        learnt = {
            "style": names if len(names) > 1 else names[0],
            "style_level": levels if len(levels) > 1 else levels[0],
            "loss_scales": state.objective.scales(),
            "loss_network": f"VGG-19, weights {state.identity['loss_network']}",
        }
    else:
        own = {name: state.teacher.get(name) for name in ("step", "settings", "started_from")}
        learnt = state.teacher | {"taught_by": own}
    versions = {name: version(name) for name in ("torch", "pillow", "numpy")}
    return {
        **learnt,
        "started_from": state.started_from,
        "step": state.step,
        "total_steps": state.total_steps,
        "settings": dataclasses.asdict(state.config),
        "precision": str(state.compute.dtype).removeprefix("torch."),
        "photographs": len(state.photographs),
        "processes": state.processes.count,
        "versions": {"python": platform.python_version()} | versions,
    }


def _without_folders(value):
    if isinstance(value, tuple):
        return tuple(map(_without_folders, value))
    return Path(value).name if isinstance(value, str) else value


def write_model(state: TrainingState, path: Path) -> None:
    """Write the final model; a style that was added to another network comes with the others."""
    made_by = provenance(state)
    # A model is passed on to others, who have no use for the names of folders.
    made_by["settings"] = {name: _without_folders(value) for name, value in made_by["settings"].items()}
    model = Checkpoint(state.network, made_by)
    if state.config.train == "norms":
        model.network.cpu()
        begun = load_checkpoint(state.config.start_from, "--start_from")
        model = merged([(begun, begun.styles(state.config.start_from)), (model, state.styles)])
    save_checkpoint(path, model)
