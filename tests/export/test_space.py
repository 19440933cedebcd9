"""export/space: a page with Gradio, used in a real browser.

STYLE_TRANSFER_SPACE_PYTHON names the Python of an environment with export/space/requirements.txt.
"""

import io
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.hub import HubConfig, export_hub
from inference.stylizer import Stylizer
from tests.demo.browsing import PATIENCE, browser  # noqa: F401  a fixture

APP = Path(__file__).resolve().parents[2] / "export" / "space" / "gradio_app.py"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of the page, with the model that ships as wave."""
    python = os.environ.get("STYLE_TRANSFER_SPACE_PYTHON")
    if not python:
        pytest.skip("STYLE_TRANSFER_SPACE_PYTHON is not set")
    folder = tmp_path_factory.mktemp("space")
    export_hub(HubConfig("checkpoints/wave.pth", folder / "model"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "STYLE_MODEL": str(folder / "model"), "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        process = subprocess.Popen([python, APP], env={**os.environ, **settings}, cwd=folder, stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while f":{port}" not in (folder / "log.txt").read_text(encoding="utf-8"):
            assert process.poll() is None and time.monotonic() < end, (folder / "log.txt").read_text(encoding="utf-8")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_a_photograph_is_repainted(address, browser, make_picture, tmp_path):  # noqa: F811
    photograph = make_picture(97, 61, seed=1)
    photograph.save(tmp_path / "photo.png")
    page = browser.new_page()
    page.goto(address)
    pictures = page.locator("img[src*='/gradio_api/file=']")
    page.set_input_files("input[type=file]", tmp_path / "photo.png")
    pictures.first.wait_for(timeout=1000 * PATIENCE)
    page.get_by_role("button", name="Submit").click()
    pictures.nth(1).wait_for(timeout=1000 * PATIENCE)
    with urllib.request.urlopen(pictures.nth(1).get_attribute("src")) as answer:
        repainted = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))
    expected = np.asarray(Stylizer("checkpoints/wave.pth", "cpu", "float32").stylize(photograph))
    assert np.abs(repainted.astype(int) - expected).max() <= 1
