"""Draw demo/pictures, which the page ships: photographs to begin with, and small pictures of paintings.

    pip install scikit-image && python -m demo.draw_pictures PAINTINGS

The folder PAINTINGS has a picture for each painting in demo/pictures/credits.json, under its name. The photographs are
those that scikit-image brings.
"""

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from config import REQUIRED, setting
from demo.catalogue import PICTURES, shipped_pictures
from imaging.reading import read_image
from utils.errors import UserError
from utils.files import atomic_write
from utils.settings import parse_settings, run_command

LONGEST_SIDE = 320  # of a painting, pixels
LARGEST = 15_000  # bytes of a painting


@dataclass(frozen=True)
class PicturesConfig:
    """Settings of ``python -m demo.draw_pictures``."""

    paintings: str = setting(REQUIRED, "folder of the paintings that the styles learnt from", metavar="PAINTINGS")


def jpeg(picture: Image.Image, largest: int | None = None) -> bytes:
    """A picture as JPEG; with a largest number of bytes, of the best quality that keeps to it."""
    for quality in range(88, 20, -3):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if largest is None or file.tell() <= largest:
            break
    return file.getvalue()


def main() -> int:
    folder = Path(parse_settings(PicturesConfig, __doc__)[0].paintings)
    scikit = importlib.util.find_spec("skimage")
    if scikit is None:
        raise UserError("the photographs are those of scikit-image: pip install scikit-image")
    credits = shipped_pictures()
    drawn = {
        name: jpeg(read_image(Path(scikit.origin).parent / "data" / f"{one['source']}.png").convert("RGB"))
        for name, one in credits["examples"].items()
    }
    for name in credits["paintings"]:
        picture = read_image(folder / f"{name}.jpg").convert("RGB")
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        drawn[name] = jpeg(picture, LARGEST)
    for name, data in drawn.items():
        with atomic_write(PICTURES / f"{name}.jpg") as file:
            file.write(data)
    print(f"Wrote {len(drawn)} pictures to {PICTURES}")
    return 0


if __name__ == "__main__":
    run_command(main)
