"""Debian's Chromium, driven by Playwright, and what tests do with a page in it; skipped where one of them is missing.

STYLE_TRANSFER_NODE_MODULES names the folder that npm installed axe-core and onnxruntime-web in.
"""

import os
import shutil
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]  # fmt: skip
PATIENCE = 120  # seconds, of a busy machine


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def node_module(name: str) -> Path:
    """The folder of a package that npm installed; skips where there is none."""
    folder = os.environ.get("STYLE_TRANSFER_NODE_MODULES")
    if not (folder and Path(folder, name).is_dir()):
        pytest.skip(f"STYLE_TRANSFER_NODE_MODULES names no folder with {name}")
    return Path(folder, name)


def until(page, expression, patience=PATIENCE):
    """Wait for something to be true; the page's policy keeps Playwright's own way of waiting out."""
    end = time.monotonic() + patience
    while not page.evaluate(expression):
        assert time.monotonic() < end, (expression, page.inner_text("#status"), page.inner_text("#error"))
        time.sleep(0.02)


def stroke(page):
    """A stroke of the brush down the left side."""
    box = page.locator("#brushed").bounding_box()
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + 9, box["y"] + box["height"] - 9, steps=4)
    page.mouse.up()


def ready(page):
    until(page, "document.getElementById('status').textContent === 'The full size is ready'")


def give(page, path):
    """A photograph, which is painted."""
    page.set_input_files("#files", path)
    ready(page)


def saved(page, button="#save"):
    """The name and the bytes of what a button saves."""
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()
