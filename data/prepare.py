"""Decode a folder of photographs once, for trainings that then read pixels instead of decoding files.

    python -m data.prepare PHOTOS CACHE             # PHOTOS stay as they are; CACHE is made, or gone on with
    python -m data.prepare --verify CACHE           # check every photograph of CACHE against its checksum
    python begin_training.py --dataset_dir CACHE

Photographs are stored upright, as RGB bytes, with a short side of --size pixels; smaller ones keep their size. COCO
2017 takes about 40 GB at 288 pixels. Interrupted in whatever way, the same command goes on where it stopped.
"""

import argparse
import contextlib
import os
import signal
import sys
import warnings
from pathlib import Path

# numpy, Pillow and torch are imported where they are used, so that --help and a mistyped flag answer at once.
from config import MAX_PIXELS
from data.errors import ImageError, UserError

DEFAULT_SIZE = 288
"""A little more than the training's crops of 256 pixels, which are cut out of it at one scale."""


def stored_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height with a short side of ``size`` pixels, rounded; those of a smaller picture as they are."""
    scale = min(1.0, size / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def decode(path: Path, size: int, max_pixels: int = MAX_PIXELS):
    """A photograph as it is stored: upright, its short side reduced to ``size`` pixels, without transparency.

    One of more than ``max_pixels`` is refused, see :func:`data.images.read_image`.

    Returns:
        H x W x 3, uint8, RGB, a contiguous array.

    Raises:
        ImageError: naming the file and the reason.
    """
    import numpy as np
    from PIL import Image

    from data.images import read_image

    # Twice the size keeps the reduced decoding invisible after resampling.
    image = read_image(path, draft_size=2 * size, max_pixels=max_pixels).convert("RGB")
    stored = stored_size(*image.size, size)
    if stored != image.size:
        image = image.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(image)


class _Decoded:
    """The photographs in order, decoded: index -> (H x W x 3 uint8 tensor, crc32), or the reason why not."""

    def __init__(self, folder: Path, paths: list[Path], size: int, max_pixels: int):
        self.folder, self.paths, self.size, self.max_pixels = folder, paths, size, max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int):
        import zlib

        import torch

        try:
            pixels = decode(self.paths[index], self.size, self.max_pixels)
        except ImageError as error:
            # As the photograph is called in the store, which does not depend on where the folder lies.
            path = self.paths[index]
            return str(error).replace(str(path), str(path.relative_to(self.folder)))
        # A tensor travels through shared memory. An array would through a pipe, on which a decoding process that is not
        # read any more, because this one was killed, would wait for ever.
        return torch.from_numpy(pixels), zlib.crc32(pixels)


def _sources(folder: Path, paths: list[Path]) -> list[tuple[str, int, int]]:
    """(name relative to the folder, bytes, mtime_ns) of each file."""
    sources = []
    for path in paths:
        try:
            status = os.stat(path)
            numbers = status.st_size, status.st_mtime_ns
        except OSError:  # a dangling link: unreadable, as will be found
            numbers = -1, 0
        sources.append((path.relative_to(folder).as_posix(), *numbers))
    return sources


def prepare(
    photographs: str | Path,
    cache: str | Path,
    size: int = DEFAULT_SIZE,
    num_workers: int = 0,
    overwrite: bool = False,
    shard_bytes: int | None = None,
    max_pixels: int = MAX_PIXELS,
):
    """Decode a folder of photographs into a store, or go on with that.

    Args:
        photographs: the folder, read with its subfolders.
        cache: folder that receives the store.
        size: short side of the stored photographs, pixels.
        num_workers: decoding processes; 0 decodes in this one.
        overwrite: whether to begin anew where ``cache`` holds another store.
        shard_bytes: limit of a file of pixels; ``None`` takes ``data.store.SHARD_BYTES``.
        max_pixels: photographs of more are left out.

    Returns:
        The finished :class:`data.store.PhotographStore`. An unreadable photograph is warned of and left out.

    Raises:
        UserError: naming the folder or flag at fault, or when more than a tenth of the photographs are unreadable.
    """
    from data.photographs import list_photographs
    from data.store import SHARD_BYTES, PhotographStore, StoreWriter

    photographs, cache = Path(photographs), Path(cache)
    paths = list_photographs(photographs, "PHOTOS")
    n = len(paths)
    writer = StoreWriter(cache, size, _sources(photographs, paths), overwrite, shard_bytes or SHARD_BYTES)
    with writer:
        if writer.finished:
            print(f"{cache} is complete already; python -m data.prepare --verify {cache} checks its pixels")
        else:
            print(
                f"Preparing {n} photographs of {photographs} in {cache}, short side {size} pixels, {num_workers} "
                "decoding processes" + (f"; going on after {writer.done}" if writer.done else ""),
                flush=True,
            )
            try:
                _fill(writer, _Decoded(photographs, paths, size, max_pixels), num_workers)
            except KeyboardInterrupt:
                print(f"Stopped after {writer.done} of {n} photographs", flush=True)
                raise
            writer.finish()
    return PhotographStore(cache)


@contextlib.contextmanager
def _interrupts():
    """Within the block, SIGINT and SIGTERM are taken note of; a second one meets the handling of before.

    Yields:
        What to call between two photographs: it raises ``KeyboardInterrupt(signal)`` once one has come.
    """
    received, before = [], {}

    def note(number, frame):
        received.append(number)
        restore()

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_if_interrupted():
        if received:
            raise KeyboardInterrupt(received[0])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield stop_if_interrupted
    finally:
        restore()


def _fill(writer, photographs: _Decoded, num_workers: int) -> None:
    """Add what the store lacks, in order. In memory are the few photographs that are decoded ahead."""
    import torch
    from tqdm import tqdm

    from data.loader import init_worker, refuse_if_many_unreadable, unchanged

    n = len(photographs)
    if writer.unreadable:  # by an earlier command, which may have stopped for that
        refuse_if_many_unreadable(len(writer.unreadable), n, photographs.folder, writer.unreadable[-1])
    loader = torch.utils.data.DataLoader(
        photographs,
        batch_size=None,  # photographs differ in size
        sampler=range(writer.done, n),
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=init_worker if num_workers else None,
        collate_fn=unchanged,
        generator=torch.Generator(),  # else the loader would draw from the global one
    )
    mininterval = _progress_interval()
    try:
        with _interrupts() as stop_if_interrupted:
            for item in tqdm(loader, total=n, initial=writer.done, unit="photograph", mininterval=mininterval):
                if isinstance(item, str):
                    writer.add_unreadable(item)
                    warnings.warn(f"skipped: {item}", stacklevel=3)
                    refuse_if_many_unreadable(len(writer.unreadable), n, photographs.folder, writer.unreadable[-1])
                else:
                    pixels, crc32 = item
                    writer.add(pixels.numpy(), crc32)
                stop_if_interrupted()
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            "a decoding process was ended by the system, for want of memory most likely: give a smaller --num_workers, "
            "and the same command goes on where it stopped"
        ) from None


def _progress_interval() -> float:
    """Seconds between two states of the progress bar: few lines in a log file."""
    return 0.5 if sys.stderr.isatty() else 30


def verify(cache: str | Path):
    """Read every photograph of a store and compare its checksum.

    Returns:
        The :class:`data.store.PhotographStore`.

    Raises:
        UserError: naming the first damaged photograph; or where the store is not finished.
    """
    from tqdm import tqdm

    from data.store import PhotographStore, is_store

    if not is_store(cache):
        raise UserError(f"--verify {cache} is not a folder that python -m data.prepare has written")
    store = PhotographStore(cache, "--verify")
    for index in tqdm(range(len(store)), unit="photograph", mininterval=_progress_interval()):
        store.pixels(index)
    return store


def _describe(store) -> str:
    shards = f"{store.num_shards} file{'s' if store.num_shards > 1 else ''}"
    text = f"{len(store)} photographs, {store.num_bytes / 1e9:.2f} GB in {shards}"
    if store.unreadable:
        names = ", ".join(name for name, _ in store.unreadable[:5]) + (", ..." if len(store.unreadable) > 5 else "")
        text += f"; {len(store.unreadable)} could not be read and were left out: {names}"
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data.prepare",
        usage="%(prog)s [--size INT] [--num_workers INT] [--max_pixels INT] [--overwrite] PHOTOS CACHE\n"
        "       %(prog)s --verify CACHE",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "photographs", metavar="PHOTOS", nargs="?", help="folder of photographs, read with its subfolders"
    )
    parser.add_argument("cache", metavar="CACHE", nargs="?", help="folder that receives the prepared photographs")
    parser.add_argument("--verify", metavar="CACHE", help="check every photograph of CACHE, and write nothing")
    size_help = "short side of the stored photographs, pixels; at least the --image_size of the trainings"
    parser.add_argument(
        "--size", type=int, metavar="INT", default=DEFAULT_SIZE, help=size_help + " (default: %(default)s)"
    )
    workers_help = "processes that decode; 0 decodes in the writing process; left out, one a core"
    parser.add_argument("--num_workers", type=int, metavar="INT", help=workers_help)
    pixels_help = "leave out photographs of more pixels than this, unread (default: %(default)s)"
    parser.add_argument("--max_pixels", type=int, metavar="INT", default=MAX_PIXELS, help=pixels_help)
    overwrite_help = "begin anew where CACHE holds other prepared photographs, or damaged ones"
    parser.add_argument("--overwrite", action="store_true", help=overwrite_help)
    return parser


def _run(args: argparse.Namespace) -> None:
    if args.verify is not None:
        print(f"{args.verify} is sound: {_describe(verify(args.verify))}")
        return
    if args.size < 32:
        raise UserError(f"--size must be 32 or more, not {args.size}")
    workers = args.num_workers
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 0:
        raise UserError(f"--num_workers must be 0 or more, not {workers}")
    if args.max_pixels < 1:
        raise UserError(f"--max_pixels must be 1 or more, not {args.max_pixels}")
    store = prepare(args.photographs, args.cache, args.size, workers, args.overwrite, max_pixels=args.max_pixels)
    print(f"{args.cache} holds {_describe(store)}")
    print(f"To train on them: python begin_training.py --dataset_dir {args.cache}")


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 2 after a :class:`UserError`, 130 or 143 after a signal."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.verify is not None and args.photographs is not None:
        parser.error("--verify takes the folder to check and no other")
    if args.verify is None and args.cache is None:
        parser.error("PHOTOS and CACHE are needed: the folder of photographs, and the one for what is made of them")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            _run(args)
    except KeyboardInterrupt as interrupt:
        if args.verify is None:
            print("To go on: the same command" + (", without --overwrite" if args.overwrite else ""))
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except UserError as error:
        # As utils.settings.run_command does; this package knows nothing of utils.
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
