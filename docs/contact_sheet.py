"""Lay pictures out in a grid, each with its name below.

For example:

    python -m docs.contact_sheet results/*.jpg --columns 2 --output docs/gallery/paintings.jpg
"""

import argparse
from pathlib import Path

from imaging.reading import read_image
from imaging.sheets import contact_sheet

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--width", type=int, default=560, help="of each picture, pixels")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    pictures = [(path.stem.replace("_", " "), read_image(path)) for path in args.pictures]
    contact_sheet(pictures, args.columns, args.width).save(args.output, quality=88)
