"""Forks trainings off a process that has imported torch already, so that a start takes no seconds.

    python tests/robustness/forking.py

reads requests from its input, a JSON list a line, and answers each with a line:

    ["start", arguments, faults, output]    the process id of a begin_training.py, whose output goes to a file
    ["wait", process id]                    its exit status; below zero, the signal that it died of

Faults are a dict, empty for none: ``{"events": n}`` kills the training at the n-th file that it opens, renames, or
removes below its --output_dir; ``{"bytes": n}`` in the middle of the first file that grows beyond n bytes.
"""

import itertools
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
    """What the child does; ends the process."""
    import begin_training
    from utils.settings import run_command

    os.setsid()
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if "events" in faults:
        die_at_event(faults["events"], arguments[arguments.index("--output_dir") + 1])
    if "bytes" in faults:
        die_at_size(faults["bytes"])
    sys.argv = ["begin_training.py", *arguments]
    status = 1
    try:
        run_command(begin_training.main)
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    from training import build  # with torch and all the rest

    build.CALIBRATION_PHOTOGRAPHS = 4  # a start and a checkpoint take a tenth of the time
    for line in sys.stdin:
        request, *values = json.loads(line)
        if request == "start":
            answer = os.fork()
            if answer == 0:
                train(*values)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(values[0], 0)[1])
        print(answer, flush=True)


if __name__ == "__main__":
    main()
