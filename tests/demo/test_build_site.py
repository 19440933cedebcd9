"""The command that builds the page without a server: what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.build_site import RUNTIME, build_site
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_missing_or_there_is_told(tmp_path):
    with pytest.raises(UserError, match="npm install onnxruntime-web"):
        build_site(tmp_path / "site", None, tmp_path)
    (tmp_path / "onnxruntime-web" / "dist").mkdir(parents=True)
    for name in RUNTIME:
        (tmp_path / "onnxruntime-web" / "dist" / name).touch()
    with pytest.raises(UserError, match="give a folder that is not there"):
        build_site(tmp_path, None, tmp_path, overwrite=True)
    with pytest.raises(UserError, match="--models"):
        build_site(tmp_path / "site", ["no such model"], tmp_path)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["site", "--modles", "wave"], "error: unrecognized arguments: --modles wave\n"),
        ([], "error: the following arguments are required: OUT\n"),
        (["site", "--models"], "error: --models needs a value\n"),
        (["site", "--node_modules", "no such"], f"error: {Path('no such', 'onnxruntime-web', 'dist')} has no "),
    ],
)
def test_a_fault_is_one_sentence_and_status_2(arguments, sentence, tmp_path):
    command = [sys.executable, ROOT / "demo" / "build_site.py", *arguments]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (2, "") and result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
