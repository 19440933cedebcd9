"""A server of the page within the test's process, and one page that is open."""

import contextlib

import pytest

from config import DemoConfig
from demo.tabs import message_bytes, read_message
from tests.drawing_png import encoded

PORT = 8000
ORIGIN = f"http://127.0.0.1:{PORT}"


class Page:
    """What a page does, without a browser."""

    def __init__(self, client, socket):
        self.client, self.socket = client, socket
        self.tab = self.until("tab")[0]["tab"]

    def receive(self):
        return read_message(self.socket.receive_bytes())

    def until(self, kind):
        """The next message of a kind, whatever comes before; an error ends the wait as well."""
        while True:
            message, data = self.receive()
            if message["type"] in (kind, "error"):
                return message, data

    def send(self, message, data=b""):
        self.socket.send_bytes(message_bytes(message, data))

    def upload(self, data, name="photo.jpg", where="/photographs", **headers):
        headers = {"X-Tab": self.tab, "X-Name": name, "Origin": ORIGIN, **headers}
        return self.client.post(where, content=data, headers=headers)

    def add(self, data, name="photo.jpg"):
        """The number of a photograph that is uploaded."""
        return self.upload(data, name).json()["photograph"]

    def ask(self, kind, photograph, styles, request=1, **options):
        recipe = {"styles": styles, **options}
        self.send({"type": kind, "photograph": photograph, "recipe": recipe, "request": request})

    def paint(self, photograph, styles, **options):
        """The last message on a photograph that is painted."""
        self.ask("paint", photograph, styles, **options)
        return self.until("result")[0]

    def saved(self, result):
        """The name and the bytes of the file that a message offers."""
        return result["name"], self.client.get(result["url"]).content


@pytest.fixture(scope="session")
def server(style_model):
    pytest.importorskip("starlette")
    from demo.app import Server

    server = Server(DemoConfig(models=(str(style_model.parent),), device="cpu", precision="float32", max_upload=3))
    yield server
    server.end()


@pytest.fixture(scope="session")
def client(server):
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    with TestClient(server.app("127.0.0.1", PORT), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def by_command(stylize, tmp_path):
    """``by_command(photograph, *flags)``: the name and the bytes of the file that the command writes."""

    def run(*arguments):
        assert stylize(*arguments).returncode == 0
        (result,) = (tmp_path / "results").iterdir()
        return result.name, result.read_bytes()

    return run


@pytest.fixture
def large(make_picture, monkeypatch):
    """A JPEG that is too large to be painted at once, by a limit that is lowered for it."""
    for name, value in {"_PREVIEW": 48, "_SMALLEST": 1200, "_LARGEST": 1200}.items():
        monkeypatch.setattr(f"demo.painter.{name}", value)
    return encoded(make_picture(160, 120, seed=3), "JPEG")


@pytest.fixture
def open_page(client):
    """``with open_page() as page``"""

    @contextlib.contextmanager
    def opened():
        with client.websocket_connect("/tab", headers={"Host": f"127.0.0.1:{PORT}", "Origin": ORIGIN}) as socket:
            yield Page(client, socket)

    return opened


@pytest.fixture
def page(open_page):
    with open_page() as page:
        yield page
