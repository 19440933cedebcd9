"""The page's server: its files, what a page uploads, and a WebSocket for each page that is open."""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from config import DemoConfig
from demo.catalogue import PICTURES, Catalogue, shipped_pictures
from demo.guard import Guard
from demo.painter import Painter
from demo.tabs import Tab, for_visitors, message_bytes, read_message
from demo.trainings import Trainings
from demo.turns import Cancelled
from imaging.animations import ANIMATION_ENDINGS
from imaging.reading import largest_file
from inference.batch import calling
from utils.errors import UserError, one_line

MOST_TABS = 32  # pages that may be open at a time
LARGEST_MESSAGE = 4 * 2**20  # bytes of one that a page sends over its WebSocket

_FOLDER, _LOCK = "style_transfer_", "lock"
_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".jpg": "image/jpeg",
    ".mp4": "video/mp4", ".zip": "application/zip",
}  # fmt: skip
_CHANGES = ("start", "stop", "resume")  # of a training


def _answered(handler: Callable) -> Callable:
    """Answer a request of an open page, which ``X-Tab`` names, with JSON, or a fault in it with a sentence."""

    async def answer(self, request: Request) -> Response:
        tab = self.tabs.get(request.headers.get("x-tab", ""))
        if tab is None:
            return JSONResponse({"error": "this page has lost its server: reload it"}, 403)
        try:
            return JSONResponse(await handler(self, request, tab))
        except UserError as error:
            status, text = 422, for_visitors(str(error))
        except (ClientDisconnect, Cancelled):
            status, text = 499, "the page was closed"
        except OSError as error:
            status, text = 507, f"the file cannot be kept ({error.strerror}): make room on the disk"
        return JSONResponse({"error": text}, status)

    return answer


