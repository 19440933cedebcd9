"""What a run of ``begin_inference.py`` says: a bar, failures, lines of JSON, a summary."""

import collections
import json
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

from config import InferenceConfig
from imaging.folders import unread
from inference.jobs import Job
from utils.errors import one_line, writing_output
from utils.progress import progress_bar


class InferenceReport:
    """Notes what became of each photograph, and says so to people or, with ``--json``, to programs.

    Only ``several`` photographs have a bar and a summary; with ``piped``, standard output is for the result. Among
    several processes only the ``first`` speaks, which has ``total`` photographs of its own; the others report faults.
    """

    def __init__(self, total: int, config: InferenceConfig, several: bool, piped: bool, first: bool):
        self._config, self._several, self._first = config, several, first
        self._people = sys.stderr if config.json or piped else sys.stdout
        self.counts = {"done": 0, "skipped": 0, "failed": 0, "unfinished": 0}
        self._since, self._said = time.perf_counter(), set()
        self.bar = progress_bar(total, unit="picture", disable=not (several and first))

    def say(self, text: str) -> None:
        """A line for people, once."""
        if not self._first or text in self._said:
            return
        self._said.add(text)
        with writing_output():
            self.bar.write(one_line(text, self._people), file=self._people)

    def warn(self, text: str, kind: str = "warning") -> None:
        self.bar.write(f"{kind}: {one_line(text)}", file=sys.stderr)

    def left_out(self, paths: Collection[str]) -> None:
        """Files in folders that are no pictures by their endings."""
        if not self._first:
            return
        sentences, paths = unread(paths, films=True)
        for sentence in sentences:
            self.warn(f"left out: {sentence}")
        if paths:
            endings = collections.Counter(sorted(os.path.splitext(path)[1].lower() or "no ending" for path in paths))
            most = ", ".join(f"{ending} ({count})" for ending, count in endings.most_common(5))
            more = ", ..." if len(endings) > 5 else ""
            self.say(f"Left out, no pictures by their names: {most}{more}")

    def written(self, job: Job, status: str, size: tuple[int, int], seconds: float, frames: int | None = None) -> None:
        """A result was written; ``seconds`` is what the network took, ``frames`` how many it has, if it moves."""
        width, height = size
        moving = {"frames": frames} if frames else {}
        said = f"Wrote {job.output}, {width} x {height}{f', {frames} frames' if frames else ''}"
        facts = {"width": width, "height": height, "seconds": round(seconds, 4), **moving}
        self.note(job, status, said if status == "done" else "", **facts)

    def note(self, job: Job, status: str, said: str = "", **facts) -> None:
        """What became of a photograph; ``said`` is for people if it is the only one."""
        if said and not self._several:
            self.say(said)
        self.counts[status] += 1
        self.bar.update(1)
        if self._config.json:
            line = {"input": str(job.path), "output": str(job.output), "status": status}
            line |= dict.fromkeys(("width", "height", "seconds", "error")) | facts
            with writing_output():
                self.bar.write(json.dumps(line), file=sys.stdout)
                sys.stdout.flush()

    def summary(self, total: int, counts: dict[str, int]) -> None:
        """How many photographs became what, in all processes; nothing for a single photograph."""
        if not self._several:
            return
        seconds, done = time.perf_counter() - self._since, counts["done"]
        rest = {**counts, "done": 0, "not reached": total - sum(counts.values())}
        text = f"Stylised {done} of {total} photographs into {Path(self._config.output_dir)} in {seconds:.1f} s"
        self.say("; ".join([text, *(f"{count} {what}" for what, count in rest.items() if count)]))
