"""Photographs in style, by the engine and the settings of ``begin_inference.py``: something at once, then all of it."""

import contextlib
import ctypes
import dataclasses
import functools
import gc
import io
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from config import DemoConfig, InferenceConfig
from demo.catalogue import PICTURES, Catalogue, Style, shipped_pictures
from demo.recipe import Recipe, read_recipe
from demo.turns import Report, TileBar, Turns
from imaging.animations import AnimationReader
from imaging.film_writing import FILM_FORMATS
from imaging.films import FilmReader
from imaging.reading import picture_size, read_image
from imaging.writing import save_picture
from inference.batch import calling, read_photograph, style_options
from inference.jobs import planned
from inference.named_styles import load_styles
from inference.options import StyleOptions
from inference.repaint import reduced_size, repaint_film
from inference.stylizer import Stylizer
from utils.device import resolve_compute

_SCREEN = 1600  # longest side of what is shown on a screen, pixels
_PREVIEW = 800  # longest side of the first small picture, pixels
_SOON = 0.1  # seconds that the network may take for a first small picture
_SMALLEST, _LARGEST = 96 * 96, 1024 * 1024  # pixels of it that the network is given
_SAMPLE = (192, 144)  # pixels of the photograph that shows a style, at most
_PAINTING = 480  # pixels of the longer side of a painting that is shown beside its style
_STYLIZERS = 24  # that are kept, of a few megabytes each
_LARGE = 4_000_000  # pixels of a picture after which memory is given back
_FRAMES = 4  # of webcams that are painted at once, at most
_FRAME_EVERY = 0.7  # seconds between two frames of a film that are shown while it is painted


@dataclass
class Photograph:
    """A photograph, a film or an animated picture that a visitor gave."""

    path: Path  # where its bytes lie
    name: str  # what the visitor calls it
    size: tuple[int, int]  # width and height
    screen: Image.Image  # the picture, or the first one, ``RGB`` or ``RGBA``, with no side longer than ``_SCREEN``
    pixels: int  # that are held decoded while it is painted
    remarks: list[str]  # what its owner should know
    film: str | None = None  # of what moves, the ending of its result, such as ".mp4"
    seconds: float | None = None  # of a film, as far as its file tells
    given: str = ""  # what the visitor's own file is called
    result: tuple[Recipe | None, Path | None] = None, None  # the newest one's recipe and file
    shown: Path | None = None  # the file of ``screen``
    mask: Path | None = None  # what the visitor brushed over, black

    def result_name(self, recipe: Recipe, path: Path) -> str:
        """As the command names it."""
        return f"{Path(self.name).stem}_{recipe.name}{path.suffix}"

    def painted(self, recipe: Recipe) -> Path | None:
        """The file of the newest result, if that is of a recipe."""
        made, path = self.result
        return path if made == recipe else None


