"""Nobody gets in: attacks on the page's server, each as somebody would try it."""

import io
import re
import socket

import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from config import MAX_PIXELS
from demo.__main__ import listening_socket
from tests import drawing_png
from utils.errors import UserError

ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
def png(make_picture):
    """The bytes of a small picture."""
    return drawing_png.encoded(make_picture(16, 16, seed=0), "PNG")


def asked(client, path="/styles", method="GET", **headers):
    return client.request(method, path, headers=headers).status_code


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000"])
def test_its_own_addresses_are_answered(client, host):
    assert asked(client, "/", Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000", "127.0.0.1", "127.0.0.1.evil.example:8000", "", "192.168.0.7:8000", "[::1", "127.0.0.1:x",
        "localhost:8000@evil.example", "127.0.0.1:8000/x", "0.0.0.0:8000",
    ],
)  # fmt: skip
def test_dns_rebinding_is_refused(client, host):
    """A name of somebody else's that his DNS points to this machine is not answered."""
    assert asked(client, "/", Host=host) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8000", f"{ORIGIN}.evil.example", ""]
)
def test_another_sites_page_is_refused(client, open_page, origin):
    with open_page() as page:
        assert page.upload(b"x", Origin=origin).status_code == 403
    assert asked(client, Origin=origin) == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/tab", headers={"Origin": origin, "Host": ORIGIN[7:]}),
    ):
        pass


def test_what_changes_something_needs_an_origin(client, open_page):
    assert client.post("/photographs", content=b"x").status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/tab", headers={"Host": "127.0.0.1:8000"}):
        pass


def test_a_picture_tag_of_another_site_gets_nothing(client):
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert asked(client, "/thumbnail?style=wave", **cross, **{"Sec-Fetch-Mode": "no-cors"}) == 403
    assert asked(client, "/page.js", **cross, **{"Sec-Fetch-Mode": "no-cors"}) == 403
    assert asked(client, "/", **cross, **{"Sec-Fetch-Mode": "navigate"}) == 200  # a link to the page
    assert asked(client, "/styles", **cross, **{"Sec-Fetch-Mode": "navigate"}) == 403


def test_without_the_tabs_secret_nothing_is_taken_or_given(client, page, png):
    for token in ("", "x", "../" + page.tab, page.tab[:-1]):
        assert page.upload(png, **{"X-Tab": token}).status_code == 403
    screen = page.upload(png).json()["screen"]
    assert client.get(screen).status_code == 200
    _, _, tab, token = screen.split("/")
    for path in (f"/files/x/{token}", f"/files/{tab}/x", f"/files/{tab}/..%2f..%2f..%2fetc%2fpasswd"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../config.py", "/..%2fapp.py", "/%2e%2e/app.py", "/app.py", "//etc/passwd", "/pictures/..%2f..%2fREADME.md",
        "/pictures/credits.json", "/painting?style=../../etc/passwd", "/page.js%00", "/files/a/b",
        "/thumbnail?style=/etc/passwd",
    ],
)  # fmt: skip
def test_no_path_of_a_request_is_opened(client, path):
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code != 200 or "<!doctype html>" in answer.text
    assert "root:" not in answer.text and "import " not in answer.text


def test_headers_for_browsers(client):
    """No inline script or style, no address outside, no frame; of errors too."""
    for path, host in (("/", "127.0.0.1:8000"), ("/nothing", "127.0.0.1:8000"), ("/", "evil.example")):
        headers = client.get(path, headers={"Host": host}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert "evil.example" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin" and "access-control-allow-origin" not in headers


def test_the_page_itself_keeps_to_that(server):
    """Nothing inline, nothing from elsewhere, no text that becomes markup."""
    for name, data in server._files.items():
        text = data.decode()
        addresses = set(re.findall(r"\w+://[\w.]+", text)) - {"http://www.w3.org", "ws://"}
        assert not addresses, (name, addresses)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text), name
        if name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text), name


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "photo.jpg"), (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "SVG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "photo.jpg"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "photo.jpg"),  # a list of other files
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "photo.jpg"), (b"\0\0\0\x18ftypisom" + bytes(64), "photo.jpg"),
        (drawing_png.png(100_000, 100_000), str(MAX_PIXELS)),
    ],
)  # fmt: skip
def test_a_hostile_file_ends_as_one_sentence(page, server, data, words):
    answer = page.upload(data)
    error = answer.json()["error"]
    assert answer.status_code == 422 and words in error
    assert not any(text in error for text in ("\n", "Traceback", "--", str(server._folder)))
    assert not list(server.tabs[page.tab].folder.iterdir()) and not server.tabs[page.tab].bytes_taken


def test_a_name_is_no_markup_and_no_header(page, png):
    facts = page.upload(png, "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%0d%0aSet-Cookie%3A%20a%3Db.png").json()
    assert not set('<>:/\r\n"') & set(facts["name"])
    result = page.paint(facts["photograph"], [["starry_night", 1]])
    answer = page.client.get(result["url"])
    assert "set-cookie" not in answer.headers and answer.headers["content-disposition"].startswith("attachment")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (16, 16)


def test_a_mask_that_is_none_is_one_sentence(page, png):
    photograph = page.add(png)
    assert page.upload(png, where="/masks", **{"X-Photograph": "../x"}).status_code == 422
    page.upload(b"<html>", where="/masks", **{"X-Photograph": photograph})
    message = page.paint(photograph, [["starry_night", 1]])
    assert message["type"] == "error" and "the mask" in message["error"] and "--" not in message["error"]


def test_pages_beyond_the_most_are_refused(open_page, client, monkeypatch):
    monkeypatch.setattr("demo.app.MOST_TABS", 1)
    headers = {"Host": "127.0.0.1:8000", "Origin": ORIGIN}
    with open_page(), client.websocket_connect("/tab", headers=headers) as socket:
        assert b"refused" in socket.receive_bytes()


def test_at_an_address_that_others_reach_any_number_is_answered_and_no_name_but_its_own(server):
    client = TestClient(server.app("my-machine", 8000))
    for host, status in (("my-machine:8000", 200), ("192.168.0.7:8000", 200), ("evil.example:8000", 403)):
        assert asked(client, "/", Host=host) == status


def test_a_taken_port_gives_way_unless_it_was_asked_for(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}"):
            listening_socket("127.0.0.1", port)
        monkeypatch.setattr("demo.__main__.DEFAULT_PORT", port)
        with listening_socket("127.0.0.1", None) as other:
            assert other.getsockname()[1] != port and other.getsockname()[0] == "127.0.0.1"
    with pytest.raises(UserError, match="--host"):
        listening_socket("no.such.host.invalid", None)
