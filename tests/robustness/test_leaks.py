"""What a training and an engine take from the system they give back, and do not take more of with every step.

Counted are objects, open files, threads and child processes: neither seconds nor bytes.
"""

import collections
import gc
import multiprocessing
import os
import pickle
import threading
import time

import pytest
import torch

from begin_training import train
from inference.stylizer import Stylizer
from models.transformer_net import TransformerNet
from training import run as training_run
from training.run import TrainingRun
from utils.errors import UserError


def held():
    """Open files, children and threads of this process."""
    gc.collect()
    files = sorted(_target(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return [
        [name for name in files if name],
        [child.pid for child in multiprocessing.active_children()],
        [thread.name for thread in threading.enumerate()],
    ]


def _target(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:  # that of the listing itself
        return ""


def objects():
    """How many objects of each type there are."""
    torch.multiprocessing.reductions.shared_cache.free_dead_references()  # which torch does at every 128th batch
    gc.collect()
    return collections.Counter(f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.get_objects())


@pytest.fixture
def config(small_config, monitor, tmp_path):
    """``config(**settings)`` of a small training in a folder of its own."""
    common = {
        "total_steps": 2, "num_epochs": 1000, "num_workers": 2, "log_every_steps": 5, "monitor_every_steps": 5,
        "checkpoint_every_steps": 5, "keep_checkpoints": 1, "training_monitor_content_image": str(monitor),
    }  # fmt: skip
    numbers = iter(range(100))
    return lambda **more: small_config(**{**common, "output_dir": str(tmp_path / f"out{next(numbers)}"), **more})


@pytest.mark.parametrize(
    "owner, where, what",
    [(None, None, None), (TrainingRun, "finish_step", KeyboardInterrupt()),
     (TrainingRun, "save_results", ValueError("bug")), (training_run, "TrainingLog", UserError("at the first file"))],
    ids=["whole", "Ctrl-C", "exception", "refusal"],
)  # fmt: skip
def test_a_training_returns_all_it_took(config, monkeypatch, owner, where, what):
    """The first one may leave what is made once in a process, such as torch's own threads."""
    train(config())
    before = held()

    def fail(*args):
        assert len(multiprocessing.active_children()) == 2
        raise what

    if what is None:
        train(config())
    else:
        monkeypatch.setattr(owner, where, fail)
        with pytest.raises(type(what)) as caught:
            train(config())
    for _ in range(100):  # a queue's thread ends a moment after its workers
        if (after := held()) == before:
            break
        time.sleep(0.1)
    assert after == before  # while the exception, with all that it refers to, is still there
    assert what is None or caught.value is what


def test_steps_leave_no_objects_behind(config, at_step):
    """Nor do lines of metrics, monitor pictures and checkpoints: as many objects after thirty steps as after ten."""
    counts = []
    train(config(total_steps=6))  # the first of all fills caches,
    objects()  # and so does the first count
    for step in (11, 31):  # at the same place between two lines of the log; bytes are no objects that would be counted
        at_step(step, lambda run: counts.append(pickle.dumps((objects(), held()))))
    train(config(total_steps=32))
    (before, held_before), (after, held_after) = map(pickle.loads, counts)
    # Twenty steps, or four of all else, that kept a single object each would be found.
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] >= 4} == {}
    for held_then in (held_before, held_after):  # batches that lie ready are more or fewer
        held_then[0] = [name for name in held_then[0] if "/dev/shm/" not in name]
    assert held_after == held_before


def test_pictures_leave_no_objects_behind(make_picture):
    torch.manual_seed(0)
    stylizer = Stylizer(TransformerNet().eval(), device="cpu", precision="float32", tile_size=32)
    pictures = [make_picture(40 + n, 50, seed=n) for n in range(3)]
    counts = []
    for _ in range(3):
        for _ in range(4):
            for picture in pictures:
                stylizer.stylize(picture)
        counts.append((objects(), held()))
    (before, held_before), (after, held_after) = counts[1:]
    assert {name: after[name] - before[name] for name in after if after[name] - before[name] >= 10} == {}
    assert held_after == held_before
