"""Draw docs/gallery/page.jpg, the page of ``python -m demo`` with a photograph and its styles.

apt-get install chromium fonts-inter && pip install -r requirements-browser.txt && python -m docs.draw_page
"""

import io
import time

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.page import serve
from docs.draw_gallery import GALLERY
from tests.demo.browsing import CHROMIUM, FLAGS, ready, until


def main() -> None:
    with serve("demo", "--no_browser") as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1360, "height": 880})
        page.goto(address)
        page.locator(".style").first.wait_for()
        page.locator("#examples button").first.click()
        ready(page)
        until(page, "[...document.querySelectorAll('.style img')].every((image) => image.src.startsWith('blob:'))")
        page.locator("#compare").fill("42")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(5, 5)
        time.sleep(0.5)
        picture = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    picture.convert("RGB").save(GALLERY / "page.jpg", quality=88, subsampling=0)


if __name__ == "__main__":
    main()
