"""evaluation.descent through the real command line: what trainings tell of themselves, side by side."""

import importlib.util
import json

import pytest
from PIL import Image

from evaluation import descent


@pytest.fixture
def training(tmp_path):
    def make(name, lines):
        folder = tmp_path / f"{name}_training"
        folder.mkdir()
        kept = [dict(zip(("step", "seconds_per_step", "total"), line)) for line in lines]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
        return folder

    return make


def test_minutes_are_summed_and_steps_stand_side_by_side(call_cli, training, tmp_path):
    short = training("short", [(50, 0.6, 9.5), (100, 1.2, 8.25)])
    odd = training("odd", [(50, 3, 7), (75, 2.4, 6.125)])
    result = call_cli(descent.__name__, short, odd)
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "| steps | short | odd |",
        "| --- | --- | --- |",
        "| 50 | 0.5 min: 9.50 | 2.5 min: 7.00 |",
        "| 75 |  | 3.5 min: 6.12 |",
        "| 100 | 1.5 min: 8.25 |  |",
    ]
    if importlib.util.find_spec("matplotlib"):
        assert call_cli(descent.__name__, short, "--plot", tmp_path / "a.png").returncode == 0
        with Image.open(tmp_path / "a.png") as plot:
            assert plot.format == "PNG"
        again = call_cli(descent.__name__, short, "--plot", tmp_path / "a.png")
        assert again.returncode == 2 and "exists already" in again.error


@pytest.mark.parametrize(
    "text, told",
    [
        (None, "holds no line of a training"),
        ("", "holds no line of a training"),
        ("no JSON\n[]\n", "holds no line of a training"),
        ('{"step": 5}\n', "is not what a training writes"),
        ('{"step": 5, "seconds_per_step": "x", "total": 1}\n', "is not what a training writes"),
    ],
)
def test_what_is_no_training_is_told(call_cli, training, tmp_path, text, told):
    if text is not None:
        (training("odd", []) / "metrics.jsonl").write_text(text)
    result = call_cli(descent.__name__, tmp_path / "odd_training")
    assert result.returncode == 2 and "metrics.jsonl" in result.error and told in result.error


def test_without_a_name_it_says_what_to_give(call_cli):
    result = call_cli(descent.__name__)
    assert result.returncode == 2 and "--trainings needs a value" in result.error
