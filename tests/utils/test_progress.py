"""Progress in terminals and log files."""

import io

import pytest

from utils import progress
from utils.progress import progress_bar


class Stream(io.StringIO):
    """Standard error as a terminal without a window size, or as a file."""

    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.fixture
def stderr(monkeypatch):
    def replace(terminal):
        stream = Stream(terminal)
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return replace


def test_a_log_file_gets_whole_lines_and_no_bar(stderr, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    stream = stderr(terminal=False)
    bar = progress_bar(3, unit="step", initial=1)
    bar.write("a message")
    bar.set_postfix(content="1", refresh=False)
    bar.update()
    bar.close()
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("step 2 of 3, ") and line.endswith(", content=1") and "\r" not in line
    assert capsys.readouterr().out == "a message\n"


def test_a_terminal_without_a_window_size_has_a_bar(stderr):
    stream = stderr(terminal=True)
    progress_bar(10, unit="step").close()
    assert "0/10" in stream.getvalue() and "|" in stream.getvalue()
