"""Time the page: from dropping a photograph to its first small picture and to the whole one, and a webcam's frames.

    python -m benchmarks.page
    python -m benchmarks.page --node_modules npm/node_modules --style udnie --sizes 960x640

A server as ``python -m demo`` starts it, in a process of its own; this process does what a page does, over the same
HTTP requests and WebSocket. What the browser adds, decoding and drawing, is not in the figures. With --node_modules the
page is the static site in Chromium, driven by Playwright, and the webcam is Chromium's own: all is in the figures.
"""

import contextlib
import functools
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.common import ComputeConfig, report, resident_memory, sample
from config import setting
from demo.tabs import message_bytes, read_message
from utils.device import resolve_compute
from utils.files import PROGRAM
from utils.measuring import table
from utils.settings import run_command

PATIENCE = 120
"""Seconds without a word after which the server counts as broken."""

SETTLING = 5.0
"""Seconds that are not counted: of a webcam, whose strokes find their size, and of a site that has just opened."""


class Page:
    """What a page in a browser asks of the server."""

    def __init__(self, address: str, socket):
        self.address, self.socket = address, socket
        self.tab = self.until("tab")["tab"]

    def send(self, message: dict, data: bytes = b"") -> None:
        self.socket.send(message_bytes(message, data))

    def until(self, *kinds: str) -> dict:
        """The next message of one of these kinds."""
        while True:
            message, _ = read_message(self.socket.recv(PATIENCE))
            if message["type"] == "error":
                raise SystemExit(f"the server says: {message['error']}")
            if message["type"] in kinds:
                return message

    def upload(self, data: bytes, name: str) -> str:
        """The number of a photograph or a film."""
        headers = {"X-Tab": self.tab, "X-Name": name, "Origin": self.address}
        with urllib.request.urlopen(urllib.request.Request(f"{self.address}/photographs", data, headers)) as answer:
            return json.load(answer)["photograph"]

    def photograph(self, data: bytes, style: str) -> dict[str, float]:
        """Seconds from the upload's beginning to the first small picture, and to the whole one as a file."""
        begun = time.perf_counter()
        number = self.upload(data, "photo.jpg")
        recipe = {"styles": [[style, 1]]}
        self.send({"type": "paint", "photograph": number, "recipe": recipe, "request": 1})
        seconds, kind = {}, None
        while kind != "result":  # a small photograph comes whole at once
            kind = self.until("preview", "result")["type"]
            seconds.setdefault("first", time.perf_counter() - begun)
        seconds["whole"] = time.perf_counter() - begun
        self.send({"type": "remove", "photograph": number})
        return seconds

    def webcam(self, frames: list[bytes], style: str, seconds: float) -> dict[str, float]:
        """Frames a second, and by how much strokes were enlarged for it at the end."""
        self.send({"type": "live", "recipe": {"styles": [[style, 1]]}})
        begun, sent, back, counted_from, flying, at_once = time.perf_counter(), 0, 0, None, set(), 1
        while (now := time.perf_counter()) - begun < SETTLING + seconds:
            if counted_from is None and now - begun >= SETTLING:
                counted_from = back, now
            while len(flying) <= at_once:  # as demo/static/camera.js does
                sent += 1
                flying.add(sent)
                self.send({"type": "frame", "number": sent}, frames[sent % len(frames)])
            message = self.until("frame")
            back, at_once, number = back + 1, message["at_once"], message["number"]
            flying = {other for other in flying if other != number and other > number - at_once}
        self.send({"type": "stop"})
        return {"rate": (back - counted_from[0]) / (now - counted_from[1]), "enlarged": message["enlarged"]}


@contextlib.contextmanager
def serve(module: str, *flags: str, **more):
    """A server, which ends with the block: its address and its process."""
    command = [sys.executable, "-u", "-m", module, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROGRAM, **more) as server:
        try:
            found = re.search(r"http://[^/\s]+", server.stdout.readline())
            if not found:
                raise SystemExit("the server did not start")
            yield found[0], server.pid
        finally:
            server.terminate()


@contextlib.contextmanager
def open_page(device: str, precision: str):
    """A page of a server, until the block ends."""
    from websockets.sync.client import connect

    with serve("demo", "--no_browser", "--device", device, "--precision", precision) as (address, process):
        with connect(f"ws{address.removeprefix('http')}/tab", origin=address, max_size=None) as socket:
            page = Page(address, socket)
            before = _memory(process)
            yield page
        time.sleep(SETTLING)
        print(f"memory: {before} at first, {_memory(process)} with all pages closed")


def _memory(process: int) -> str:
    try:
        now, peak = (resident_memory(key, process) / 2**30 for key in ("VmRSS", "VmHWM"))
    except OSError:  # not Linux
        return "-"
    return f"{now:.2f} GiB (peak {peak:.2f})"


