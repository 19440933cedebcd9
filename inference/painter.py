"""What the flags of ``begin_inference.py`` make of one photograph."""

import collections
import math
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from config import InferenceConfig
from imaging.reading import read_image
from imaging.sheets import LONGEST_SIDE, contact_sheet
from inference.options import WORKING_SHORT_SIDE, StyleOptions
from inference.stylizer import Blend, Stylizer
from models.checkpoints import load_checkpoint
from utils.device import Compute
from utils.errors import UserError
from utils.progress import progress_bar


def style_name(config: InferenceConfig, given: frozenset[str] = frozenset()) -> str:
    """What results are named after: the style, the styles of a mixture, or ``contact_sheet`` for several.

    Args:
        given: names of the settings that were given explicitly.

    Raises:
        UserError: if ``--blend`` is not written as it should be, or does not go with the other flags.
    """
    if config.blend is not None:
        if "model_path" in given:
            raise UserError("--blend names its own styles: leave out --model_path")
        return "+".join(Path(path).stem for path, _ in _parse_blend(config.blend))[:100]
    return Path(config.model_path[0]).stem if len(config.model_path) == 1 else "contact_sheet"


class Painter:
    """Stylises photographs as a command asks for.

    Args:
        tell: receives lines for people.
        several: whether the photographs are many: then each kind of line is told once for all of them, and there is no
            bar over the tiles of one.

    Raises:
        UserError: naming the flag or the file at fault.
    """

    def __init__(self, config: InferenceConfig, compute: Compute, tell: Callable[[str], None], several: bool):
        self.max_size, self._tell, self._several = config.max_size, tell, several
        self._told: set[str] = set()
        mask = None if config.mask is None else _read_mask(config.mask, config.max_pixels)
        self.options = StyleOptions(config.strength, config.preserve_color, mask, config.stroke_scale)
        if config.blend is not None:
            paths, weights = zip(*_parse_blend(config.blend))
            parts = [Stylizer(load_checkpoint(path, "--blend").network, compute=compute) for path in paths]
            self.stylizers = [("", Blend(parts, list(weights)))]
        else:
            names = _names_apart([Path(path) for path in config.model_path])
            self.stylizers = [(n, Stylizer(path, compute=compute)) for n, path in zip(names, config.model_path)]

    def __call__(self, content_image: Image.Image) -> Image.Image:
        """The result; ``content_image`` may be painted over."""
        if len(self.stylizers) == 1:
            image = self._reduced(content_image)
            self._tell_stroke_scale(image)
            return self._stylize(self.stylizers[0][1], image, in_place=True)
        self._tell_stroke_scale(content_image)
        pictures = [("photograph", content_image)]
        for name, stylizer in self.stylizers:
            pictures.append((name, self._stylize(stylizer, content_image, in_place=False)))
        return contact_sheet(pictures, longest_side=min(self.max_size or LONGEST_SIDE, LONGEST_SIDE))

    def _stylize(self, stylizer: Stylizer, image: Image.Image, in_place: bool) -> Image.Image:
        with progress_bar(0, "tile", disable=self._several, delay=2) as bar:
            return stylizer.stylize(image, self.options, in_place=in_place, bar=bar)

    def _reduced(self, image: Image.Image) -> Image.Image:
        """A photograph larger than ``--max_size`` reduced to it."""
        if self.max_size is None or max(image.size) <= self.max_size:
            return image
        scale = self.max_size / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        self._say(
            f"Reduced from {image.width} x {image.height} to {size[0]} x {size[1]}, by --max_size",
            f"Photographs with a longer side are reduced to {self.max_size} pixels, by --max_size",
        )
        return image.resize(size, Image.Resampling.LANCZOS)

    def _tell_stroke_scale(self, image: Image.Image) -> None:
        width, height = self.options.working_size(*image.size)
        if self.options.stroke_scale is None and (width, height) != image.size:
            self._say(
                f"Strokes as on {width} x {height}, where --stroke_scale 1 would draw them {image.height / height:.3g} "
                "times as fine",
                f"Strokes as on a short side of {WORKING_SHORT_SIDE} pixels where photographs have more: "
                "--stroke_scale 1 draws finer ones",
            )

    def _say(self, of_one: str, of_all: str) -> None:
        if not self._several:
            self._tell(of_one)
        elif of_all not in self._told:
            self._told.add(of_all)
            self._tell(of_all)


def _names_apart(paths: list[Path]) -> list[str]:
    """The names of models; with their folder's, where several have one name."""
    times = collections.Counter(path.stem for path in paths)
    return [path.stem if times[path.stem] == 1 else f"{path.absolute().parent.name}/{path.stem}" for path in paths]


def _read_mask(path: str, max_pixels: int) -> Image.Image:
    try:
        mask = read_image(path, max_pixels=max_pixels)
    except UserError as error:
        raise UserError(f"--mask: {error}") from None
    if mask.mode == "RGBA":  # what is transparent is as black
        mask = Image.alpha_composite(Image.new("RGBA", mask.size, "black"), mask)
    return mask


def _parse_blend(text: str) -> list[tuple[str, float]]:
    """``a.pth:0.6,b.pth:0.4`` as [("a.pth", 0.6), ("b.pth", 0.4)]."""
    parts = []
    for item in text.split(","):
        path, _, weight = item.strip().rpartition(":")
        try:
            parts.append((path, float(weight)))
        except ValueError:
            parts.append(("", 0.0))
    if len(parts) < 2 or not all(path and 0 < weight < math.inf for path, weight in parts):
        raise UserError(
            f"--blend {text} is no mixture: give two styles or more, each with a weight above 0, such as "
            "a.pth:0.6,b.pth:0.4"
        )
    return parts
