"""Names for rows and captions: short, and never equal."""

import pytest

from utils.labels import file_labels, unique


@pytest.mark.parametrize(
    "names, labels",
    [
        (["a/m.pth", "b/n.pth"], ["m", "n"]),
        (["t_a/run/m.pth", "t_b/run/m.pth", "t_a/run/n.pth"], ["t_a/run/m", "t_b/run/m", "n"]),
        (["films/wave", "wave"], ["films/wave", "wave"]),
        (["m.pth", "m.safetensors"], ["m.pth", "m.safetensors"]),
        (["x/m.pth", "x/m.safetensors", "y/m.pth"], ["x/m.pth", "x/m.safetensors", "y/m"]),
        (["run.v1", "run.v2"], ["run.v1", "run.v2"]),
        (["/m.pth", "m.pth"], ["/m", "m"]),
        (["m.pth", "./m.pth", "n/m.pth", "m.pth"], ["m", "m (2)", "n/m", "m (3)"]),
    ],
)
def test_files_get_as_many_folders_as_tell_them_apart(names, labels):
    assert file_labels(names) == labels and len(set(labels)) == len(labels)


def test_equal_labels_are_numbered():
    assert unique(["a", "a (2)", "a", "b", "a"]) == ["a", "a (2)", "a (3)", "b", "a (4)"]
