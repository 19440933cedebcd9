"""Turns among visitors, and work that is outdated."""

import threading

import pytest

from demo.turns import Cancelled, Newest, Room, TileBar, Turns


def test_visitors_take_turns_tile_by_tile():
    turns, order, both = Turns(), [], threading.Barrier(2)

    def paint(name):
        both.wait()
        with turns:
            for tile in range(4):
                order.append(name)
                if tile == 0:  # the other one waits by now, or comes at once
                    while len(turns._queue) < 2 and len(set(order)) < 2:
                        pass
                TileBar(turns, threading.Event()).update()

    threads = [threading.Thread(target=paint, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "".join(order) in ("abababab", "babababa")


def test_a_tile_of_what_is_outdated_is_the_last():
    stop, reports, turns = threading.Event(), [], Turns()
    with turns:
        bar = TileBar(turns, stop, lambda done, total: reports.append((done, total)))
        bar.total += 3
        bar.update()
        stop.set()
        with pytest.raises(Cancelled):
            bar.update()
    assert reports == [(1, 3), (2, 3)]
    assert not turns._queue


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
    assert stopped.wait(10) and done.wait(10)
    worker.end()
    worker.give(lambda stop: pytest.fail("nothing is done any more"))
    worker._thread.join(10)
    assert not worker.busy


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
    assert last.wait(10)
    assert done == [False] and painted == [8]
    worker.end()


def test_room_is_given_in_order_and_back():
    room, stop = Room(100), threading.Event()
    with room.taken(1000, stop):  # more than there is: all of it
        stop.set()
        with pytest.raises(Cancelled), room.taken(1, stop):
            pass
    stop.clear()
    with room.taken(60, stop), room.taken(40, stop):
        assert room._free == 0
    assert room._free == 100 and not room._queue
