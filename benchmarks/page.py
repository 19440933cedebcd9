"""Time the page: from dropping a photograph to its first small picture and to the whole one, and a webcam's frames.

    python -m benchmarks.page

A server as ``python -m demo`` starts it, in a process of its own; this process does what a page does, over the same
HTTP requests and WebSocket. What the browser adds, decoding and drawing, is not in the figures.
"""

import contextlib
import io
import json
import re
import struct
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from statistics import median

from PIL import Image

from benchmarks.common import ComputeConfig, report
from config import setting
from utils.device import resolve_compute
from utils.files import PROGRAM, beside_program
from utils.settings import parse_settings, run_command

FRAMES_IN_FLIGHT = 2
"""One frame of a webcam travels while another is painted, as in ``demo/static/camera.js``."""

PATIENCE = 120
"""Seconds without a word after which the server counts as broken."""

SETTLING = 5.0
"""Seconds of a webcam that are not counted: strokes find their size."""


class Page:
    """What a page in a browser asks of the server."""

    def __init__(self, address: str, socket):
        self.address, self.socket = address, socket
        self.tab = self.until("tab")["tab"]

    def send(self, message: dict, data: bytes = b"") -> None:
        text = json.dumps(message).encode()
        self.socket.send(struct.pack(">I", len(text)) + text + data)

    def until(self, *kinds: str) -> dict:
        """The next message of one of these kinds."""
        while True:
            packed = self.socket.recv(PATIENCE)
            (length,) = struct.unpack(">I", packed[:4])
            message = json.loads(packed[4 : 4 + length])
            if message["type"] == "error":
                raise SystemExit(f"the server says: {message['error']}")
            if message["type"] in kinds:
                return message

    def photograph(self, data: bytes, style: str) -> dict[str, float]:
        """Seconds from the upload's beginning to the first small picture, and to the whole one as a file."""
        begun = time.perf_counter()
        headers = {"X-Tab": self.tab, "X-Name": "photo.jpg", "Origin": self.address}
        with urllib.request.urlopen(urllib.request.Request(f"{self.address}/photographs", data, headers)) as answer:
            number = json.load(answer)["photograph"]
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
        for number in range(FRAMES_IN_FLIGHT):
            self.send({"type": "frame"}, frames[number % len(frames)])
        begun, number, counted_from = time.perf_counter(), 0, None
        while (now := time.perf_counter()) - begun < SETTLING + seconds:
            if counted_from is None and now - begun >= SETTLING:
                counted_from = number, now
            message = self.until("frame")
            number += 1
            self.send({"type": "frame"}, frames[number % len(frames)])
        self.send({"type": "stop"})
        return {"rate": (number - counted_from[0]) / (now - counted_from[1]), "enlarged": message["enlarged"]}


@contextlib.contextmanager
def open_page(device: str, precision: str):
    """A page of a server that ends with the block."""
    from websockets.sync.client import connect

    command = [sys.executable, "-m", "demo", "--no_browser", "--device", device, "--precision", precision]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROGRAM) as server:
        try:
            found = None
            while found is None:
                line = server.stdout.readline()
                if not line:
                    raise SystemExit("the page's server did not start")
                found = re.search(r"http://[^/\s]+", line)
            with connect(f"ws{found[0].removeprefix('http')}/tab", origin=found[0], max_size=None) as socket:
                yield Page(found[0], socket)
        finally:
            server.terminate()


def jpeg(size: tuple[int, int], left: int = 0) -> bytes:
    """The sample photograph, of a size, or a part of it that begins so many pixels further right."""
    width, height = size
    with Image.open(beside_program("content/mountains.jpg")) as photograph:
        scene = photograph.convert("RGB").resize((width + left, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    scene.crop((left, 0, left + width, height)).save(file, "JPEG", quality=90)
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


def main() -> int:
    args, _ = parse_settings(PageConfig, __doc__)
    rows = []
    with open_page(args.device, args.precision) as page:
        for size in args.sizes:
            data = jpeg(tuple(map(int, size.split("x"))))
            rounds = [page.photograph(data, args.style) for _ in range(args.rounds)]
            medians = [median(seconds[name] for seconds in rounds) for name in ("first", "whole")]
            rows.append([size.replace("x", " x "), *(f"{seconds:.2f}" for seconds in medians)])
        frames = [jpeg(tuple(map(int, args.frame.split("x"))), left) for left in range(0, 32, 4)]
        webcam = page.webcam(frames, args.style, args.seconds)
    strokes = "strokes of their own size"
    if webcam["enlarged"] != 1:
        strokes = f"strokes {webcam['enlarged']} times as large"
    print(f"webcam of {args.frame.replace('x', ' x ')}: {webcam['rate']:.3g} frames a second, {strokes}")
    compute = resolve_compute(args.device, args.precision)
    return report(compute, ["photograph", "first picture, s", "whole picture, s"], rows)


if __name__ == "__main__":
    run_command(main)
