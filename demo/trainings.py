"""A training that the page starts: ``begin_training.py`` as a process of its own, which outlives page and server."""

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from config import TrainingConfig
from demo.catalogue import PICTURES
from imaging.icc import to_srgb
from imaging.reading import read_image
from imaging.tensors import flatten
from imaging.writing import save_png
from models.checkpoints import find_model
from training.folder import by_step, checkpoints
from training.log import read_metrics
from utils.errors import UserError
from utils.files import PROGRAM, atomic_write
from utils.settings import validate

_STATE = ".page_training.json"
_NAME = re.compile(r"[\w][\w -]{0,59}")
_ON_A_CPU = ("--image_size", "128", "--batch_size", "2", "--style_size", "384", "--style_smoothing", "2.5")
_LARGEST_PAINTING = 2000  # pixels of its longer side
_POINTS = 120  # of the curve of losses that the page draws


class Trainings:
    """One training at a time, in ``output_dir``; ``more`` are further arguments of ``begin_training.py``."""

    def __init__(self, folders: Sequence[str], output_dir: Path, on_cpu: bool, more: Sequence[str] = ()):
        self.folders, self.output_dir, self._on_cpu, self._more = list(folders), output_dir, on_cpu, list(more)
        self._lock, self._process = threading.Lock(), None

    def start(self, painting: Path, name: str, folder: int, steps: int, max_pixels: int) -> None:
        """Begin a training on the photographs of the folder with this number."""
        with self._lock:
            if self._running():
                raise UserError(f"{self._state()['name']} is being trained: stop that first")
            if not _NAME.fullmatch(name):
                raise UserError("a style's name has letters, digits, spaces, _ and -: give another")
            if (self.output_dir / f"{name}.pth").exists() or (self.output_dir / f"{name}_training").exists():
                raise UserError(f"there is a style {name} already: give another name")
            if not 0 <= folder < len(self.folders):
                raise UserError("there is no such folder of photographs: reload the page")
            validate(TrainingConfig(total_steps=steps))
            picture = flatten(to_srgb(read_image(painting, max_pixels=max_pixels)))
            picture.thumbnail((_LARGEST_PAINTING, _LARGEST_PAINTING), Image.Resampling.LANCZOS)
            kept = self.output_dir / f"{name}_painting.png"
            save_png(picture, kept)
            often = max(25, steps // 20)
            arguments = [
                "--style_image", str(kept), "--name", name, "--dataset_dir", self.folders[folder], "--output_dir",
                str(self.output_dir), "--total_steps", str(steps), "--resume", "--keep_checkpoints", "2",
                "--log_every_steps", "1" if self._on_cpu else str(max(1, min(10, steps // 10))),
                "--checkpoint_every_steps", str(often), "--monitor_every_steps", str(often // 5 * 2),
                "--training_monitor_content_image", str(PICTURES / "cat.jpg"), *self._more,
            ]  # fmt: skip
            if self._on_cpu:
                arguments += _ON_A_CPU
            if steps <= 1000:  # too few to begin from nothing
                with contextlib.suppress(UserError):  # where that model is not
                    arguments += ["--start_from", str(find_model("udnie")), "--style_weight", "5"]
            self._begin({"name": name, "total": steps, "arguments": arguments})

    def resume(self) -> None:
        """Go on with a training that was stopped."""
        with self._lock:
            state = self._state()
            if state is None or self._running():
                raise UserError("there is no training to resume: start one")
            self._begin(state)

    def stop(self) -> None:
        """Have the training save where it is, and end."""
        with self._lock:
            state = self._state()
            if state is None or not self._running():
                raise UserError("no training is under way: start one")
            os.kill(state["pid"], signal.SIGINT)  # which on Windows ends it at once: it goes on from a checkpoint

    def status(self) -> dict:
        """What the page shows."""
        names = [Path(folder).resolve().name or folder for folder in self.folders]
        about = {"folders": names, "state": "none", "seconds_per_step": None}
        with self._lock:
            state = self._state()
            if state is None:
                return about
            running = self._running()
        lines = read_metrics(self._folder(state) / "metrics.jsonl")
        about |= {"name": state["name"], "total": state["total"], "step": 0, "left": None, "curve": [], "losses": {}}
        if lines:
            about["step"], weighted = lines[-1]["step"], lines[-1]["weighted"]
            about["losses"] = {term: value for term, value in weighted.items() if value}
            about["seconds_per_step"] = pace = statistics.median(line["seconds_per_step"] for line in lines[-50:])
            if running:
                about["left"] = pace * (state["total"] - about["step"])
            shown = lines[:: max(1, len(lines) // _POINTS)]
            about["curve"] = [[line["step"], line["weighted"]["content"], line["weighted"]["style"]] for line in shown]
        pictures = by_step(self._folder(state), "monitor_", ".png")
        about["picture"] = pictures[-1].stem if pictures else None
        finished = (self.output_dir / f"{state['name']}.pth").exists()
        about["state"] = "running" if running else "finished" if finished else "stopped"
        if about["state"] == "stopped" and (errors := self._errors(state)):
            about |= {"state": "failed", "error": errors[-1], "resumable": bool(checkpoints(self._folder(state)))}
        return about

    def picture(self) -> bytes | None:
        """The newest monitor picture, PNG."""
        state = self._state()
        pictures = by_step(self._folder(state), "monitor_", ".png") if state else []
        return pictures[-1].read_bytes() if pictures else None

    def _begin(self, state: dict) -> None:
        command = [sys.executable, str(PROGRAM / "begin_training.py"), *state["arguments"]]
        apart = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200 | 0x8}
        with open(self._log(state), "wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **apart)
        with atomic_write(self.output_dir / _STATE) as file:
            file.write(json.dumps({**state, "pid": self._process.pid}).encode())

    def _state(self) -> dict | None:
        try:
            return json.loads((self.output_dir / _STATE).read_bytes())
        except (OSError, ValueError):
            return None

    def _running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        state = self._state()
        if state is None or os.name != "posix":  # elsewhere only this server's own is known
            return False
        with contextlib.suppress(OSError):
            os.kill(state["pid"], 0)
            command = Path(f"/proc/{state['pid']}/cmdline")  # on Linux
            return not command.exists() or b"begin_training.py" in command.read_bytes()
        return False

    def _folder(self, state: dict) -> Path:
        return self.output_dir / f"{state['name']}_training"

    def _log(self, state: dict) -> Path:
        return self.output_dir / f"{state['name']}_training.log"

    def _errors(self, state: dict) -> list[str]:
        with contextlib.suppress(OSError):
            text = self._log(state).read_text(encoding="utf-8", errors="replace")
            return re.findall("^error: (.*)", text, re.MULTILINE)
        return []
