"""The page in a real browser; axe-core looks at its accessibility."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.demo.browsing import PATIENCE, browser, give, node_module, ready, saved, stroke, until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow
pytest.importorskip("starlette")

__all__ = ["browser"]


@pytest.fixture(scope="module")
def address(style_model, photos, vgg_file, tmp_path_factory):
    """Of the page, served as people start it."""
    command = [
        sys.executable, "-m", "demo", "--no_browser", "--models", style_model.parent, "--precision", "float32",
        "--dataset_dir", photos, "--vgg_weights", vgg_file, "--output_dir", tmp_path_factory.mktemp("trained"),
    ]  # fmt: skip
    with subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        yield re.search(r"http://\S+/", line)[0]
        process.send_signal(2)
        assert process.wait(timeout=PATIENCE) == 130


@pytest.fixture
def open_page(browser, address):
    """``with open_page(...) as page``; nothing may be said on the console, nothing asked of another address."""

    @contextlib.contextmanager
    def opened(width=1280, height=860, **more):
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        said = []
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        refused = "status of 422"  # of a file, which the page tells
        page.on("console", lambda message: refused in message.text or said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith((address, "blob:")) or said.append(asked.url))
        page.goto(address)
        page.locator(".style").first.wait_for()
        yield page
        context.close()
        assert said == []

    return opened


def choose(page, name):
    page.locator(f".style[title$='{name}']").click()


def until_command(page, condition):
    """Wait for the command that the page shows, and for its picture."""
    until(page, f"document.getElementById('command').textContent.{condition}")
    ready(page)


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.fixture
def photo(tmp_path, make_picture):
    path = tmp_path / "my photo.jpg"
    make_picture(120, 90, seed=1).save(path, quality=95)
    return path


def drop(page, *paths):
    """As from a file manager's window."""
    page.evaluate(
        """async (files) => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            for (const type of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true }));
            }
        }""",
        [[path.name, list(path.read_bytes())] for path in paths],
    )


def test_one_drop_and_one_click_give_the_file_of_the_command(page, photo, by_command):
    choose(page, "stripes.pth")
    drop(page, photo)
    assert saved(page) == by_command(photo)  # it comes as soon as it is ready
    choose(page, "wave")
    page.locator("#mix").check()
    choose(page, "the_scream")
    page.locator("#mixture input").nth(1).fill("25")
    until_command(page, "includes('the_scream:25')")
    assert saved(page)[0] == "my photo_wave+the_scream.jpg"


def test_sliders_and_switches_reach_the_picture_and_the_command(page, photo, by_command):
    choose(page, "stripes.pth")
    give(page, photo)
    page.locator("#strength").fill("40")
    page.locator("#strokes").fill("1")
    page.locator("#colours").check()
    until_command(page, "includes('--preserve_color')")
    page.click("summary")
    command = page.inner_text("#command")
    assert all(words in command for words in ("'my photo.jpg'", "--strength 0.4", "--stroke_scale 2", "stripes.pth"))
    assert saved(page) == by_command(photo, "--strength", "0.4", "--stroke_scale", "2", "--preserve_color")
    page.locator("#strength").fill("0")
    page.locator("#colours").uncheck()
    until_command(page, "includes('--strength 0 ')")
    assert abs(pixels(saved(page)[1]) - pixels(photo.read_bytes())).mean() < 1


def test_a_mask_is_painted_and_saved(page, photo, by_command, tmp_path):
    choose(page, "stripes.pth")
    give(page, photo)
    page.click("#mask")
    page.locator("#brush-size").fill("40")
    stroke(page)
    until_command(page, "includes('--mask')")
    page.click("#brush-done")
    result = saved(page)
    _, mask = saved(page, "#mask-save")
    (tmp_path / "mask.png").write_bytes(mask)
    assert result == by_command(photo, "--mask", tmp_path / "mask.png")
    painted, difference = pixels(mask), abs(pixels(result[1]) - pixels(photo.read_bytes()))
    assert painted[:, :10].max() == 0 and painted[:, -10:].min() == 255
    assert difference[:, :8].mean() < 3 < difference[:, -20:].mean()
    page.click("#mask-remove")
    until_command(page, "includes('--mask') === false")


