"""What a run of ``begin_inference.py`` says: a bar, failures, lines of JSON, a summary, and the exit status."""

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

    Args:
        total: photographs of this process.
        config: of the command. With ``json``, standard output holds one JSON object for each photograph.
        several: whether a collection was asked for. A single photograph has neither bar nor summary.
        piped: whether standard output is for the result.
        first: whether this process speaks; the others report faults alone.
    """

    def __init__(self, total: int, config: InferenceConfig, several: bool, piped: bool, first: bool):
        self._config, self.several, self._first = config, several, first
        self._people = sys.stderr if config.json or piped else sys.stdout
        self.counts = {"done": 0, "skipped": 0, "failed": 0, "unfinished": 0}
        self._since, self._said = time.perf_counter(), set()
        self._bar = progress_bar(total, unit="picture", disable=not (several and first))

    def say(self, text: str) -> None:
        """A line for people, once."""
        if not self._first or text in self._said:
            return
        self._said.add(text)
        with writing_output():
            self._bar.write(one_line(text, self._people), file=self._people)

    def warn(self, text: str) -> None:
        """What a person should know of a result that there will be."""
        self._bar.write(f"warning: {one_line(text)}", file=sys.stderr)

    def left_out(self, paths: Collection[str]) -> None:
        """Files in folders that are no pictures by their endings."""
        if not self._first:
            return
        sentences, paths = unread(paths, films=True)
        for sentence in sentences:
            self.warn(f"left out: {sentence}")
        if paths:
            endings = collections.Counter(os.path.splitext(path)[1].lower() or "no ending" for path in paths)
            order = sorted(endings.items(), key=lambda item: (-item[1], item[0]))
            most = ", ".join(f"{ending} ({count})" for ending, count in order[:5])
            more = ", ..." if len(endings) > 5 else ""
            self.say(f"Left out, no pictures by their names: {most}{more}")

    def written(
        self, job: Job, size: tuple[int, int], seconds: float, frames: int | None = None, unfinished: bool = False
    ) -> None:
        """A result was written; ``seconds`` is what the network took, ``frames`` how many it has, if it moves.

        An ``unfinished`` one is a part of a film, under a name that says so.
        """
        width, height = size
        if not (self.several or unfinished):
            self.say(f"Wrote {job.output}, {width} x {height}{f', {frames} frames' if frames else ''}")
        status, moving = "unfinished" if unfinished else "done", {"frames": frames} if frames else {}
        self._note(job, status, width=width, height=height, seconds=round(seconds, 4), **moving)

    def skipped(self, job: Job) -> None:
        """The result is there already."""
        if not self.several:
            self.say(f"{job.output} is there already")
        self._note(job, "skipped")

    def failed(self, job: Job, reason: str) -> None:
        """There is no result, for a reason that is a sentence."""
        if self.several:
            self._bar.write(f"failed: {one_line(reason)}", file=sys.stderr)
        self._note(job, "failed", error=reason)

    def _note(self, job: Job, status: str, **facts) -> None:
        self.counts[status] += 1
        self._bar.update(1)
        if self._config.json:
            line = {"input": str(job.path), "output": str(job.output), "status": status}
            line |= dict.fromkeys(("width", "height", "seconds", "error")) | facts
            with writing_output():
                self._bar.write(json.dumps(line), file=sys.stdout)
                sys.stdout.flush()

    def close(self) -> None:
        self._bar.close()

    def summary(self, total: int, done: int, skipped: int, failed: int, unfinished: int) -> None:
        """How many photographs became what, in all processes; nothing for a single photograph."""
        if not self.several:
            return
        seconds = time.perf_counter() - self._since
        left = total - done - skipped - failed - unfinished
        rest = {"skipped": skipped, "failed": failed, "unfinished": unfinished, "not reached": left}
        text = f"Stylised {done} of {total} photographs into {Path(self._config.output_dir)} in {seconds:.1f} s"
        self.say("; ".join([text, *(f"{count} {what}" for what, count in rest.items() if count)]))
