"""What the content ceiling does: the same short trainings without and with it, side by side.

    python -m benchmarks.ceiling --vgg_weights vgg19.pth --dataset_dir photos/ --styles a.jpg b.jpg --picture out.jpg

Trains each painting twice with the default weights and prints, for each, content term relative to a grey picture's,
style term relative to the painting's, and the level at the end. The picture has a row for each painting: photograph,
result without, result with.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

from begin_training import run_training
from config import TrainingConfig
from imaging.reading import read_image
from imaging.sheets import side_by_side
from inference.stylizer import Stylizer
from training.run import TrainingRun
from utils.measuring import table


def last_line(output_dir: Path, style: Path) -> dict:
    metrics = output_dir / f"{style.stem}_training" / "metrics.jsonl"
    return json.loads(metrics.read_text(encoding="utf-8").splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", nargs="+", required=True)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--vgg_weights", required=True)
    parser.add_argument("--photograph", default="content/mountains.jpg")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--style_size", type=int, default=256)
    parser.add_argument("--total_steps", type=int, default=400)
    parser.add_argument("--picture", required=True, help="JPEG file")
    args = parser.parse_args()

    photograph = read_image(args.photograph)
    rows, pictures = [], []
    for style in map(Path, args.styles):
        row, results = [style.stem], []
        for with_ceiling in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                config = TrainingConfig(
                    style_image=(str(style),),
                    dataset_dir=args.dataset_dir,
                    vgg_weights=args.vgg_weights,
                    output_dir=folder,
                    image_size=args.image_size,
                    style_size=args.style_size,
                    total_steps=args.total_steps,
                    num_epochs=1000,
                    log_every_steps=max(1, args.total_steps // 5),
                    monitor_every_steps=0,
                )
                run = TrainingRun(config)
                if not with_ceiling:
                    run.training.criterion.ceiling.gain = 0.0  # one that never moves is none
                run_training(run)
                metrics = last_line(Path(folder), style)
                results.append(Stylizer(Path(folder, f"{style.stem}.pth")).stylize(photograph))
            level = metrics["style_level"]
            style_term = metrics["weighted"]["style"] / config.style_weight / level
            row += [f"{metrics['content_to_grey']:.2f}", f"{style_term:.2f}", f"{level:.2f}"]
        pictures.append(side_by_side([photograph, *results], height=300))
        rows.append(row)

    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height + 6 for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height + 6
    sheet.save(args.picture, quality=88)
    header = ["painting", "content / grey", "style", "level", "with: content / grey", "style", "level"]
    print(table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
