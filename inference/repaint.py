"""Films and animated pictures, repainted frame by frame: decoded ahead and encoded behind by threads."""

import collections
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from config import MAX_PIXELS
from imaging.animations import AnimationReader, AnimationWriter, is_animation
from imaging.film_writing import FILM_FORMATS, FilmWriter
from imaging.films import FilmReader, Frame
from inference.options import AS_TRAINED, StyleOptions
from inference.stylizer import Stylizer
from utils.files import atomic_write

_AHEAD = 3  # frames that wait decoded, and that wait to be encoded


@dataclass
class FilmResult:
    """What became of a film."""

    path: Path  # of the file that was written
    source_size: tuple[int, int]  # (width, height) of the film's frames
    size: tuple[int, int]  # of the file's
    frames: int = 0  # that were repainted
    seconds: float = 0.0  # in the network
    length: Fraction = Fraction(0)  # of what was written, seconds
    stopped: bool = False  # whether ``should_stop`` ended it before its end; the file has another name then
    remarks: list[str] = field(default_factory=list)  # sentences on what could not be read
    notes: list[str] = field(default_factory=list)  # sentences on what was converted or left out


def repaint_film(
    stylizer: Stylizer,
    source: str | Path,
    target: str | Path,
    options: StyleOptions = AS_TRAINED,
    *,
    start: float | None = None,
    end: float | None = None,
    max_size: int | None = None,
    quality: int | None = None,
    max_pixels: int = MAX_PIXELS,
    on_frame: Callable[[int, int | None], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FilmResult:
    """Repaint a film, or an animated GIF, WebP, PNG or AVIF, with its sound, subtitles, time stamps and metadata.

    The target appears, in the place of what was there, once it is whole. Memory does not grow with the length of a
    film; it does with that of an animated picture's result.

    Args:
        target: its ending says the format: .mp4, .mov, .mkv, .webm; .gif, .webp, .png, .avif.
        options: the same for each frame.
        start, end: seconds.
        max_size: longest side, pixels: larger frames are reduced.
        quality: of a film a constant-rate factor, less is better; of an animated WebP or AVIF 1 to 100.
        on_frame: called in this thread after each frame: how many are done, and how many there are, if the file tells.
        should_stop: asked after each frame; after ``True`` what there is becomes a file that plays so far,
            ``<target>_unfinished<ending>``, and whatever is at the target stays.

    Raises:
        StylizeError, MemoryError: for a mask of other proportions; if not even a small tile fits into memory.
        UserError, ImageError: naming the file that cannot be read or written.
    """
    target = Path(target)
    with _reader(source, start, end, max_pixels) as film:
        size = reduced_size(film.size, max_size)
        options.check_mask(*size)
        result = FilmResult(target, film.size, size)
        with (
            atomic_write(target, lambda: result.path) as file,
            _writer(file, target.suffix.lower(), film, size, quality) as writer,
        ):
            with _behind(writer.write) as write, contextlib.closing(_ahead(film.frames())) as frames:
                for frame in frames:
                    since = time.perf_counter()
                    pixels = repainted(stylizer, resized(frame.pixels, size), options)
                    result.seconds += time.perf_counter() - since
                    result.frames += 1
                    result.length = frame.time + frame.duration
                    write(Frame(pixels, frame.time, frame.duration))
                    on_frame(result.frames, film.total)
                    if should_stop():
                        result.stopped, result.path = True, _unfinished(target)
                        break
            if not result.stopped:
                writer.write_rest()
        result.size, result.remarks, result.notes = writer.size, film.remarks, writer.remarks
        if film.converted:
            result.notes.insert(0, f"{source} is {film.converted}: the result is BT.709, of usual brightness")
        return result


def _unfinished(target: Path) -> Path:
    """A free name for a part of a film: a later command takes it for no result, and replaces none."""
    names = (target.with_stem(f"{target.stem}_unfinished{number}") for number in ("", *range(2, 10**6)))
    return next(name for name in names if not os.path.lexists(name))


def reduced_size(size: tuple[int, int], max_size: int | None) -> tuple[int, int]:
    scale = max_size / max(size) if max_size else 1.0
    return tuple(max(1, round(side * scale)) for side in size) if scale < 1 else size


def _reader(source, start, end, max_pixels) -> FilmReader | AnimationReader:
    if is_animation(source):
        return AnimationReader(source, start, end, max_pixels)
    return FilmReader(source, start, end, max_pixels, sound=True)


def _writer(file, ending: str, film, size: tuple[int, int], quality: int | None) -> FilmWriter | AnimationWriter:
    moving = isinstance(film, FilmReader)
    if ending not in FILM_FORMATS:
        return AnimationWriter(file, ending, 0 if moving else film.info.get("loop"), quality)
    time_base = film.stream.time_base if moving else Fraction(1, 1000)
    return FilmWriter(file.name, ending, size, film.rate, time_base, film if moving else None, quality)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W x channels, uint8, brought to (width, height); the same array where that is its size."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS))


def repainted(stylizer: Stylizer, pixels: np.ndarray, options: StyleOptions = AS_TRAINED) -> np.ndarray:
    """H x W x 3 or 4, uint8, of the same; transparency is kept as it is."""
    frame = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].to(stylizer.compute.device)
    output = torch.empty_like(frame) if frame.shape[1] == 3 else frame.clone()
    stylizer.stylize_tensor(frame[:, :3], options, output)
    return output[0].permute(1, 2, 0).cpu().numpy()


def _ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames, read by a thread."""
    with ThreadPoolExecutor(1) as pool, contextlib.closing(frames):
        waiting = collections.deque(pool.submit(next, frames, None) for _ in range(_AHEAD))
        try:
            while (frame := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, frames, None))
                yield frame
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _behind(write: Callable[[Frame], None]) -> Iterator[Callable[[Frame], None]]:
    """The same function, called by a thread, in a block at whose end all calls have been made."""
    with ThreadPoolExecutor(1) as pool:
        waiting = collections.deque()

        def later(frame: Frame) -> None:
            waiting.append(pool.submit(write, frame))
            if len(waiting) > _AHEAD:
                waiting.popleft().result()

        try:
            yield later
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
