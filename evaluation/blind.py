"""A blind look: which of two results of a photograph do people prefer, without knowing whose is whose?

    python -m evaluation.blind --first ours/ --second theirs/ --photographs photos/ --output_dir look
    python -m evaluation.blind --output_dir look --answers answers.txt

The first command draws a sheet for each photograph, with the photograph and the two results, A and B, whose sides
chance decides, and keeps the sides in ``sides.json``. Whoever looks writes a line such as ``harbour A`` for each sheet;
the second command counts.
"""

from dataclasses import dataclass
from pathlib import Path

from config import OVERWRITE_HELP, setting
from evaluation.weights import inference_setting
from utils.errors import UserError
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class BlindConfig:
    """Settings of ``evaluation.blind``."""

    first: str | None = setting(None, "folder of results whose names begin with the photographs'", metavar="FOLDER")
    second: str | None = setting(None, "folder of other results of the same photographs", metavar="FOLDER")
    photographs: str = setting("photos", "folder of the photographs", metavar="FOLDER")
    output_dir: str = setting("results/blind", "folder for the sheets and the sides", metavar="FOLDER")
    height: int = setting(420, "of each picture on a sheet, pixels", minimum=64, maximum=2048)
    seed: int | None = setting(None, "decides the sides; left out, chance does", minimum=0)
    answers: str | None = setting(
        None, "file with a line for each sheet, its name and A or B: count the answers", metavar="FILE"
    )
    max_pixels: int = inference_setting("max_pixels")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def draw(config: BlindConfig) -> int:
    """Write ``<photograph>.png`` for each photograph that both folders have a result of, and ``sides.json``.

    Returns:
        Exit status 0.

    Raises:
        UserError: naming the flag at fault.
    """
    import random

    from data.dataset import list_photographs
    from evaluation.saving import write_json, write_picture
    from imaging.reading import read_image
    from imaging.sheets import contact_sheet
    from utils.files import check_target

    folders = {"first": config.first, "second": config.second}
    for name, folder in folders.items():
        if folder is None:
            raise UserError(f"--{name} is missing: give a folder of results, or --answers to count")
    results = {name: list_photographs(folder, f"--{name}") for name, folder in folders.items()}

    def result_of(name: str, photograph: Path) -> Path | None:
        stems = (photograph.stem, f"{photograph.stem}_")
        own = [path for path in results[name] if path.stem == stems[0] or path.stem.startswith(stems[1])]
        return min(own, key=lambda path: len(path.stem), default=None)  # not that of "harbour_2" for "harbour"

    pairs = {}
    for photograph in list_photographs(config.photographs, "--photographs"):
        pair = {name: result_of(name, photograph) for name in folders}
        if all(pair.values()):
            pairs[photograph] = pair
    if not pairs:
        raise UserError(
            f"--first {config.first} and --second {config.second} have no photograph of {config.photographs} in "
            "common: the results' names must begin with the photographs'"
        )
    folder = Path(config.output_dir)
    sheets = {photograph: folder / f"{photograph.stem}.png" for photograph in pairs}
    for path in (*sheets.values(), folder / "sides.json"):
        check_target(path, config.overwrite, (".png", ".json"), "--output_dir")
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(config.seed) if config.seed is not None else random.SystemRandom()
    sides = {}
    for photograph, pair in pairs.items():
        order = chance.sample(("first", "second"), 2)
        paths = {"photograph": photograph, "A": pair[order[0]], "B": pair[order[1]]}
        pictures = [(name, read_image(path, max_pixels=config.max_pixels)) for name, path in paths.items()]
        size = pictures[0][1].size
        width = round(config.height * size[0] / size[1])
        write_picture(sheets[photograph], contact_sheet(pictures, columns=3, width=width))
        sides[photograph.stem] = dict(zip("AB", order))
    write_json(folder / "sides.json", {"folders": folders, "sides": sides})
    print(f"Wrote {len(pairs)} sheets to {folder}: look at them, write a line such as")
    print(f"{next(iter(sides))} A")
    print("for each into a file, and count with --answers FILE")
    return 0


def count(config: BlindConfig) -> int:
    """Print how often each folder's results were preferred.

    Returns:
        Exit status 0.

    Raises:
        UserError: naming the file at fault.
    """
    import json

    path = Path(config.output_dir, "sides.json")
    try:
        drawn = json.loads(path.read_text(encoding="utf-8"))
        lines = Path(config.answers).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}): draw the sheets first") from None
    votes = {name: [] for name in ("first", "second")}
    for line in filter(None, map(str.strip, lines)):
        sheet, _, side = line.rpartition(" ")
        if sheet not in drawn["sides"] or side not in ("A", "B"):
            raise UserError(f"--answers {config.answers}: {line!r} is not the name of a sheet and A or B")
        votes[drawn["sides"][sheet][side]].append(sheet)
    for name, sheets in votes.items():
        print(f"{drawn['folders'][name]}: {len(sheets)} of {sum(map(len, votes.values()))} ({', '.join(sheets)})")
    return 0


def main() -> int:
    config, _ = parse_settings(BlindConfig, __doc__)
    return draw(config) if config.answers is None else count(config)


if __name__ == "__main__":
    run_command(main)
