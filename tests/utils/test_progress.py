"""Progress bars."""

import itertools
import re
import sys
import threading

import tqdm.std

from utils.progress import progress_bar


def test_a_clock_that_is_set_back_upsets_no_bar(monkeypatch, capsys):
    clock = itertools.count(1e9, -3600)  # an hour back at every look
    monkeypatch.setattr(tqdm.std, "time", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = progress_bar(10, unit="step")
    bar.mininterval = 0
    for _ in range(10):
        bar.update(1)
    bar.close()
    shown = capsys.readouterr().err
    assert "10/10 [00:0" in shown and not re.search(r"-\d", shown), shown


def test_a_bar_has_no_thread():
    before = threading.active_count()
    bar = progress_bar(10, unit="step")
    assert threading.active_count() == before
    bar.close()