class Server:
    """Everything behind the addresses."""

    def __init__(self, config: DemoConfig):
        self.config = config
        self.catalogue = Catalogue([*(config.models or ()), config.output_dir])
        self.painter = Painter(config, self.catalogue)
        more = ["--device", config.device, "--precision", config.precision]
        more += ["--vgg_weights", config.vgg_weights] if config.vgg_weights else []
        self.machine = self.painter.compute.describe()  # before main() sets another number of threads
        on_cpu = self.painter.compute.device.type == "cpu"
        self.trainings = Trainings(config.dataset_dir or (), Path(config.output_dir), on_cpu, more)
        self.tabs: dict[str, Tab] = {}  # pages that are open, by their tokens
        self._folder, self._lock = own_folder()
        # Read now: no path of a request is ever opened.
        self._files = {path.name: path.read_bytes() for path in _STATIC.iterdir() if path.suffix in _TYPES}
        self._pictures = {path.name: path.read_bytes() for path in PICTURES.glob("*.jpg")}
        self._sample = functools.cache(lambda style: self.painter.sample(style, self.ended))
        self._step: Future | None = None  # of the seconds that one of a training may take
        self._background = ThreadPoolExecutor(1)  # a thread of its own, so that no visitor's picture waits for these
        self.ended = threading.Event()

    def app(self, host: str, port: int) -> Starlette:
        routes = [
            Route("/", self.page),
            Route("/styles", self.styles),
            *(Route(address, self.style_picture) for address in ("/thumbnail", "/painting")),
            Route("/pictures/{name}", self.page),
            *(Route(f"/{what}", self.upload, methods=["POST"]) for what in ("photographs", "masks", "paintings")),
            Route("/files/{tab}/{file}", self.download),
            Route("/training", self.training),
            Route("/training/picture", self.training_picture),
            *(Route(f"/training/{what}", self.change_training, methods=["POST"]) for what in _CHANGES),
            WebSocketRoute("/tab", self.tab),
            Route("/{name}", self.page),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Guard, host=host, port=port)])

    def end(self) -> None:
        """Stop all work and remove all files."""
        self._background.shutdown(wait=False, cancel_futures=True)
        self.ended.set()
        for tab in list(self.tabs.values()):
            tab.end(wait=False)
        self._lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        data = self._files.get(name) or self._pictures.get(name)
        if data is None:
            raise HTTPException(404, "there is nothing here")
        return Response(data, media_type=_TYPES[PurePosixPath(name).suffix], headers={"Cache-Control": "no-cache"})

    # What is no coroutine is called by a thread.

    def style_picture(self, request: Request) -> Response:
        """The sample photograph in a style, or what a style of one's own learnt from, small."""
        style = self.catalogue.styles().get(request.query_params.get("style"))
        with contextlib.suppress(UserError, Cancelled, CancelledError, RuntimeError):  # the last two as the server ends
            if style and request.url.path == "/thumbnail":
                return Response(self._background.submit(self._sample, style).result(), media_type="image/jpeg")
            if style and style.painting:
                return Response(self.painter.small(style.painting), media_type="image/jpeg")
        raise HTTPException(404, "there is no such picture")

    def styles(self, request: Request) -> Response:
        shown = []
        for style in self.catalogue.styles().values():
            query = f"?style={quote(style.id)}"
            painting = f"pictures/{style.painting.name}" if style.credit else f"painting{query}"
            shown.append({
                "id": style.id, "name": style.name, "model": style.model, "quick": style.twin is not None,
                "credit": style.credit, "painting": painting if style.painting else None,
                "thumbnail": f"thumbnail{query}",
            })  # fmt: skip
        examples = shipped_pictures()["examples"]
        return JSONResponse({
            "styles": shown, "unreadable": self.catalogue.unreadable, "device": self.machine,
            "examples": [{"url": f"pictures/{name}.jpg", **one} for name, one in examples.items()],
            "trains": bool(self.trainings.folders),
        })  # fmt: skip

    @_answered
    async def upload(self, request: Request, tab: Tab) -> dict:
        """A photograph, a painting or a mask: the body; its name is ``X-Name``, and a mask is for ``X-Photograph``."""
        given = PurePosixPath(unquote(request.headers.get("x-name", ""))).name
        name = file_name(given)
        ending = PurePosixPath(name).suffix.lower()
        path, most = tab.new_path(ending if ending in ANIMATION_ENDINGS else ""), self.config.max_pixels
        try:
            with open(path, "xb") as file:
                async for chunk in request.stream():
                    tab.take(path, len(chunk))
                    if file.tell() + len(chunk) > largest_file(most):
                        raise UserError(f"the file has more bytes than a picture of {most} pixels")
                    file.write(chunk)
            if request.url.path == "/masks":
                return tab.add_mask(path, request.headers.get("x-photograph", ""))
            if request.url.path == "/paintings":
                return await asyncio.to_thread(tab.add_painting, path, name)
            plain = given and all(unicodedata.category(c)[0] != "C" for c in given)
            return await asyncio.to_thread(tab.add_photograph, path, name, given if plain else name)
        except BaseException:
            tab.drop(path)
            raise

    def training(self, request: Request) -> Response:
        return JSONResponse(self._training_status())

    def _training_status(self) -> dict:
        status = self.trainings.status()
        if status["state"] == "none" and self.trainings.folders:
            if self._step is None:  # measured while the page waits for nothing
                self._step = self._background.submit(self.painter.seconds_per_training_step)
            status["seconds_per_step"] = self._step.result() if self._step.done() else None
        return status

    def training_picture(self, request: Request) -> Response:
        data = self.trainings.picture()
        if data is None:
            raise HTTPException(404, "there is no picture yet")
        return Response(data, media_type="image/png")

    @_answered
    async def change_training(self, request: Request, tab: Tab) -> dict:
        """Start, stop or resume; to start, a painting was sent, and what else is wanted stands in ``X-Training``."""
        what = PurePosixPath(request.url.path).name
        if what == "start":
            wanted = None  # name, number of the folder, steps
            with contextlib.suppress(ValueError, RecursionError):
                wanted = json.loads(unquote(request.headers.get("x-training", "")))
            if not isinstance(wanted, list) or [type(one) for one in wanted] != [str, int, int]:
                raise UserError("what is wanted of the training is missing: reload the page")
            if tab.painting is None:
                raise UserError("the painting is here no longer: choose it again")
            path = tab.painting.path
            with calling(path, "the painting"):
                await asyncio.to_thread(self.trainings.start, path, *wanted, self.config.max_pixels)
        else:
            await asyncio.to_thread(getattr(self.trainings, what))
        return await asyncio.to_thread(self._training_status)

    async def download(self, request: Request) -> Response:
        tab = self.tabs.get(request.path_params["tab"])
        downloads = tab.downloads if tab else {}
        path, name = downloads.get(request.path_params["file"], (None, None))
        if path is None or not path.is_file():
            raise HTTPException(404, "there is no such file now")
        media_type = _TYPES.get(path.suffix, f"image/{path.suffix[1:]}")
        return FileResponse(path, media_type=media_type, filename=name)

    async def tab(self, socket: WebSocket) -> None:
        """A page for as long as it is open."""
        await socket.accept()
        if len(self.tabs) >= MOST_TABS or self.ended.is_set():
            error = f"{MOST_TABS} pages are open here already: close one, and reload this"
            await socket.send_bytes(message_bytes({"type": "refused", "error": error}))
            await socket.close()
            return
        loop, outgoing = asyncio.get_running_loop(), asyncio.Queue()

        def send(message: dict, data: bytes = b"") -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(outgoing.put_nowait, message_bytes(message, data))

        tab = Tab(self.painter, self._folder / secrets.token_hex(8), send, self.config.max_upload * 10**6)
        self.tabs[tab.token] = tab
        send({"type": "tab", "tab": tab.token})

        async def sending():
            while True:
                await socket.send_bytes(await outgoing.get())

        sender = asyncio.create_task(sending())
        try:
            while (message := await socket.receive())["type"] != "websocket.disconnect":
                tab.receive(*read_message(message.get("bytes") or b""))
        finally:
            del self.tabs[tab.token]
            sender.cancel()
            threading.Thread(target=tab.end, daemon=True).start()  # no await: this task may be cancelled by now


def own_folder() -> tuple[Path, FileLock]:
    """A new folder for photographs, and its lock; those of servers that were killed are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError, Timeout):
            is_ours = not hasattr(os, "getuid") or old.lstat().st_uid == os.getuid()  # not somebody else's trap
            if is_ours and not old.is_symlink() and (old / _LOCK).is_file():
                with FileLock(old / _LOCK, timeout=0):
                    shutil.rmtree(old, ignore_errors=os.name == "nt")
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    return folder, lock


def file_name(text: str) -> str:
    """What a browser calls a file, as a name without folders and of one line."""
    name = PurePosixPath(text.replace("\\", "/")).name
    name = "".join(c for c in one_line(name) if unicodedata.category(c)[0] != "C" and c not in '/:*?"<>|').strip(". ")
    ending = PurePosixPath(name).suffix[:10]
    return name[: len(name) - len(ending)][:150] + ending if ending else name[:150] or "photograph"
