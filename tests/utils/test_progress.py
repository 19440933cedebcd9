"""Progress in terminals and log files."""

import sys

from utils import progress
from utils.progress import progress_bar


def test_a_log_file_gets_whole_lines_and_no_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    bar = progress_bar(3, unit="step", initial=1)
    bar.write("a message")
    bar.set_postfix(content="1", refresh=False)
    bar.update()
    bar.close()
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("step 2 of 3, ") and line.endswith(", content=1") and "\r" not in line
    assert output.out == "a message\n"


def test_a_terminal_without_a_window_size_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress_bar(10, unit="step").close()
    shown = capsys.readouterr().err
    assert "0/10" in shown and "|" in shown
