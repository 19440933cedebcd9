"""docs/colab.ipynb, cell by cell with tiny numbers: its shell lines are run, Colab's own modules are stand-ins."""

import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_NEEDED = (".*", "__pycache__", "benchmarks", "docs", "tests", "photos", "results", "*_training")

pytestmark = pytest.mark.slow


def python_of(cell: dict) -> str:
    """The source of a cell with a call of ``shell`` for each line that IPython gives to a shell."""
    source = "".join(cell["source"]).replace("\\\n", " ")
    return re.sub(r"^( *)!(.*)$", r"\1shell(rf'''\2''')", source, flags=re.MULTILINE)


def shell(command: str) -> None:
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def test_the_notebook_repaints_and_trains(tmp_path, monkeypatch, make_picture, style_image, photos, vgg_file):
    make_picture(48, 36, seed=1).save(tmp_path / "my photo.jpg")
    uploads, shown, downloads = [tmp_path / "my photo.jpg", style_image], [], []

    def upload():
        path = uploads.pop(0)
        return {path.name: shutil.copyfile(path, path.name) and path.read_bytes()}

    files = types.SimpleNamespace(upload=upload, download=downloads.append)
    display = types.SimpleNamespace(Image=lambda path: path, display=shown.append)
    for name, module in {"google.colab": types.SimpleNamespace(files=files), "IPython.display": display}.items():
        monkeypatch.setitem(sys.modules, name.partition(".")[0], types.ModuleType(name.partition(".")[0]))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.chdir(tmp_path)
    cloned = tmp_path / "style_transfer"
    shutil.copytree(ROOT, cloned, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    archive = shutil.make_archive(tmp_path / "photos", "zip", photos)
    tiny = {
        "photographs": Path(archive).as_uri(), "total_steps": 2, "num_epochs": 1, "image_size": 32, "batch_size": 2,
        "more_flags": f'--vgg_weights "{vgg_file}" --device cpu --monitor_every_steps 1 --num_workers 0',
    }  # fmt: skip
    cells = json.loads((ROOT / "docs" / "colab.ipynb").read_text(encoding="utf-8"))["cells"]
    space = {"shell": shell}
    for cell in cells:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            exec(python_of(cell), space)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert tiny.keys() <= space.keys()
            space |= tiny
    assert shown == [
        "results/uploaded/my photo_starry_night.jpg", "styles/learnt/stripes_training/filmstrip.png",
        "results/learnt/my photo_stripes.jpg",
    ]  # fmt: skip
    assert downloads == ["styles/learnt/stripes.pth"]
    for path in (*shown, *downloads):
        assert (cloned / path).stat().st_size > 500
