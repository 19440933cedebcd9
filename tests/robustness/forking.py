"""Trainings with faults, in processes forked off one that has imported torch already, so that a start takes no seconds.

Faults are a dict, empty for none: ``{"events": n}`` kills the training at the n-th file that it opens, renames, or
removes below its --output_dir; ``{"bytes": n}`` in the middle of the first file that grows beyond n bytes.
"""

import itertools
import multiprocessing
import os
import resource
import signal
import sys

import begin_training
from config import TrainingConfig
from training import build, run  # noqa: F401  imported once, before trainings are forked off
from utils.settings import run_command


def die_at_event(number: int, folder: str) -> None:
    """Have this process killed at the n-th thing that it does to the files of a folder."""
    events = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")
    numbers = itertools.count(1)

    def count(event, arguments):
        if event in events and str(arguments[0]).startswith(folder) and next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def die_at_size(size: int) -> None:
    """Have the system kill this process in the middle of writing a file, once ``size`` bytes of it are written."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it


def train(arguments: list[str], faults: dict, output: str) -> None:
    """begin_training.py, whose output goes to a file."""
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # reading processes start as in a training that nobody forked
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if "events" in faults:
        die_at_event(faults["events"], arguments[arguments.index("--output_dir") + 1])
    if "bytes" in faults:
        die_at_size(faults["bytes"])
    build.CALIBRATION_PHOTOGRAPHS = 4  # a start and a checkpoint take a tenth of the time
    sys.argv = ["begin_training.py", *arguments]
    run_command(begin_training.train, TrainingConfig, begin_training.__doc__, with_given=True)