class Painter:
    """The engine for all visitors, who have their ``turns`` while the network computes."""

    def __init__(self, config: DemoConfig, catalogue: Catalogue):
        self.config, self.catalogue = config, catalogue
        self._in_callers_thread = resolve_compute(config.device, config.precision)
        self.compute = self._in_callers_thread.in_one_thread()
        # Small networks paint so many webcam frames at once.
        self.frames_at_once = min(torch.get_num_threads(), _FRAMES) if self.compute.device.type == "cpu" else 1
        self._places = threading.Semaphore(self.frames_at_once)
        self.turns, self.room = Turns(), Turns(config.max_pixels)  # of the network; and of pixels held decoded
        self._load = functools.lru_cache(_STYLIZERS)(self._read_styles)
        self._seconds_per_pixel = {False: 3e-6, True: 1e-6}  # of a network's pass, and a twin's; measured as it goes

    def open(self, path: Path, name: str, stop: threading.Event) -> Photograph:
        """A photograph or a film, read from a file; an animated picture's path keeps the ending of its name."""
        most = self.config.max_pixels
        ending, moves = planned(path, "auto", still=False)  # by its first bytes: a list of other files is no film
        if moves:
            reader = FilmReader if ending in FILM_FORMATS else AnimationReader
            with calling(path, name), reader(path, max_pixels=most) as film:
                pixels = math.prod(film.size)
                held = pixels if reader is FilmReader else pixels * (film.total or most)  # with all of the result
                if held <= most:
                    with self.room.taken(stop, pixels):
                        screen = _on_screen(Image.fromarray(np.ascontiguousarray(film.first_picture())))
                    seconds = None if film.seconds is None else float(film.seconds)
                    return Photograph(path, name, film.size, screen, held, [], ending, seconds)
        with self.room.taken(stop, math.prod(picture_size(path, most))):
            image = read_photograph(path, most, called=name)
            size, remarks = image.size, image.info["remarks"]
            return Photograph(path, name, size, _on_screen(image), math.prod(size), remarks)

    def stylizer(self, recipe: Recipe, network: str = "config") -> Stylizer:
        """The engine of a recipe's ``config``, ``quick`` or ``live``, kept until one of its files changes."""
        config = getattr(recipe, network)
        compute = self._in_callers_thread if network == "live" and self.side_by_side(recipe) > 1 else self.compute
        return self._load(config.model_path, config.style, config.blend, recipe.stamps, compute)

    def _read_styles(self, model_path, style, blend, stamps, compute) -> Stylizer:
        config = InferenceConfig(model_path=model_path, style=style, blend=blend)
        return load_styles(config, compute, lambda text: None, self.catalogue.read)[0][1]

    def options(self, recipe: Recipe) -> StyleOptions:
        return style_options(recipe.config, self.config.max_pixels)

    def preview(self, photograph: Photograph, recipe: Recipe, stop: threading.Event) -> Image.Image:
        """The photograph in style, as small as it has to be to be there at once.

        Its strokes are as large on it as on the result, or larger where the network would need too many pixels.
        """
        options, screen = self.options(recipe), photograph.screen
        reduction = self._reduction(photograph, options, recipe.has_twin)
        network_size = max(options.working_size(*photograph.size)) / reduction
        shown = reduced_size(screen.size, max(network_size, _PREVIEW))
        image = screen.resize(shown, Image.Resampling.LANCZOS) if shown != screen.size else screen.copy()
        options = dataclasses.replace(options, stroke_scale=max(1.0, max(shown) / network_size))
        stylizer = self.stylizer(recipe, "quick")
        with self.turns.taken(stop):
            since = time.perf_counter()
            stylizer.stylize(image, options, in_place=True, bar=TileBar(self.turns, stop))
            took = (time.perf_counter() - since) / math.prod(options.working_size(*shown))
        if options.strength > 0:
            known = self._seconds_per_pixel[recipe.has_twin]
            self._seconds_per_pixel[recipe.has_twin] = 0.7 * known + 0.3 * took
        return image

    def is_quick(self, photograph: Photograph, recipe: Recipe) -> bool:
        """Whether the whole photograph is painted as soon as a small picture of it."""
        return max(photograph.size) <= _PREVIEW and self._reduction(photograph, self.options(recipe), False) == 1

    def _reduction(self, photograph: Photograph, options: StyleOptions, twin: bool) -> float:
        """By how much the network's picture has to be smaller than for the result, to be there at once."""
        most = min(max(_SOON / self._seconds_per_pixel[twin], _SMALLEST), _LARGEST)
        return max(1.0, math.sqrt(math.prod(options.working_size(*photograph.size)) / most))

    def thumbnail(self, image: Image.Image, style: Style, stop: threading.Event) -> bytes:
        """A small picture in one style, as a browser shows it."""
        stylizer = self.stylizer(_plain(style), "quick")
        with self.turns.taken(stop):
            return encoded(stylizer.stylize(image, bar=TileBar(self.turns, stop)), 85)

    def sample(self, style: Style, stop: threading.Event) -> bytes:
        """The same of the photograph that shows what a style looks like."""
        small = read_image(PICTURES / f"{next(iter(shipped_pictures()['examples']))}.jpg")
        small.thumbnail(_SAMPLE, Image.Resampling.LANCZOS)
        return self.thumbnail(small, style, stop)

    def small(self, path: Path) -> bytes:
        """A picture of this machine, as a browser shows it."""
        image = read_image(path, max_pixels=self.config.max_pixels).convert("RGB")
        image.thumbnail((_PAINTING, _PAINTING), Image.Resampling.LANCZOS)
        return encoded(image, 85)

    def seconds_per_training_step(self) -> float | None:
        """What a step of a training on this CPU may take: six passes over its crops (SOAP, one core of an EPYC)."""
        styles = self.catalogue.styles()
        if self.compute.device.type != "cpu" or not styles:
            return None
        stylizer = self.stylizer(_plain(next(iter(styles.values()))))
        crops = torch.full((2, 3, 128, 128), 128.0)
        times = []
        for _ in range(3):  # the first one prepares kernels
            with self.turns.taken():
                since = time.perf_counter()
                stylizer.stylize_tensor(crops)
                times.append(time.perf_counter() - since)
        return 6 * min(times)

    def side_by_side(self, recipe: Recipe) -> int:
        """How many webcam frames are painted at once: two small networks on a core each do more than one on both."""
        return self.frames_at_once if recipe.has_twin else 1

    def paint_frame(self, frame: Image.Image, recipe: Recipe, options: StyleOptions) -> Image.Image:
        """A webcam's frame in style, painted in place."""
        stylizer = self.stylizer(recipe, "live")
        with self._places if self.side_by_side(recipe) > 1 else self.turns.taken():
            return stylizer.stylize(frame, options, in_place=True)

    def paint(
        self, photograph: Photograph, recipe: Recipe, target: Path, stop: threading.Event, report: Report | None = None
    ) -> tuple[Path, Image.Image]:
        """The file that the command would write, at ``target`` with an ending, and the result for a screen."""
        options, stylizer = self.options(recipe), self.stylizer(recipe)
        with self.room.taken(stop, photograph.pixels):
            image = read_photograph(photograph.path, self.config.max_pixels, called=photograph.name)
            ending, info = planned(photograph.path, "auto", still=True)[0], image.info
            with self.turns.taken(stop):
                image = stylizer.stylize(image, options, in_place=True, bar=TileBar(self.turns, stop, report))
            path = target.with_name(target.name + ending)
            with open(path, "wb") as file:
                save_picture(image, file, ending, info)
            image = _on_screen(image)
        if photograph.pixels > _LARGE:
            give_back_memory()
        return path, image

    def repaint_film(
        self, film: Photograph, recipe: Recipe, target: Path, stop: threading.Event, report: Report, show: Callable
    ) -> list[str]:
        """The film in style, with sound, and sentences on it; ``show`` receives a small frame every now and then."""
        options, stylizer = self.options(recipe), self.stylizer(recipe)
        bar = TileBar(self.turns, stop, report)  # whose tiles are frames
        newest, shown = None, 0.0

        def stylize_tensor(frame: torch.Tensor, options: StyleOptions, output: torch.Tensor) -> None:
            nonlocal newest
            newest = stylizer.stylize_tensor(frame, options, output)

        def on_frame(done: int, total: int | None) -> None:
            nonlocal shown
            bar.total = total
            bar.update()
            if time.perf_counter() - shown > _FRAME_EVERY:
                picture = Image.fromarray(newest[0, :3].permute(1, 2, 0).contiguous().cpu().numpy())
                picture.thumbnail((_PREVIEW, _PREVIEW))
                show(picture)
                shown = time.perf_counter()

        watched = SimpleNamespace(compute=stylizer.compute, stylize_tensor=stylize_tensor)
        with self.room.taken(stop, film.pixels), self.turns.taken(stop), calling(film.path, film.name):
            most = self.config.max_pixels
            result = repaint_film(watched, film.path, target, options, max_pixels=most, on_frame=on_frame)
        return [text.replace(str(film.path), film.name) for text in [*result.remarks, *result.notes]]


def _plain(style: Style) -> Recipe:
    """One style as it is."""
    return read_recipe({"styles": [[style.id, 1]]}, {style.id: style})


def give_back_memory() -> None:
    """Have the C library give freed memory back to the system: glibc keeps gigabytes of it after a large picture."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    """A picture for a browser to show: JPEG, or PNG where it has transparency."""
    file = io.BytesIO()
    if image.mode == "RGBA":
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def _on_screen(image: Image.Image) -> Image.Image:
    """The same picture, which is reduced, without its metadata."""
    image.thumbnail((_SCREEN, _SCREEN), Image.Resampling.LANCZOS)
    image.info = {}
    return image
