"""``torchrun begin_inference.py``: a folder's photographs are shared out among processes."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def torchrun(run_cli, style_model, tmp_path):
    """``torchrun(*flags)`` stylises ``tmp_path/photos`` with two processes."""
    return functools.partial(
        run_cli, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "begin_inference.py",
        "--model_path", style_model, "--content_image", tmp_path / "photos", "--output_dir", tmp_path / "shared",
        "--device", "cpu", "--precision", "float32",
    )  # fmt: skip


@pytest.mark.posix
@pytest.mark.slow
def test_each_photograph_is_done_once(torchrun, stylize, make_picture, tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(5):
        make_picture(30 + number, 41 - number, number).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "2.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").touch()

    result = torchrun("--json")

    assert result.returncode == 1, result.stderr  # one cannot be read
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    statuses = {Path(line["input"]).name: line["status"] for line in lines}
    assert len(lines) == 5 and statuses == {f"{n}.png": "failed" if n == 2 else "done" for n in range(5)}
    for said in ("Stylised 4 of 5 photographs", "; 1 failed", "Left out, no pictures by their names", "Stylising on"):
        assert result.stderr.count(said) == 1, result.stderr

    assert stylize(tmp_path / "photos").returncode == 1
    expected = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "results").iterdir()}
    assert {path.name for path in (tmp_path / "shared").iterdir()} == expected.keys() and len(expected) == 4
    for name, picture in expected.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "shared" / name)), picture)

    # What a process left, the same command does; what is there is counted by all together.
    (tmp_path / "photos" / "2.png").unlink()
    (tmp_path / "shared" / "3_stripes.png").unlink()
    result = torchrun("--skip_existing")
    assert result.ok().count("Stylised 1 of 4 photographs") == 1 and "; 3 skipped" in result.stdout
