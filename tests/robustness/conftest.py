"""Trainings as processes of their own, which can be killed."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


class ForkedTraining:
    """A training forked off a process that had torch imported."""

    def __init__(self, ask, pid, output):
        self._ask, self.pid, self._output = ask, pid, output

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Exit status; below zero, the signal that it died of."""
        return self._ask("wait", self.pid)

    @property
    def output(self) -> str:
        """What it printed so far, with its errors."""
        return self._output.read_text()


@pytest.fixture(scope="session")
def fork_training(tmp_path_factory):
    """``fork_training(*args, **faults)`` starts a training as a process of its own, without the seconds that
    importing torch takes; see forking.py for the faults."""
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forking.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("forked")
    numbers = itertools.count()

    def ask(*request) -> int:
        print(json.dumps(request), file=server.stdin, flush=True)
        return int(server.stdout.readline())

    def start(*args, **faults):
        output = folder / f"{next(numbers)}.txt"
        return ForkedTraining(ask, ask("start", [*map(str, args)], faults, str(output)), output)

    yield start
    server.stdin.close()
    server.wait()
    server.stdout.close()
