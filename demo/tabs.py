"""What belongs to one open page: its photographs, its results, its work. All of it ends with the page."""

import contextlib
import functools
import io
import json
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from demo.pace import Pace
from demo.painter import Painter, Photograph, encoded, give_back_memory
from demo.recipe import Recipe, read_recipe
from demo.turns import Cancelled, Newest, Report, Work
from inference.options import StylizeError
from utils.errors import UserError, is_out_of_memory

MOST_PHOTOGRAPHS = 100  # of one page at a time

_THUMBNAIL = 224  # longest side of a photograph as each style's thumbnail, pixels
_PAUSE = 0.15  # seconds in which nothing may change before the whole photograph is begun
_LARGEST_FRAME = 1280 * 960  # of a webcam, pixels


class Tab:
    """One open page, which ``send`` gives messages from any thread; its files have ``limit`` bytes at most."""

    def __init__(self, painter: Painter, folder: Path, send: Callable[..., None], limit: int):
        self.painter, self.folder, self.limit = painter, folder, limit
        self.token, self.ended = secrets.token_urlsafe(16), threading.Event()
        self.photographs: dict[str, Photograph] = {}
        self.painting: Photograph | None = None  # to train on
        self._archive: Path | None = None
        self.downloads: dict[str, tuple[Path, str | None]] = {}  # files that it may fetch, and what it calls them
        self._sizes: dict[Path, int] = {}  # of files that the page sent
        self._send, self._lock = send, threading.Lock()
        self._workers = {kind: Newest() for kind in ("paint", "all", "thumbnails", "film")}
        self._workers["frame"] = Newest(interrupt=False, threads=painter.frames_at_once)
        self._live_recipe: Recipe | None = None
        folder.mkdir()

    def end(self, wait: bool = True) -> None:
        """Stop its work, with or without waiting for the tile under way, and remove its files."""
        self.ended.set()
        self._stop()
        for worker in self._workers.values():
            worker.end(wait)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.photographs:
            self.photographs.clear()
            give_back_memory()

    # Files that come in

    @property
    def bytes_taken(self) -> int:
        return sum(self._sizes.values())

    def take(self, path: Path, size: int) -> None:
        """Count bytes of a file that the page sends."""
        if self.bytes_taken + size > self.limit:
            raise UserError(
                f"the photographs of this page have more than {self.limit // 10**6} MB together: remove some, or "
                "give a larger --max_upload"
            )
        self._sizes[path] = self._sizes.get(path, 0) + size

    def drop(self, path: Path | None) -> None:
        """Remove a file, if there is one."""
        if path is not None:
            self._sizes.pop(path, None)
            self.downloads.pop(path.name, None)
            path.unlink(missing_ok=True)

    def new_path(self, ending: str = "") -> Path:
        return self.folder / (secrets.token_hex(8) + ending)

    def add_photograph(self, path: Path, name: str, given: str) -> dict:
        """What the page is to know of a photograph, whose own file is called ``given``."""
        if len(self.photographs) >= MOST_PHOTOGRAPHS:
            raise UserError(f"a page holds {MOST_PHOTOGRAPHS} photographs at a time: remove some first")
        photograph, number = self.painter.open(path, name, self.ended), secrets.token_hex(8)
        photograph.given = given
        self.photographs[number] = photograph
        return {
            "photograph": number, "name": name, "width": photograph.size[0], "height": photograph.size[1],
            "remarks": photograph.remarks, "film": photograph.film, "seconds": photograph.seconds,
            "screen": self._show(photograph),
        }  # fmt: skip

    def add_painting(self, path: Path, name: str) -> dict:
        """The same of a painting to train on. One at a time is kept."""
        painting = self.painter.open(path, name, self.ended)
        if painting.film:
            raise UserError(f"{name} moves: give a picture")
        if self.painting is not None:
            self._forget(self.painting)
        self.painting = painting
        return {"name": name, "screen": self._show(painting)}

    def add_mask(self, path: Path, number: str) -> dict:
        """Take a mask for a photograph, in place of the one that it had."""
        photograph = self._photograph({"photograph": number})
        self.drop(photograph.mask)
        photograph.mask = path
        return {}

    def _forget(self, photograph: Photograph) -> None:
        for path in (photograph.path, photograph.shown, photograph.mask, photograph.result[1]):
            self.drop(path)

    # Files that go out

    def _show(self, photograph: Photograph) -> str:
        """The address of a file that shows a photograph."""
        photograph.shown = self.new_path(".png" if photograph.screen.mode == "RGBA" else ".jpg")
        photograph.shown.write_bytes(encoded(photograph.screen))
        return self._offer(photograph.shown)

    def _offer(self, path: Path, name: str | None = None) -> str:
        self.downloads[path.name] = path, name
        return f"/files/{self.token}/{path.name}"

    def _result(self, photograph: Photograph, recipe: Recipe, path: Path) -> dict:
        """Name and address of a result, which takes the place of an earlier one."""
        if path != photograph.result[1]:
            self.drop(photograph.result[1])
            photograph.result = recipe, path
        name = photograph.result_name(recipe, path)
        return {"name": name, "url": self._offer(path, name)}

    # What the page says

    def receive(self, message: dict, data: bytes = b"") -> None:
        """Begin what a page asks for; a fault in it is answered with a sentence."""
        begin = {
            "paint": self._paint, "thumbnails": self._paint_thumbnails, "all": self._paint_all, "live": self._set_live,
            "film": self._repaint_film, "cancel": lambda message: self._workers["film"].stop(),
            "frame": functools.partial(self._paint_frame, data=data), "stop": self._stop, "remove": self._remove,
            "remove_mask": self._remove_mask,
        }  # fmt: skip
        with self._faults(message):
            kind = message.get("type")
            if kind not in begin:
                raise UserError("the page asked for what there is not: reload it")
            work = begin[kind](message)  # what takes longer, for a thread
            if work is not None:
                self._workers[kind].give(self._faults(message)(work))

    @contextlib.contextmanager
    def _faults(self, message: dict):
        """Any fault ends as one sentence on the page."""
        try:
            yield
        except Exception as error:
            if isinstance(error, Cancelled) or self.ended.is_set():  # its files are gone
                return
            text = f"this could not be done ({type(error).__name__}): try another photograph"
            if isinstance(error, UserError | StylizeError):
                text = for_visitors(str(error))
            elif is_out_of_memory(error):
                text = "there is not enough memory: give a smaller photograph"
            self._send({"type": "error", "of": message.get("type"), "request": message.get("request"), "error": text})

    def _known(self, message: dict) -> Photograph | None:
        """The photograph of a message, if it names one."""
        return self.photographs.get(str(message.get("photograph")))

    def _photograph(self, message: dict) -> Photograph:
        photograph = self._known(message)
        if photograph is None:
            raise UserError("that photograph is here no longer: add it again")
        return photograph

    def _recipe(self, message: dict) -> Recipe:
        """What a message wants of its photograph, under the photograph's mask, if it has one."""
        photograph = self._known(message)
        return read_recipe(message.get("recipe"), self.painter.catalogue.styles(), photograph and photograph.mask)

    def _stop(self, message: dict | None = None) -> None:
        for worker in self._workers.values():
            worker.stop()

    def _remove(self, message: dict) -> None:
        photograph = self.photographs.pop(str(message.get("photograph")), None)
        if photograph is not None:
            self._forget(photograph)

    def _remove_mask(self, message: dict) -> None:
        photograph = self._known(message)
        if photograph is not None:
            self.drop(photograph.mask)
            photograph.mask = None

    def _paint(self, message: dict) -> Work:
        """A small picture at once, then the whole, unless the page asks for something else meanwhile."""
        photograph, recipe = self._photograph(message), self._recipe(message)
        about = {"photograph": message["photograph"], "request": message.get("request")}

        def work(stop: threading.Event) -> None:
            self._send({"type": "command", **about, "command": recipe.command(photograph.given)})
            path = photograph.painted(recipe)
            if photograph.film or not (path or self.painter.is_quick(photograph, recipe)):
                self._send({"type": "preview", **about}, encoded(self.painter.preview(photograph, recipe, stop)))
                if photograph.film or stop.wait(_PAUSE):
                    return
            if path is None:
                since, report = time.perf_counter(), self._progress("progress", about)
                path, shown = self.painter.paint(photograph, recipe, self.new_path(), stop, report)
                self._send({"type": "shown", **about, "seconds": time.perf_counter() - since}, encoded(shown))
            self._send({"type": "result", **about, **self._result(photograph, recipe, path)})

        return work

    def _repaint_film(self, message: dict) -> Work:
        """A film with its sound, or an animated picture, and how far it is."""
        film, recipe = self._photograph(message), self._recipe(message)
        about = {"photograph": message["photograph"]}
        if not film.film:
            raise UserError("that is no film: give one")

        def work(stop: threading.Event) -> None:
            report, target = self._progress("film_progress", about), self.new_path(film.film)
            remarks = self.painter.repaint_film(
                film, recipe, target, stop, report,
                lambda frame: self._send({"type": "film_frame", **about}, encoded(frame)),
            )  # fmt: skip
            self._send({"type": "film", **about, **self._result(film, recipe, target), "remarks": remarks})

        return work

    def _progress(self, kind: str, about: dict) -> Report:
        """What tells the page how much is done, not too often, and how many seconds are left."""
        since, said = time.perf_counter(), 0.0

        def report(done: int, total: int | None) -> None:
            nonlocal said
            now = time.perf_counter()
            if now - said > 0.1:
                said = now
                left = (now - since) / done * max(0, total - done) if total and done else None
                self._send({"type": kind, **about, "done": done, "total": total, "left": left})

        return report

    def _paint_all(self, message: dict) -> Work:
        """Photographs, each with its recipe, in a ZIP archive."""
        wanted = (message.get("photographs") or [])[:MOST_PHOTOGRAPHS]
        pairs = [(self._photograph(one), self._recipe(one)) for one in wanted]
        pairs = [(photograph, recipe) for photograph, recipe in pairs if not photograph.film]
        about = {"request": message.get("request")}
        if not pairs:
            raise UserError("there is no photograph to paint: add one")

        def work(stop: threading.Event) -> None:
            self.drop(self._archive)
            target = self._archive = self.new_path(".zip")
            failed = []
            with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
                for done, (photograph, recipe) in enumerate(pairs):
                    self._send({"type": "all_progress", **about, "done": done, "total": len(pairs)})
                    kept = photograph.painted(recipe)
                    try:
                        path = kept or self.painter.paint(photograph, recipe, self.new_path(), stop)[0]
                    except (UserError, StylizeError) as error:
                        failed.append(for_visitors(f"{photograph.name}: {error}"))
                        continue
                    archive.write(path, _unused(photograph.result_name(recipe, path), archive.namelist()))
                    if not kept:
                        path.unlink()
            name = f"{pairs[0][1].name}.zip"
            self._send({"type": "all", **about, "url": self._offer(target, name), "name": name, "failed": failed})

        return work

    def _paint_thumbnails(self, message: dict) -> Work:
        """The photograph in every style, small."""
        photograph, styles = self._photograph(message), self.painter.catalogue.styles()

        def work(stop: threading.Event) -> None:
            if stop.wait(1.0):  # what the visitor looks at comes first
                return
            small = photograph.screen.copy()
            small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
            for style in styles.values():
                about = {"type": "thumbnail", "photograph": message["photograph"], "style": style.id}
                self._send(about, self.painter.thumbnail(small, style, stop))

        return work

    # A webcam

    def _set_live(self, message: dict) -> None:
        before, self._live_recipe = self._live_recipe, self._recipe(message)
        if before is None or before.stamps != self._live_recipe.stamps:  # other networks
            self._pace = Pace()

    def _paint_frame(self, message: dict, data: bytes) -> Work:
        """A frame of a webcam, JPEG; while others are painted the newest of those that come waits, and no other."""
        recipe = self._live_recipe
        if recipe is None:
            raise UserError("no style is chosen for the camera: choose one")
        pace, at_once = self._pace, self.painter.side_by_side(recipe)

        def work(stop: threading.Event) -> None:
            since = time.perf_counter()
            try:
                frame = Image.open(io.BytesIO(data), formats=["JPEG"])
                if frame.width * frame.height > _LARGEST_FRAME:
                    raise UserError(f"a frame of {frame.width} x {frame.height} pixels is too large: reduce it")
                frame = frame.convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                raise UserError("a frame of the camera cannot be read: start it again") from None
            scale, options = pace.scale, pace.enlarged(self.painter.options(recipe), *frame.size)
            frame = self.painter.paint_frame(frame, recipe, options)
            picture = encoded(frame, quality=85)
            with self._lock:
                pace.took((time.perf_counter() - since) / at_once)
            number = message.get("number")
            self._send({"type": "frame", "number": number, "at_once": at_once, "enlarged": scale}, picture)

        return work


