"""What a training shows of itself."""

import itertools
import json
import time

import pytest
import torch

from losses.perceptual import Losses
from training.health import Unsound
from training.log import TrainingLog


def losses(content, style, variation):
    raw = {"content": content, "style": style, "total_variation": variation, "temporal": 0.125}
    weighted = {name: weight * raw[name] for weight, name in zip((1, 2, 3, 0), raw)}
    raw, weighted = ({name: torch.tensor(value) for name, value in each.items()} for each in (raw, weighted))
    return Losses(sum(weighted.values()), raw, weighted, torch.tensor(0.5), torch.tensor([0, 0]))


@pytest.fixture
def log(tmp_path):
    log = TrainingLog(tmp_path / "metrics.jsonl", 0, 10, batch_size=2)
    yield log
    log.close()


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_the_means_since_the_last(log):
    for step, content in enumerate([1.0, 3.0, 8.0], start=1):
        log.add(step, losses(content, 10.0, 0.5))
        if step >= 2:
            log.write_line(step, lr=0.1, style_levels=[0.7])
    first, second = read(log.path)
    assert first["raw"] == {"content": 2.0, "style": 10.0, "total_variation": 0.5, "temporal": 0.125}
    assert first["weighted"] == {"content": 2.0, "style": 20.0, "total_variation": 1.5, "temporal": 0.0}
    assert first["total"] == 23.5 and first["step"] == 2 and first["lr"] == 0.1 and first["style_level"] == 0.7
    assert second["raw"]["content"] == 8.0 and second["step"] == 3


def test_several_styles_have_their_own_means(tmp_path):
    """Over the photographs of each; a style that had none is left out."""
    log = TrainingLog(tmp_path / "metrics.jsonl", 0, 10, 2, ("wave", "scream", "mosaic"))
    for step, (values, style) in enumerate([([1.0, 5.0], [0, 1]), ([3.0, 2.0], [0, 0])], start=1):
        value = {"content": torch.tensor(values), "total_variation": torch.tensor(9.0)}
        log.add(step, Losses(torch.tensor(0.0), value, value, torch.tensor(0.5), torch.tensor(style)))
    log.write_line(2, 0.1, [0.5, 0.25, 1.0])
    log.close()
    (line,) = read(log.path)
    assert line["weighted"] == {"content": 2.75, "total_variation": 9.0}
    assert line["styles"] == {"wave": {"content": 2.0, "level": 0.5}, "scream": {"content": 5.0, "level": 0.25}}


@pytest.mark.parametrize("index, term, value", [(0, "content", float("nan")), (2, "total_variation", float("-inf"))])
def test_the_first_step_with_a_loss_that_is_not_finite_is_named(log, value, index, term):
    for step in (1, 2, 3):
        values = [1.0, 1.0, 1.0]
        if step >= 2:
            values[index] = value
        log.add(step, losses(*values))
    with pytest.raises(Unsound, match=f"the {term} loss is {value} at step 2"):
        log.flush()


def test_resuming_drops_later_and_broken_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for cut in ('{"step": 7', '{"step": 7}'):  # the latter has lost its line break alone: the next would join it
        path.write_text('{"step": 5}\n{"step": 10}\nnonsense\n[1]\n{"step": 15}\n' + cut)
        TrainingLog(path, 10, 20, batch_size=2).close()
        assert path.read_text() == '{"step": 5}\n{"step": 10}\n'


def test_a_clock_that_is_set_back_upsets_no_time_in_the_metrics(tmp_path, monkeypatch):
    clock = itertools.count(1e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    log = TrainingLog(tmp_path / "metrics.jsonl", 0, 10, batch_size=2)
    for step in (1, 2):
        log.add(step, losses(1.0, 1.0, 1.0))
        log.write_line(step, lr=0.1, style_levels=[0.7])
    log.close()
    assert all(0 <= line["seconds_per_step"] < 600 for line in read(log.path))