class Site:
    """The static site, open in Chromium."""

    def __init__(self, page, until):
        self.page, self.until = page, functools.partial(until, page)

    def photograph(self, data: bytes, style: str) -> dict[str, float]:
        """As :meth:`Page.photograph`, to the moment when the pictures are there to be drawn."""
        self.page.locator(f".style[title='{style}']").click()
        self.page.evaluate(_WATCH)
        self.page.set_input_files("#files", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": data})
        self.until("window.seen.whole")
        seconds = self.page.evaluate("window.seen")
        self.page.click("[aria-label='Remove photo.jpg']")
        return seconds

    def webcam(self, frames: list[bytes], style: str, seconds: float) -> dict[str, float]:
        """As :meth:`Page.webcam`, of Chromium's own moving picture."""
        self.page.locator(f".style[title='{style}']").click()
        self.page.click("[data-view=camera]")
        self.page.click("#camera-start")
        self.until("document.getElementById('camera-rate').textContent")
        time.sleep(SETTLING)
        count = self.page.evaluate(_COUNT, 1000 * seconds)
        enlarged = re.search(r"strokes ([\d.]+) times", self.page.inner_text("#camera-rate"))
        return {"rate": count / seconds, "enlarged": float(enlarged[1]) if enlarged else 1}


_WATCH = """() => {
    const status = document.getElementById("status"), begun = performance.now(), seen = (window.seen = {});
    new MutationObserver(() => {
        const seconds = (performance.now() - begun) / 1000;
        if (/^A small picture|ready$/.test(status.textContent)) seen.first ??= seconds;
        if (/ready$/.test(status.textContent)) seen.whole ??= seconds;
    }).observe(status, { childList: true });
}"""

_COUNT = """(patience) => new Promise((resolve) => {
    let count = 0;
    new MutationObserver(() => count++).observe(document.getElementById("camera-rate"), { childList: true });
    setTimeout(() => resolve(count), patience);
})"""


@contextlib.contextmanager
def open_site(node_modules: str, style: str):
    """The static site of one style in Chromium, loaded, until the block ends."""
    from playwright.sync_api import sync_playwright

    from demo.build_site import SiteConfig, build_site
    from tests.demo.browsing import CHROMIUM, FLAGS, until

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = str(Path(folder, "site"))
        build_site(SiteConfig(site, (style,), node_modules))
        files = ("http.server", "0", "--bind", "127.0.0.1", "--directory", site)
        with serve(*files, stderr=subprocess.DEVNULL) as (address, _):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page()
            page.goto(address)
            page.locator(".style").first.wait_for()
            until(page, "window.crossOriginIsolated && document.querySelector('.style')")
            time.sleep(SETTLING)  # while a visitor looks for a photograph, the network is loaded
            yield Site(page, until)
            browser.close()


def jpeg(size: str, left: int = 0) -> bytes:
    """The sample photograph, of a size, or a part of it that begins so many pixels further right."""
    width, height = map(int, size.split("x"))
    file = io.BytesIO()
    sample(width + left, height).crop((left, 0, left + width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class PageConfig(ComputeConfig):
    """Settings of ``benchmarks.page``."""

    rounds: int = setting(5, "times that each photograph is sent", minimum=1)
    style: str = setting("starry_night", "a style of the page: a model, or gallery/NAME")
    sizes: tuple[str, ...] = setting(
        ("640x480", "1920x1280", "4000x3000"), "of the photographs", metavar="WIDTHxHEIGHT"
    )
    frame: str = setting("320x240", "size of a webcam's frames", metavar="WIDTHxHEIGHT")
    seconds: float = setting(10.0, "for which the webcam runs", above=0)
    node_modules: str | None = setting(
        None, "time the static site, with the onnxruntime-web that npm installed here", metavar="FOLDER"
    )


def main(args: PageConfig) -> None:
    site, rows = args.node_modules is not None, []
    with open_site(args.node_modules, args.style) if site else open_page(args.device, args.precision) as page:
        for size in args.sizes:
            data = jpeg(size)
            rounds = [page.photograph(data, args.style) for _ in range(args.rounds)]
            medians = [median(seconds[name] for seconds in rounds) for name in ("first", "whole")]
            rows.append([size.replace("x", " x "), *(f"{seconds:.2f}" for seconds in medians)])
        frames = [jpeg(args.frame, left) for left in range(0, 32, 4)]
        webcam = page.webcam(frames, args.style, args.seconds)
    enlarged = webcam["enlarged"]
    strokes = "strokes of their own size" if enlarged == 1 else f"strokes {enlarged} times as large"
    size = "Chromium" if site else args.frame.replace("x", " x ")
    print(f"webcam of {size}: {webcam['rate']:.3g} frames a second, {strokes}")
    header = ["photograph", "first picture, s", "whole picture, s"]
    if site:  # the browser's own threads
        print(table(header, rows))
    else:
        report(resolve_compute(args.device, args.precision), header, rows)


if __name__ == "__main__":
    run_command(main, PageConfig, __doc__)
