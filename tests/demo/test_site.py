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
from tests.demo.browsing import PATIENCE, browser, give, node_module, ready, saved, stroke, until

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
    from demo.build_site import SiteConfig, build_site

    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("built") / "site"
    assert build_site(SiteConfig(folder, ("starry_night", "wave"), node_module("onnxruntime-web").parent)) == 2
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


@pytest.fixture(scope="module")
def stylizers():
    return [
        Stylizer(ROOT / "checkpoints" / "fast" / f"{name}.pth", "cpu", "float32") for name in ("starry_night", "wave")
    ]


@pytest.fixture
def page(browser, address):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(address)
    page.locator(".style").first.wait_for()
    yield page
    page.close()


def difference(page, stylizer, photo, act, **options):
    """From what the engine in Python makes of the photograph, once the page has answered an act; grey levels."""
    forget_status(page)
    act()
    ready(page)
    result = np.asarray(Image.open(io.BytesIO(saved(page)[1])).convert("RGB")).astype(int)
    return abs(result - np.asarray(stylizer.stylize(Image.open(photo), StyleOptions(**options)))).max()


def forget_status(page):
    page.evaluate("document.getElementById('status').textContent = ''")


def open_in_starry_night(page, address):
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(address)
    page.locator(".style[title=starry_night]").click()


def test_the_same_pixels_as_pytorch_without_a_network_too(browser, site, address, photo, stylizers):
    context = browser.new_context()
    page, asked = context.new_page(), set()
    context.on("request", lambda request: asked.add(request.url))
    open_in_starry_night(page, address)
    assert difference(page, stylizers[0], photo, lambda: page.set_input_files("#files", photo)) <= 1
    assert all(url.startswith((address, f"blob:{address}")) for url in asked)
    names = {urlsplit(url).path.lstrip("/") for url in asked if url.startswith(address)} - {""}
    loaded = sum(len(gzip.compress((site / name).read_bytes())) for name in names | {"index.html"})
    assert "starry_night.onnx" in names and "wave.onnx" not in names
    assert loaded <= 8 * 10**6

    until(page, "navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    open_in_starry_night(page, address)
    assert difference(page, stylizers[0], photo, lambda: page.set_input_files("#files", photo)) <= 1
    context.close()


def test_to_taste_as_in_python(page, photo, stylizers):
    page.locator(".style[title=starry_night]").click()
    give(page, photo)
    found = functools.partial(difference, page, stylizers[0], photo)
    assert found(page.locator("#colours").check, preserve_color=True) <= 1
    assert found(lambda: page.locator("#strength").fill("50"), preserve_color=True, strength=0.5) <= 1
    assert found(page.locator("#colours").uncheck, strength=0.5) <= 1
    found(lambda: page.locator("#strength").fill("100"))
    for power, scale in ((1, 2.0), (-1, 0.5), (0.4, 1.32)):
        assert found(lambda: page.locator("#strokes").fill(str(power)), stroke_scale=scale) <= 2  # noqa: B023
    found(page.locator("#strokes-auto").click)
    mask = painted_mask(page)
    assert mask.getextrema()[0] == (0, 255)
    assert found(page.locator("#mix").check, mask=mask) <= 1
    found = functools.partial(difference, page, Blend(stylizers, [1, 1]), photo)
    assert found(page.locator(".style[title=wave]").click, mask=mask) <= 1
    assert found(lambda: page.click("#mask-remove")) <= 1


def painted_mask(page):
    """What the page saves of a stroke, with which the photograph is painted."""
    forget_status(page)
    page.click("#mask")
    page.locator("#brush-size").fill("20")
    stroke(page)
    ready(page)
    page.click("#brush-done")
    return Image.open(io.BytesIO(saved(page, "#mask-save")[1]))


def test_the_camera_without_a_server(page):
    asked = []
    page.context.on("request", lambda request: asked.append(request.url.rsplit("/")[-1]))
    page.click("[data-view=camera]")
    page.click("#camera-start")
    page.locator("#camera-rate:not(:empty)").wait_for()
    assert "live_starry_night.onnx" in asked


def test_a_bad_file_without_a_server(page, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%PDF-1.7")
    page.set_input_files("#files", tmp_path / "a.jpg")
    page.locator("#error:not(:empty)").wait_for()
    assert "a.jpg" in page.inner_text("#error")


def test_a_truncated_jpeg_is_opened_as_far_as_it_goes(page, photo, tmp_path):
    with Image.open(photo) as picture:
        picture.save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 3 // 4])
    give(page, tmp_path / "cut.jpg")
    assert "cut.jpg is damaged" in page.inner_text("#error") and "120 × 84" in page.inner_text("#facts")


def test_of_an_animated_picture_the_first_frame_is_painted(page, make_picture, tmp_path):
    make_picture(40, 30, seed=1).save(tmp_path / "a.gif", save_all=True, append_images=[make_picture(40, 30, seed=2)])
    give(page, tmp_path / "a.gif")
    assert page.inner_text("#error") == "a.gif is animated: its first frame alone is taken"
