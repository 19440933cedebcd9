"""Several pictures on one: in a grid, each with its name below, or in a row."""

import math
import unicodedata

from PIL import Image, ImageDraw, ImageFont

from imaging.tensors import flatten, scaled
from utils.labels import unique

_GAP = 8
_CAPTION = 24
_SMALLEST_CELL, _LARGEST_CELL = 160, 640  # in smaller ones captions would not fit
LONGEST_SIDE = 4096


def contact_sheet(
    pictures: list[tuple[str, Image.Image]],
    columns: int | None = None,
    width: int | None = None,
    longest_side: int = LONGEST_SIDE,
) -> Image.Image:
    """A white sheet with pictures in rows and their names in Pillow's built-in font, which has ASCII letters alone.

    There are about as many columns as rows unless ``columns`` is given. ``width`` is that of every picture; left out,
    at most 640, never more than a picture has, and as the sheet allows. A sheet that is too large is reduced, with its
    captions.
    """
    columns = columns or (len(pictures) if len(pictures) <= 3 else math.ceil(math.sqrt(len(pictures))))
    most = longest_side // max(columns, math.ceil(len(pictures) / columns)) - _CAPTION - _GAP
    most = min(max(most, _SMALLEST_CELL), _LARGEST_CELL)
    names = unique([_ascii(name) for name, _ in pictures])
    scales = [width / image.width if width else min(1.0, most / max(image.size)) for _, image in pictures]
    cells = [flatten(scaled(image, scale)) for (_, image), scale in zip(pictures, scales)]
    step = max(_SMALLEST_CELL, *(cell.width for cell in cells)) + _GAP
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + _CAPTION + _GAP for row in rows]
    sheet = Image.new("RGB", (min(columns, len(cells)) * step - _GAP, sum(heights) - _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for i, (name, cell) in enumerate(zip(names, cells)):
        left, top = i % columns * step, sum(heights[: i // columns])
        sheet.paste(cell, (left, top))
        draw.text((left + 4, top + cell.height + 2), _shortened(name, font, step - _GAP - 4), "black", font)
    sheet.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return sheet


def side_by_side(images: list[Image.Image], height: int = 360, gap: int = 6) -> Image.Image:
    """Pictures in a row, scaled to the same height in pixels."""
    images = [image.resize((max(1, round(image.width * height / image.height)), height)) for image in images]
    row = Image.new("RGB", (sum(image.width for image in images) + gap * (len(images) - 1), height), "white")
    left = 0
    for image in images:
        row.paste(flatten(image), (left, 0))
        left += image.width + gap
    return row


def filmstrip(results: list[Image.Image], height: int = 200, most: int = 8) -> Image.Image:
    """Results in the order of their steps, ``most`` of them evenly chosen, the first and last among them."""
    if len(results) > most:
        results = [results[round(i * (len(results) - 1) / (most - 1))] for i in range(most)]
    return side_by_side(results, height)


def _ascii(name: str) -> str:
    """A name on one line, without accents, and with question marks for letters of other scripts."""
    letters = (c for c in unicodedata.normalize("NFKD", " ".join(name.split())) if not unicodedata.combining(c))
    return "".join(letters).encode("ascii", "replace").decode()


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A text, without its middle if it is too long: labels differ in their first folder, or in a number at the end."""
    shortened, kept = text, len(text)
    while kept and font.getlength(shortened) > width:
        kept -= 1
        shortened = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
    return shortened
