"""Photographs on the page, as far as the server goes: the same pictures as the command writes, and no trace left."""

import gc
import io
import json
import mimetypes
import re
import signal
import threading
import time
import zipfile
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image, ImageCms

pytest.importorskip("starlette")

from benchmarks.page import PATIENCE, Page
from demo.app import LARGEST_MESSAGE, file_name
from tests.drawing_png import encoded


@pytest.fixture
def photo(make_picture):
    """A JPEG with EXIF, lying on its side, and a wide profile."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(make_picture(96, 64, seed=1), "JPEG", exif=exif, icc_profile=profile)


@pytest.fixture
def style(server, style_model):
    return next(style.id for style in server.catalogue.styles().values() if style.name == style_model.stem)


def test_the_page_and_its_styles(client):
    answer = client.get("/")
    assert answer.status_code == 200 and "<!doctype html>" in answer.text
    for name in ("page.css", "page.js", "engine.js", "icon.svg"):
        assert client.get(f"/{name}").status_code == 200
    about = client.get("/styles").json()
    styles = {style["id"]: style for style in about["styles"]}
    wave = styles["wave"]
    assert wave["credit"] == {"title": "The Great Wave off Kanagawa", "artist": "Katsushika Hokusai", "year": "c. 1831"}
    assert len(about["examples"]) == 3 and all(example["by"] for example in about["examples"])
    for url in (wave["painting"], wave["thumbnail"], *(example["url"] for example in about["examples"])):
        with Image.open(io.BytesIO(client.get(f"/{url}").content)) as picture:
            assert picture.format == "JPEG" and np.asarray(picture).std() > 2
    assert client.get("/thumbnail", params={"style": "no such"}).status_code == 404


def test_a_style_of_ones_own_shows_what_it_was_trained_on(server, client, style_model, make_picture):
    for name in ("wave", "own"):
        style_model.with_name(f"{name}.pth").write_bytes(style_model.read_bytes())
    make_picture(900, 600, seed=3).save(style_model.with_name("own_painting.png"))
    styles = {Path(style.id).stem: style for style in server.catalogue.styles().values() if ".pth" in style.id}
    try:
        assert styles["wave"].painting is None and styles["own"].credit is None
        with Image.open(io.BytesIO(client.get("/painting", params={"style": styles["own"].id}).content)) as picture:
            assert picture.size == (480, 320)
    finally:
        for path in [*style_model.parent.glob("wave*"), *style_model.parent.glob("own*")]:
            path.unlink()


@pytest.mark.parametrize(
    "flags, options",
    [
        ([], {}),
        (
            ["--strength", "0.5", "--preserve_color", "--stroke_scale", "2"],
            {"strength": 0.5, "preserve_color": True, "stroke_scale": 2},
        ),
    ],
)
def test_the_file_is_that_of_the_command(page, photo, style, by_command, tmp_path, flags, options):
    (tmp_path / "a photo.jpg").write_bytes(photo)
    facts = page.upload(photo, "a%20photo.jpg").json()
    assert (facts["width"], facts["height"], facts["remarks"]) == (64, 96, [])
    result = page.paint(facts["photograph"], [[style, 1]], **options)
    assert page.saved(result) == by_command(tmp_path / "a photo.jpg", *flags)
    disposition = page.client.get(result["url"]).headers["content-disposition"]
    assert disposition == "attachment; filename*=utf-8''a%20photo_stripes.jpg"


def test_a_painted_mask_is_that_of_the_command(page, photo, style, by_command, tmp_path):
    mask = Image.new("L", (64, 96), 255)
    mask.paste(0, (0, 0, 64, 50))
    mask.save(tmp_path / "mask.png")
    (tmp_path / "photo.jpg").write_bytes(photo)
    photograph, other = page.add(photo), page.add(photo)
    page.upload((tmp_path / "mask.png").read_bytes(), where="/masks", **{"X-Photograph": photograph})
    masked = page.saved(page.paint(photograph, [[style, 1]]))
    assert masked == by_command(tmp_path / "photo.jpg", "--mask", tmp_path / "mask.png")
    plain = page.saved(page.paint(other, [[style, 1]]))
    assert plain != masked  # each photograph has a mask of its own
    wanted = [{"photograph": number, "recipe": {"styles": [[style, 1]]}} for number in (photograph, other)]
    page.send({"type": "all", "photographs": wanted})
    with zipfile.ZipFile(io.BytesIO(page.client.get(page.until("all")[0]["url"]).content)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [masked[1], plain[1]]
    page.send({"type": "remove_mask", "photograph": photograph})
    assert page.saved(page.paint(photograph, [[style, 1]])) == plain


def test_a_large_photograph_comes_small_first_and_then_in_tiles(page, style, large):
    page.ask("paint", page.add(large), [[style, 1]], request=7)
    kinds = []
    while not kinds or kinds[-1] != "result":
        message, data = page.receive()
        assert message["request"] == 7
        kinds.append(message["type"])
        if message["type"] == "preview":
            with Image.open(io.BytesIO(data)) as picture:
                assert max(picture.size) < 160
        if message["type"] == "shown":
            with Image.open(io.BytesIO(data)) as picture:
                assert picture.size == (160, 120)
    assert list(dict.fromkeys(kinds)) == ["command", "preview", "progress", "shown", "result"]


def test_all_photographs_in_one_archive(page, style, make_picture):
    files = {name: encoded(make_picture(40, 32, seed=seed), "JPEG") for seed, name in enumerate(("a.jpg", "b.jpg"))}
    numbers = [page.add(files[name], name) for name in ("a.jpg", "b.jpg", "a.jpg")]
    _, alone = page.saved(page.paint(numbers[0], [[style, 1]]))
    recipe = {"styles": [[style, 1]]}
    page.send({"type": "all", "photographs": [{"photograph": number, "recipe": recipe} for number in numbers]})
    message, _ = page.until("all")
    assert message["failed"] == []
    with zipfile.ZipFile(io.BytesIO(page.client.get(message["url"]).content)) as archive:
        assert archive.namelist() == ["a_stripes.jpg", "b_stripes.jpg", "a_stripes_2.jpg"]
        assert archive.read("a_stripes.jpg") == archive.read("a_stripes_2.jpg") == alone


def test_thumbnails_show_the_photograph_in_every_style(page, server, photo, monkeypatch):
    monkeypatch.setattr(server.catalogue, "folders", [Path("checkpoints/films")])
    page.send({"type": "thumbnails", "photograph": page.add(photo)})
    shown = [page.until("thumbnail")[0]["style"] for _ in server.catalogue.styles()]
    assert shown == list(server.catalogue.styles()) and len(shown) > 2


def test_frames_of_a_camera(page, style, make_picture):
    page.send({"type": "live", "recipe": {"styles": [[style, 1]]}})
    page.send({"type": "frame"}, encoded(make_picture(32, 24, seed=5), "JPEG"))
    message, data = page.until("frame")
    with Image.open(io.BytesIO(data)) as frame:
        assert message["type"] == "frame" and frame.size == (32, 24)
    assert message["enlarged"] == 1
    page.send({"type": "frame"}, b"\xff\xd8\xff no frame")
    assert "cannot be read" in page.until("frame")[0]["error"]
    page.send({"type": "frame"}, encoded(Image.new("RGB", (1400, 1400)), "JPEG"))
    assert "too large" in page.until("frame")[0]["error"]


@pytest.mark.parametrize("name", ["film.mp4", "a.gif", "a.png"])
def test_a_film_is_that_of_the_command(page, style, by_command, make_picture, tmp_path, request, name):
    if name == "film.mp4":
        request.getfixturevalue("make_film")(frames=4, size=(40, 30), sound="aac").rename(tmp_path / name)
    else:
        first, *others = (make_picture(40, 30, seed=seed) for seed in range(4))
        first.save(tmp_path / name, save_all=True, append_images=others, duration=[50, 120, 80, 200], loop=0)
    facts = page.upload((tmp_path / name).read_bytes(), name).json()
    assert (facts["width"], facts["height"], facts["remarks"]) == (40, 30, []) and facts["film"]
    page.ask("paint", facts["photograph"], [[style, 1]])
    assert page.until("preview")[0]["type"] == "preview"
    page.ask("film", facts["photograph"], [[style, 1]])
    assert page.until("film_progress")[0]["total"] == 4
    with Image.open(io.BytesIO(page.until("film_frame")[1])) as frame:
        assert frame.size == (40, 30)
    message, _ = page.until("film")
    assert page.saved(message) == by_command(tmp_path / name) and message["remarks"] == []
    assert page.client.get(message["url"]).headers["content-type"] == mimetypes.guess_type(name)[0]


def test_a_cancelled_film_leaves_nothing(page, server, style, make_film):
    photograph = page.add(make_film(frames=60).read_bytes(), "film.mp4")
    before = set(server.tabs[page.tab].folder.iterdir())
    page.ask("film", photograph, [[style, 1]])
    page.until("film_progress")
    page.send({"type": "cancel"})
    page.ask("paint", photograph, [[style, 1]])
    assert page.until("preview")[0]["type"] == "preview"  # it has its turn, so the film's has ended or is about to
    server.tabs[page.tab]._workers["film"].end()
    assert set(server.tabs[page.tab].folder.iterdir()) == before


def test_a_closed_page_stops_its_work_and_leaves_nothing(open_page, server, style, large):
    with open_page() as page:
        tab = server.tabs[page.tab]
        page.ask("paint", page.add(large), [[style, 1]], stroke_scale=0.25)
        page.until("preview")
        assert tab.folder.is_dir()
    for _ in range(6000):
        if not (server.tabs or tab.folder.exists()):
            break
        time.sleep(0.05)
    assert not server.tabs and not tab.folder.exists()
    assert server.painter.room._free == server.config.max_pixels and not server.painter.turns._queue


def test_another_page_has_its_turn(open_page, style, large, make_picture, monkeypatch):
    """While a page's large photograph is painted, another's small one is."""
    with open_page() as first, open_page() as second:
        monkeypatch.setattr("inference.stylizer._SMALL_TILE", 16)  # of 80
        first.ask("paint", first.add(large), [[style, 1]], stroke_scale=1.5)
        first.until("preview")
        small = second.add(encoded(make_picture(24, 16, seed=7), "JPEG"))
        assert second.paint(small, [[style, 1]])["type"] == "result"
        assert first.until("result")[0]["type"] == "result"


def test_what_is_removed_is_gone_and_what_is_too_large_refused(page, server, photo, style):
    facts, tab = page.upload(photo).json(), server.tabs[page.tab]
    photograph, taken = facts["photograph"], tab.bytes_taken
    url = page.paint(photograph, [[style, 1]])["url"]
    page.send({"type": "remove", "photograph": photograph})
    page.ask("paint", photograph, [[style, 1]])
    assert "no longer" in page.until("error")[0]["error"]
    assert [page.client.get(address).status_code for address in (url, facts["screen"])] == [404, 404]
    answer = page.upload(b"x" * 3_000_001)
    assert answer.status_code == 422 and "3 MB" in answer.json()["error"]
    assert (taken, tab.bytes_taken) == (len(photo), 0) and not list(tab.folder.iterdir())


def test_a_model_that_is_added_appears(style_model, client):
    before, added = len(client.get("/styles").json()["styles"]), style_model.with_name("added.pth")
    try:
        for content in (b"no model", style_model.read_bytes(), b"no model again"):
            added.write_bytes(content)
            about = client.get("/styles").json()
            is_model = len(content) > 20
            assert len(about["styles"]) == before + is_model and ("added.pth" in str(about["unreadable"])) != is_model
    finally:
        added.unlink()
    assert client.get("/styles").json()["unreadable"] == []


@pytest.mark.parametrize(
    "given, name",
    [
        ("../../etc/passwd", "passwd"), ("C:\\photos\\a.jpg", "a.jpg"), ("a\nb\x00.jpg", "anbx00.jpg"),
        ("..", "photograph"), ("x" * 300 + ".jpeg", "x" * 150 + ".jpeg"), ("\u202e<b>.png", "b.png"),
    ],
)  # fmt: skip
def test_names_of_files_are_one_line_without_folders(given, name):
    assert file_name(given).replace("\\", "") == name


@pytest.mark.slow
def test_page_and_command_name_the_same_threads(start_cli, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with start_cli("-m", "demo", "--no_browser", "--device", "cpu") as process:
        said = process.stdout.readline()
        with urlopen(re.search(r"http://[^/]+", said)[0] + "/styles") as answer:
            device = json.load(answer)["device"]
        process.kill()
    assert device in said and "2 threads" in device


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_a_film_is_painted_leaves_nothing(times, start_cli, make_film, tmp_path, monkeypatch):
    """Neither a result, nor a file, nor a traceback."""
    from websockets import ConnectionClosed
    from websockets.sync.client import connect

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with start_cli("-m", "demo", "--no_browser") as process:
        address = re.search(r"http://[^/]+", process.stdout.readline())[0]
        with connect(f"ws{address[4:]}/tab", origin=address, max_size=None) as socket:
            page = Page(address, socket)
            number = page.upload(make_film(frames=200, size=(320, 240)).read_bytes(), "film.mp4")
            page.send({"type": "film", "photograph": number, "recipe": {"styles": [["wave", 1]]}})
            page.until("film_progress")
            for _ in range(times):
                process.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionClosed):
                page.until("film")
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and said == "" and not list(tmp_path.glob("style_transfer_*"))


@pytest.mark.slow
def test_a_thousand_requests_leave_memory_flat(page, server, style, photo):
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("this system does not say how much memory a process has")

    def rounds(number):
        for _ in range(number):
            photograph = page.add(photo)
            result = page.paint(photograph, [[style, 1]])
            assert page.client.get(result["url"]).status_code == 200
            page.send({"type": "remove", "photograph": photograph})
        gc.collect()
        return int(statm.read_text(encoding="utf-8").split()[1]) * 4096

    before = rounds(80)
    after = rounds(340)  # of three requests each
    tab = server.tabs[page.tab]
    assert after - before < 30 * 2**20
    assert len(tab.downloads) <= 2 and len(list(tab.folder.iterdir())) <= 3 and threading.active_count() < 40


def test_messages_that_make_no_sense_are_answered(page, photo, style):
    photograph = page.add(photo)
    for packed in (b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\x02{", b"\0\0\0\x02[]", b"\0\0\x13\x88" + b"[" * 5000):
        page.socket.send_bytes(packed)
        assert "error" in page.receive()[0]
    page.socket.send_text("hello")
    assert "error" in page.receive()[0]
    for message in (
        {"type": None}, {"type": ["paint"]}, {"type": "paint"}, {"type": "paint", "photograph": {}}, {"type": "all"},
        {"type": "all", "photographs": "x"}, {"type": "all", "photographs": [{"photograph": [], "recipe": 1}]},
        {"type": "frame"}, {"type": "live"}, {"type": "thumbnails"}, {"type": "film"},
        {"type": "film", "photograph": photograph, "recipe": {"styles": [[style, 1]]}},
    ):  # fmt: skip
        page.send(message)
        assert page.receive()[0]["type"] == "error"
    for message in ({"type": "remove"}, {"type": "remove_mask"}, {"type": "remove_mask", "photograph": {}}):
        page.send(message)
    page.send({"type": "stop"})
    assert page.paint(photograph, [[style, 1]])["type"] == "result"
    assert LARGEST_MESSAGE > 1280 * 960 * 3
