"""Trainings to which something happens, and trainings as processes of their own, which can be killed."""

import itertools
import multiprocessing

import pytest


@pytest.fixture
def at_step(monkeypatch):
    """``at_step(step, call)`` has something happen in the middle of a training; ``call`` gets its run."""
    from training.run import TrainingRun

    def arrange(step, call):
        finish_step = TrainingRun.finish_step

        def finish(run, here, losses):
            finish_step(run, here, losses)
            if here == step:
                call(run)

        monkeypatch.setattr(TrainingRun, "finish_step", finish)

    return arrange


@pytest.fixture(scope="session")
def fork_training(tmp_path_factory):
    """``fork_training(*args, **faults)`` starts a training as a process of its own, whose ``output`` is a file; see
    forking.py for the faults."""
    pytest.importorskip("resource")
    from tests.robustness.forking import train

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.robustness.forking"])
    imported = context.Process(target=print)  # what it takes to import torch is no part of a training's time
    imported.start()
    imported.join()
    folder, numbers = tmp_path_factory.mktemp("forked"), itertools.count()

    def start(*args, **faults):
        output = folder / f"{next(numbers)}.txt"
        process = context.Process(target=train, args=([*map(str, args)], faults, str(output)))
        process.output = output
        process.start()
        return process

    return start
