"""Draw the pictures of docs/gallery/ that the models which ship make, each with the command that the manuals name.

    pip install scikit-image && python -m docs.draw_gallery

scikit-image brings the two photographs with a face and an animal: ``astronaut.png`` (Eileen Collins, by NASA, in the
public domain) and ``chelsea.png`` (a cat, by Stefan van der Walt, CC0).
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from imaging.reading import read_image
from imaging.sheets import contact_sheet

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery"
MANY = "checkpoints/gallery.pth"


def stylize(output_dir: Path, *flags: object) -> None:
    command = [sys.executable, "begin_inference.py", "--output_dir", output_dir, "--overwrite", *flags]
    subprocess.run([*map(str, command)], cwd=ROOT, check=True)


def sample(name: str) -> Path:
    """A photograph that scikit-image brings."""
    return Path(importlib.util.find_spec("skimage").origin).parent / "data" / f"{name}.png"


def draw_front(models: list[str], scratch: Path) -> Image.Image:
    """A face and an animal, in each style."""
    pictures = []
    for name in ("astronaut", "chelsea"):
        photograph = read_image(sample(name)).convert("RGB")
        cells = [("photograph", photograph)]
        for model in models:
            style = Path(model).stem
            stylize(scratch / style, "--content_image", sample(name), "--model_path", model)
            cells.append((style.replace("_", " "), read_image(scratch / style / f"{name}_{style}.png")))
        side = min(photograph.size)
        pictures += [(name, ImageOps.fit(cell, (side, side), Image.Resampling.LANCZOS)) for name, cell in cells]
    return contact_sheet(pictures, columns=len(models) + 1, width=300)


def draw_styles(photograph: Path, scratch: Path) -> Image.Image:
    """A photograph in every style of the model of many."""
    stylize(scratch, "--model_path", MANY, "--style", "all", "--content_image", photograph)
    sheet = read_image(scratch / f"{photograph.stem}_contact_sheet.png")
    sheet.thumbnail((1500, 1500), Image.Resampling.LANCZOS)
    return sheet


def draw_mixture(photograph: Path, scratch: Path) -> Image.Image:
    """From one style of that model to another in five steps."""
    first, second = "the_scream", "wave"
    steps = [second, *(f"{first}:{share},{second}:{4 - share}" for share in (1, 2, 3)), first]
    pictures = []
    for number, style in enumerate(steps):
        stylize(scratch / str(number), "--model_path", MANY, "--style", style, "--content_image", photograph)
        pictures.append((style, read_image(next((scratch / str(number)).iterdir()))))
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
    pictures = [("photograph", read_image(photograph))]
    for number, (name, *values) in enumerate(flags):
        stylize(scratch / str(number), *values)
        pictures.append((name, read_image(next((scratch / str(number)).iterdir()))))
    return contact_sheet(pictures, columns=3, width=428)


def draw_stroke_scale(scratch: Path) -> Image.Image:
    """A photograph of 24 megapixels at three stroke sizes, whole and pixel by pixel."""
    large = scratch / "large.png"
    scene = read_image(ROOT / "content" / "mountains.jpg")
    scene.resize((6000, 4000), Image.Resampling.LANCZOS).save(large)
    pictures = [("photograph, 6000 x 4000", read_image(large))]
    for flags in ((), ("--stroke_scale", 1), ("--stroke_scale", 10)):
        stylize(scratch / "large", "--content_image", large, *flags)
        name = " ".join(map(str, flags)) or "default"
        pictures.append((name, read_image(scratch / "large" / "large_starry_night.png")))
    cabin = (4440, 2420, 4810, 2667)
    details = [(f"{name}, detail 1:1", picture.crop(cabin)) for name, picture in pictures]
    return contact_sheet([*pictures, *details], columns=4, width=370)


def main() -> None:
    models = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "checkpoints").glob("*.pth"))
    models.remove(str(Path(MANY)))
    for model in models:
        stylize(GALLERY, "--model_path", model, "--content_image", "content/mountains.jpg", "content/harbour.jpg")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        draw_front(models, scratch).save(GALLERY / "face_and_cat.jpg", quality=88)
        draw_styles(sample("chelsea"), scratch).save(GALLERY / "cat_styles.jpg", quality=85)
        draw_styles(sample("astronaut"), scratch).save(GALLERY / "face_styles.jpg", quality=85)
        draw_mixture(sample("chelsea"), scratch / "mixture").save(GALLERY / "mixture.jpg", quality=85)
        draw_taste(scratch).save(GALLERY / "taste.jpg", quality=85)
        draw_stroke_scale(scratch).save(GALLERY / "stroke_scale.jpg", quality=85)


if __name__ == "__main__":
    main()