def for_visitors(sentence: str) -> str:
    """A sentence of the engine without flags, which a visitor of the page cannot give."""
    sentence = re.sub(r",? or (?:give |add )?(?:a |an )?(?:larger |another )?--\w+[^:;,]*", "", sentence)
    sentence = re.sub(r"a picture of --max_pixels (\d+)", r"a picture of \1 pixels", sentence)
    sentence = sentence.replace("--max_pixels", "the page’s limit of")
    return re.sub(r"--(\w+)", lambda flag: "the " + flag[1].replace("_", " "), sentence)


def message_bytes(message: dict, data: bytes = b"") -> bytes:
    """Both in one: the length of the message as four bytes, big-endian, the message as JSON, and the bytes."""
    text = json.dumps(message).encode()
    return len(text).to_bytes(4, "big") + text + data


def read_message(data: bytes) -> tuple[dict, bytes]:
    """The reverse of :func:`message_bytes`; an empty message in place of one that is none."""
    end = 4 + int.from_bytes(data[:4], "big")
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(data[4:end])
        if isinstance(message, dict):
            return message, data[end:]
    return {}, b""


def _unused(name: str, used: list[str]) -> str:
    stem, ending, number = Path(name).stem, Path(name).suffix, 1
    while name in used:
        number += 1
        name = f"{stem}_{number}{ending}"
    return name
