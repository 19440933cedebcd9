"""Trainings as processes of their own, which can be killed."""

import itertools
import multiprocessing

import pytest


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
