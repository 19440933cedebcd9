"""Both commands where there is nothing of POSIX: see as_on_windows/sitecustomize.py for what is taken away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.checkpoints import find_model, load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SHIM = Path(__file__).parent / "as_on_windows"
UNUSUAL = "木の写真 á"  # of which a Western console shows the last letter alone

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="tells by /proc which files are open")


@pytest.fixture
def run(tmp_path):
    """``run(script, *args)``: the command as on Windows, from a folder of its own; what it printed."""

    def call(script, *args):
        environment = {
            **os.environ, "PYTHONPATH": str(SHIM), "PYTHONIOENCODING": "cp1252:strict",
            "PYTHONWARNDEFAULTENCODING": "1",
        }  # fmt: skip
        command = [sys.executable, ROOT / script, *args]
        result = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, env=environment)
        printed, errors = result.stdout.decode("cp1252"), result.stderr.decode("cp1252")
        assert result.returncode == 0 and "Traceback" not in errors, errors
        return printed

    return call


def test_what_is_taken_away_is_missing(tmp_path):
    """Else the others would say nothing."""
    program = """
import builtins, ctypes, os, signal
for name in ("fcntl", "resource"):
    try: __import__(name)
    except ModuleNotFoundError: print("no", name)
try: ctypes.CDLL(None)
except TypeError: print("no C library")
with open("file", "wb"):
    try: os.unlink("file")
    except PermissionError: print("in use")
try: open("file", "r")
except EncodingWarning: print("no encoding")
print(hasattr(signal, "SIGCHLD"), hasattr(os, "fork"))
"""
    path = ROOT / "tests" / "robustness" / "none.py"  # in whose name it is run
    environment = {**os.environ, "PYTHONPATH": str(SHIM), "PYTHONWARNDEFAULTENCODING": "1"}
    command = [sys.executable, "-c", f"exec(compile({program!r}, {str(path)!r}, 'exec'))"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    expected = ["no fcntl", "no resource", "no C library", "in use", "no encoding", "False False"]
    assert result.stdout.splitlines() == expected, result.stderr


def test_inference(run, tmp_path, make_picture):
    (tmp_path / "trip").mkdir()
    for name in (UNUSUAL, "b"):
        make_picture(40, 30, seed=1).save(tmp_path / "trip" / f"{name}.png")
    single = ["--content_image", Path("trip", f"{UNUSUAL}.png"), "--output_dir", "results", "--device", "cpu"]
    printed = run("begin_inference.py", *single)
    assert r"\u6728" in printed and "á_starry_night.png, 40 x 30" in printed
    (tmp_path / "results" / ".b_starry_night.png.01234567.unfinished").write_bytes(b"half")
    printed = run("begin_inference.py", "--content_image", "trip", *single[2:], "--overwrite")
    assert "Stylised 2 of 2 photographs" in printed
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        f"{UNUSUAL}_starry_night.png", "b_starry_night.png"
    }  # fmt: skip


def test_training(run, tmp_path, style_image, photos, vgg_file):
    """With a reading process; resumed without; once more with --overwrite."""
    painting = tmp_path / f"{UNUSUAL}.png"
    painting.write_bytes(style_image.read_bytes())
    training = [
        "--style_image", painting, "--dataset_dir", photos, "--vgg_weights", vgg_file, "--image_size", 32,
        "--batch_size", 2, "--num_epochs", 10, "--total_steps", 4, "--device", "cpu", "--precision", "float32",
        "--training_monitor_content_image", style_image, "--output_dir", "out", "--checkpoint_every_steps", 2,
        "--monitor_every_steps", 2, "--log_every_steps", 1, "--keep_checkpoints", 1,
    ]  # fmt: skip
    run("begin_training.py", *training, "--num_workers", 1)
    folder = tmp_path / "out" / f"{UNUSUAL}_training"
    model = load_checkpoint(tmp_path / "out" / f"{UNUSUAL}.pth")
    assert find_model(folder).name == "step_000004.pth" and model.provenance["step"] == 4

    more = ["--total_steps", 6, "--num_workers", 0]
    printed = run("begin_training.py", "--checkpoint_path", Path("out", folder.name), *more)
    assert "resumed after step 4" in printed
    assert find_model(folder).name == "step_000006.pth"
    assert (folder / "monitor_000006.png").exists()

    run("begin_training.py", *training, "--num_workers", 0, "--overwrite")
    assert find_model(folder).name == "step_000004.pth" and not (folder / "monitor_000006.png").exists()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {folder.name, f"{UNUSUAL}.pth"}