def test_a_bad_file_is_one_sentence_and_its_name_is_text(page, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    path.write_bytes(b"%PDF-1.7")
    page.set_input_files("#files", path)
    page.locator("#error:not(:empty)").wait_for()
    text = page.inner_text("#error")
    assert "<img src=x onerror=alert(1)>.jpg" in text and "PDF document" in text
    assert page.locator("#error img").count() == 0 and page.locator("#empty").is_visible()


def test_the_camera_is_repainted_live_and_gives_a_photograph(page):
    choose(page, "stripes.pth")
    page.click("[data-view=camera]")
    page.click("#camera-start")
    page.locator("#camera-rate:not(:empty)").wait_for()
    assert "frames a second" in page.inner_text("#camera-rate")
    pixel = "[...document.getElementById('live').getContext('2d').getImageData(9, 9, 1, 1).data]"
    until(page, f"{pixel}.some((value, channel) => channel < 3 && value)")
    box = page.locator("#live").bounding_box()
    shape = [page.evaluate("live.width / live.height"), box["width"] / box["height"]]  # the camera's proportions
    page.click("#camera-snap")
    ready(page)
    assert page.inner_text("#title").startswith("camera.jpg")
    width, height = map(int, re.match(r"(\d+) × (\d+)", page.inner_text("#facts")).groups())
    assert shape == pytest.approx([width / height] * 2, rel=0.02)


def test_a_film_is_repainted_played_named_after_its_style_and_cancelled(page, make_film):
    choose(page, "stripes.pth")
    drop(page, make_film(frames=5, sound="aac"))
    until(page, "document.getElementById('status').textContent === 'The first picture of the film'")
    assert not page.locator("#save").is_visible()
    page.click("#film")
    until(page, "document.getElementById('status').textContent === 'The film in Stripes is ready'")
    until(page, "player.videoWidth === 64 && player.duration > 0 && player.poster.startsWith('blob:')")
    choose(page, "wave")  # the film stays what it was, and the page says so
    until(page, "document.getElementById('status').textContent === 'The first picture of the film'")
    assert page.inner_text("#save") == "Save film in Stripes" and page.inner_text("#film") == "Repaint in Wave"
    name, data = saved(page)
    assert name == "film_stripes.mp4" and data[4:8] == b"ftyp"
    drop(page, make_film(name="long.mp4", frames=200))
    until(page, "document.getElementById('title').textContent === 'long.mp4'")
    until(page, "document.getElementById('status').textContent === 'The first picture of the film'")
    page.click("#film")
    until(page, "document.getElementById('status').textContent.startsWith('Frame ')")
    page.click("#film-cancel")
    assert page.inner_text("#status") == "The film is cancelled" and page.locator("#film").is_visible()


def test_a_painting_is_learnt_and_is_among_the_styles(page, photo, style_image):
    broken = photo.with_name("broken.png")
    broken.write_bytes(b"%PDF-1.7")
    photo.with_name("other.jpg").write_bytes(photo.read_bytes())
    page.click("[data-view=train]")
    page.set_input_files("#painting-file", photo.with_name("other.jpg"))
    until(page, "document.getElementById('train-name').value === 'other' && painting.naturalWidth > 0")
    page.set_input_files("#painting-file", style_image)
    until(page, "document.getElementById('train-name').value === 'stripes'")
    page.set_input_files("#painting-file", broken)
    page.locator("#error:not(:empty)").wait_for()
    assert page.locator("#train-start").is_disabled()
    page.set_input_files("#painting-file", style_image)
    page.locator("#train-name").fill("learnt")
    page.evaluate("document.getElementById('train-steps').prepend(new Option('2 steps', '2'))")
    page.locator("#train-steps").select_option("2")
    page.click("#train-start")
    page.locator("#train-stop").wait_for()
    until(page, "document.getElementById('train-title').textContent === 'Learnt: learnt'", patience=600)
    assert "Step 2 of 2" in page.inner_text("#train-losses")
    page.locator(".style[title$='learnt.pth']").wait_for()
    page.click("[data-view=photographs]")
    choose(page, "learnt.pth")
    give(page, photo)
    assert saved(page)[0] == "my photo_learnt.jpg"


def test_by_keyboard_alone(page):
    def tab_to(selector, key="Tab"):
        for _ in range(90):
            page.keyboard.press(key)
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("#examples button")
    page.keyboard.press("Enter")
    ready(page)
    tab_to("#compare")
    page.keyboard.press("End")
    assert page.evaluate("document.getElementById('frame').style.getPropertyValue('--split')") == "100%"
    page.keyboard.press("Home")
    tab_to(".style[title$='stripes.pth']")
    page.keyboard.press("Space")
    until_command(page, "includes('stripes')")
    tab_to("#strength")
    page.keyboard.press("ArrowLeft")
    until_command(page, "includes('--strength 0.99')")
    tab_to("#save", "Shift+Tab")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "cat_stripes.jpg"


def test_masks_stay_with_their_photographs_and_strokes_are_undone(page, photo, make_picture, tmp_path):
    other = tmp_path / "other.png"
    make_picture(60, 80, seed=2).save(other)
    page.set_input_files("#files", [photo, other])
    until(page, "document.querySelectorAll('.pick').length === 2")
    page.click("[title='my photo.jpg']")
    page.click("#mask")
    stroke(page)
    until_command(page, "includes('--mask')")
    page.keyboard.press("Control+z")
    until_command(page, "includes('--mask') === false")
    page.click("#brush-redo")
    until_command(page, "includes('--mask')")
    page.click("[title='other.png']")
    until_command(page, "includes('--mask') === false")
    page.click("[title='my photo.jpg']")
    until_command(page, "includes('--mask')")
    name, data = saved(page, "#save-all")
    assert name.endswith(".zip") and data[:2] == b"PK" and b"my photo_" in data and b"other_" in data
    page.click("[aria-label='Remove other.png']")
    page.click("[aria-label='Remove my photo.jpg']")
    page.locator("#empty").wait_for()


def test_photographs_masks_and_settings_outlive_a_reload_until_they_are_forgotten(page, photo):
    choose(page, "stripes.pth")
    give(page, photo)
    page.locator("#strength").fill("40")
    page.click("#mask")
    stroke(page)
    until_command(page, "includes('--mask')")
    page.reload()
    until_command(page, "includes('--mask')")
    command = page.text_content("#command")
    assert all(words in command for words in ("'my photo.jpg'", "--strength 0.4", "stripes.pth"))
    page.click("#forget")
    page.locator("#empty").wait_for()
    page.reload()
    page.locator(".style").first.wait_for()
    assert page.evaluate("localStorage.length") == 0 or page.locator("#strength").input_value() == "100"
    assert page.locator("#empty").is_visible()


def test_what_a_hostile_program_left_in_the_storage_is_only_data(page, photo):
    page.evaluate(
        """async () => {
            const evil = "<img src=x onerror=alert(1)>";
            localStorage.setItem("style-transfer", JSON.stringify(
                { styles: [[evil, 1e9], [null, "x"], ["wave", 50]], strength: evil, strokes: "NaN" }));
            const database = await new Promise((resolve) => {
                const asked = indexedDB.open("style-transfer", 1);
                asked.onupgradeneeded = () => asked.result.createObjectStore("photographs");
                asked.onsuccess = () => resolve(asked.result);
            });
            const store = database.transaction("photographs", "readwrite").objectStore("photographs");
            const since = Date.now();
            store.put({ file: new Blob(["<script>"]), name: evil, strokes: [{ points: evil }], since }, 1);
            await new Promise((resolve) => store.put({ file: evil, since }, 2).onsuccess = resolve);
        }"""
    )
    page.reload()
    page.locator(".style[title='wave'][aria-pressed=true]").wait_for()
    give(page, photo)
    assert page.locator("#strength").input_value() == "100"
    assert page.locator("img[src=x]").count() == 0 and page.locator(".pick").count() == 1


def test_the_picture_is_copied_without_what_the_file_says_of_its_place(open_page, make_picture, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    make_picture(60, 40, seed=1).save(tmp_path / "a.jpg", exif=exif)
    with open_page(permissions=["clipboard-read", "clipboard-write"]) as page:
        give(page, tmp_path / "a.jpg")
        page.click("#share")
        until(page, "document.getElementById('status').textContent === 'The picture is copied'")
        data = page.evaluate(
            """async () => {
                const [item] = await navigator.clipboard.read();
                return [...new Uint8Array(await (await item.getType("image/png")).arrayBuffer())];
            }"""
        )
        with Image.open(io.BytesIO(bytes(data))) as copied:
            assert copied.size == (60, 40) and not copied.getexif()


def test_on_a_telephone_the_original_is_pressed_for_and_the_picture_stays_in_sight(open_page, photo):
    with open_page(width=390, height=844, has_touch=True, is_mobile=True) as page:
        give(page, photo)
        page.locator(".divider").wait_for()
        chosen, strip = (
            page.locator(one).first.bounding_box()
            for one in (".style[aria-pressed=true]", ".tiles:has([aria-pressed=true])")
        )
        assert strip["x"] <= chosen["x"] and chosen["x"] + chosen["width"] <= strip["x"] + strip["width"]
        page.locator("#colours").scroll_into_view_if_needed()
        box = page.locator("#frame").bounding_box()
        assert box["y"] >= 0 and page.locator("#mask").bounding_box()["y"] > box["y"] + box["height"]
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        until(page, "frame.classList.contains('original')")
        page.mouse.up()
        until(page, "!frame.classList.contains('original')")
        page.click("#zoom-in")
        assert page.evaluate("before.getBoundingClientRect().width / frame.clientWidth") == pytest.approx(1.5, rel=0.01)


def test_two_fingers_enlarge_and_move_the_picture(open_page, photo):
    with open_page(width=820, height=1180, has_touch=True, is_mobile=True) as page:
        give(page, photo)
        box = page.locator("#frame").bounding_box()
        fingers = page.context.new_cdp_session(page)

        def touch(kind, apart=None, right=0):
            middle = box["x"] + box["width"] / 2 + right, box["y"] + box["height"] / 2
            points = [] if apart is None else [{"x": middle[0], "y": middle[1] + y} for y in (-apart, apart)]
            points = [{**point, "id": number} for number, point in enumerate(points)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def shown():
            page.evaluate("new Promise(requestAnimationFrame)")  # Chromium keeps moves back until the next frame
            return page.evaluate("[before.getBoundingClientRect().x, before.getBoundingClientRect().width]")

        _, width = shown()
        touch("touchStart", 40)
        for apart in range(44, 81, 4):
            touch("touchMove", apart)
        left, enlarged = shown()
        assert enlarged / width == pytest.approx(2, rel=0.02)
        for right in range(5, 51, 5):
            touch("touchMove", 80, right)
        assert shown() == pytest.approx([left + 50, enlarged], abs=2)
        touch("touchEnd")
        assert page.evaluate("[scrollY, visualViewport.scale]") == [0, 1]
        assert not page.evaluate("frame.classList.contains('original')")


@pytest.mark.parametrize("width", [320, 820, 1360])
def test_nothing_sticks_out(open_page, photo, width):
    with open_page(width=width, height=720) as page:
        for step in ("empty", "picture"):
            if step == "picture":
                give(page, photo)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, step
            page.locator("#choose" if step == "empty" else "#save").scroll_into_view_if_needed()


@pytest.mark.parametrize("scheme, width", [("light", 1360), ("dark", 820), ("light", 390)])
def test_accessibility(open_page, photo, scheme, width):
    axe = (node_module("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    with open_page(color_scheme=scheme, width=width, bypass_csp=True, reduced_motion="reduce") as page:
        page.evaluate(axe)
        for step in ("empty", "picture", "mask", "mixture", "camera", "train"):
            if step == "picture":
                give(page, photo)
            if step in ("mask", "mixture"):
                page.click("#mask" if step == "mask" else "#brush-done")
            if step == "mixture":
                page.locator("#mix").check()
            if step in ("camera", "train"):
                page.click(f"[data-view={step}]")
            found = page.evaluate("axe.run()")["violations"]
            found = [one for one in found if one["impact"] in ("serious", "critical")]
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], step
