"""The examples of docs/export.md, as a stranger pastes them, one after another."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(
    r"^```(sh|python)\n(.*?)^```", (ROOT / "docs" / "export.md").read_text(encoding="utf-8"), re.M | re.S
)


@pytest.mark.slow
def test_the_examples_run(make_picture, tmp_path):
    for package in ("onnx", "onnxruntime", "transformers", "safetensors"):
        pytest.importorskip(package)
    make_picture(90, 61, seed=0).save(tmp_path / "photo.jpg")
    caches = {name: str(tmp_path / name) for name in ("HF_HOME", "HF_MODULES_CACHE")}
    elsewhere = {**os.environ, **caches, "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": "1"}
    in_the_project = {**elsewhere, "PYTHONPATH": str(ROOT)}
    made, run = [], 0
    for kind, block in BLOCKS:
        if kind == "sh":
            for line in block.splitlines():
                python, *arguments = shlex.split(line)
                if python == "python":
                    subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=in_the_project, check=True)
                    made.append(arguments[3])
            continue
        environment = in_the_project if "from models" in block else elsewhere
        (tmp_path / "stylized.png").unlink(missing_ok=True)
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, check=True)
        assert ("stylized.png" in block) == (tmp_path / "stylized.png").exists()
        run += 1
    assert made == ["wave.onnx", "wave_720p.onnx", "wave.pt2", "wave_hub"] and run == 5
