"""Lay pictures out in a grid, each with its name below.

    python docs/contact_sheet.py results/*.jpg --columns 2 --output docs/gallery/paintings.jpg
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CAPTION = 22


def contact_sheet(paths: list[Path], columns: int, width: int) -> Image.Image:
    """Pictures scaled to one width, in rows; the caption is the file's name without its ending."""
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            height = round(image.height * width / image.width)
            pictures.append((path.stem.replace("_", " "), image.convert("RGB").resize((width, height))))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [max(picture.height for _, picture in row) + CAPTION + 8 for row in rows]
    sheet = Image.new("RGB", (columns * (width + 8) - 8, sum(heights)), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(size=15), 0
    for row, height in zip(rows, heights):
        for column, (name, picture) in enumerate(row):
            left = column * (width + 8)
            sheet.paste(picture, (left, top))
            draw.text((left + 4, top + picture.height + 2), name, "black", font)
        top += height
    return sheet


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--width", type=int, default=560, help="of each picture, pixels")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    contact_sheet(args.pictures, args.columns, args.width).save(args.output, quality=88)
