"""Turns among visitors, and work that is outdated."""

import threading

import pytest

from demo.turns import Cancelled, Newest


def test_newer_work_stops_older():
    worker, begun, stopped, done = Newest(), threading.Event(), threading.Event(), threading.Event()

    def endless(stop):
        begun.set()
        stop.wait()
        stopped.set()
        raise Cancelled

    worker.give(endless)
    begun.wait()
    worker.give(lambda stop: done.set())
    assert stopped.wait(120) and done.wait(120)
    worker.end()
    with pytest.raises(RuntimeError):
        worker.give(lambda stop: None)


def test_of_frames_that_wait_the_newest_is_painted():
    worker, begun, go, done, painted = Newest(interrupt=False), threading.Event(), threading.Event(), [], []

    def first(stop):
        begun.set()
        go.wait()
        done.append(stop.is_set())

    worker.give(first)
    begun.wait()
    last = threading.Event()
    for number in range(9):
        worker.give(lambda stop, number=number: (painted.append(number), last.set()))
    go.set()
    assert last.wait(120)
    assert done == [False] and painted == [8]
    worker.end()
