"""What trainings and files leave behind, read and compared by several test files."""

import json

import torch


def same(one, other) -> bool:
    """Whether two nests of dicts, lists, tensors and plain values agree bit for bit."""
    if isinstance(one, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
        return alike and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def read_metrics(output, name="stripes"):
    """The lines of ``metrics.jsonl`` of a training in an output folder."""
    return [json.loads(line) for line in (output / f"{name}_training" / "metrics.jsonl").read_text().splitlines()]
