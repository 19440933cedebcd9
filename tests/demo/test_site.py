"""The page without a server: built, opened from a plain file server, compared with the engine in Python."""

import functools
import gzip
import http.server
import io
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from inference.options import StyleOptions
from inference.stylizer import Blend, Stylizer
from tests.demo.browsing import PATIENCE, browser, node_module, ready, saved, until
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow
pytest.importorskip("starlette")

__all__ = ["browser"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of two models of one style; its folder."""
    from demo.build_site import build_site

    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("built") / "site"
    assert build_site(folder, ["starry_night", "wave"], node_module("onnxruntime-web").parent) == 2
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    with Image.open(ROOT / "content" / "harbour.jpg") as picture:
        picture.convert("RGB").resize((120, 84)).save(path)
    return path


def painted(page):
    ready(page)
    return np.asarray(Image.open(io.BytesIO(saved(page)[1])).convert("RGB")).astype(int)


def test_the_same_pixels_as_pytorch_without_a_network_too(browser, site, address, photo):
    context = browser.new_context()
    page, asked = context.new_page(), set()
    page.set_default_timeout(PATIENCE * 1000)
    context.on("request", lambda request: asked.add(request.url))
    page.goto(address)
    page.locator(".style[title=starry_night]").click()
    page.set_input_files("#files", photo)
    stylizers = [Stylizer(ROOT / "checkpoints" / f"{name}.pth", "cpu", "float32") for name in ("starry_night", "wave")]
    picture = Image.open(photo)
    assert abs(painted(page) - np.asarray(stylizers[0].stylize(picture))).max() <= 1
    assert all(url.startswith((address, f"blob:{address}")) for url in asked)
    names = {urlsplit(url).path.lstrip("/") for url in asked if url.startswith(address)} - {""}
    loaded = sum(len(gzip.compress((site / name).read_bytes())) for name in names | {"index.html"})
    assert "starry_night.onnx" in names and "wave.onnx" not in names
    assert loaded <= 8 * 10**6

    until(page, "navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.reload()
    page.locator(".style[title=starry_night]").click()
    page.set_input_files("#files", photo)
    assert abs(painted(page) - np.asarray(stylizers[0].stylize(picture))).max() <= 1
    context.set_offline(False)

    page.locator("#strength").fill("50")
    until(page, "document.getElementById('status').textContent !== 'The full size is ready'")
    assert abs(painted(page) - np.asarray(stylizers[0].stylize(picture, StyleOptions(strength=0.5)))).max() <= 1
    page.locator("#strength").fill("100")
    page.locator("#mix").check()
    page.locator(".style[title=wave]").click()
    until(page, "document.getElementById('status').textContent !== 'The full size is ready'")
    assert abs(painted(page) - np.asarray(Blend(stylizers, [1, 1]).stylize(picture))).max() <= 1
    context.close()


def test_the_camera_without_a_server(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.click("[data-view=camera]")
    page.click("#camera-start")
    page.locator("#camera-rate:not(:empty)").wait_for(timeout=PATIENCE * 1000)
    page.close()


def test_a_bad_file_without_a_server(browser, address, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%PDF-1.7")
    page = browser.new_page()
    page.goto(address)
    page.set_input_files("#files", tmp_path / "a.jpg")
    page.locator("#error:not(:empty)").wait_for()
    assert "a.jpg" in page.inner_text("#error")
    page.close()


def test_what_is_missing_or_there_is_told(tmp_path):
    from demo.build_site import RUNTIME, build_site

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
