"""A training that the page starts: what is refused; and one that is stopped, resumed by another server, and ends."""

import io
import json
import os
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
from PIL import Image

from demo.trainings import Trainings
from utils.errors import UserError


@pytest.fixture
def trainings(tmp_path, photos, vgg_file):
    more = ["--vgg_weights", str(vgg_file), "--device", "cpu", "--num_workers", "0"]
    return Trainings([str(photos)], tmp_path / "out", on_cpu=False, more=[*more, "--image_size", "32"])


def until(trainings, *states):
    end = time.monotonic() + 300
    while (status := trainings.status())["state"] not in states:
        assert time.monotonic() < end, status
        time.sleep(0.1)
    return status


@pytest.mark.parametrize(
    "name, folder, steps, words",
    [
        ("../evil", 0, 5, "another"), ("--lr", 0, 5, "another"), ("x" * 61, 0, 5, "another"), ("new", -1, 5, "folder"),
        ("new", 0, 0, "--total_steps"),
        ("there", 0, 5, "already"), ("half", 0, 5, "already"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(trainings, style_image, name, folder, steps, words):
    (trainings.output_dir / "half_training").mkdir(parents=True)
    (trainings.output_dir / "there.pth").touch()
    with pytest.raises(UserError, match=words):
        trainings.start(style_image, name, folder, steps, 10**6)
    assert trainings.status()["state"] == "none"


@pytest.mark.posix
def test_a_process_of_another_kind_is_no_training(trainings):
    trainings.output_dir.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        state = {"name": "new", "total": 5, "arguments": [], "pid": other.pid}
        (trainings.output_dir / ".page_training.json").write_text(json.dumps(state), encoding="utf-8")
        assert trainings.status()["state"] == "stopped" or not os.path.isdir("/proc/self")
        other.stdin.close()


def test_a_page_asks_for_one(page, server, style_image):
    painting = style_image.read_bytes()

    def ask(what, wanted=None, **headers):
        headers = {"X-Training": quote(json.dumps(wanted)), **headers}
        return page.upload(painting, where=f"/training/{what}", **headers)

    assert page.client.get("/training").json() == {"folders": [], "state": "none", "seconds_per_step": None}
    assert "choose it again" in ask("start", ["new", 0, 5]).json()["error"]
    refused = page.upload(b"%PDF-1.7", "painting.jpg", where="/paintings")
    assert refused.status_code == 422 and "PDF" in refused.json()["error"]
    for _ in range(2):  # one at a time is kept
        facts = page.upload(painting, "painting.png", where="/paintings").json()
        assert page.client.get(facts["screen"]).status_code == 200
    assert server.tabs[page.tab].bytes_taken == len(painting) and len(server.tabs[page.tab].downloads) == 1
    assert ask("start", ["new", 0, 5]).json()["error"].startswith("there is no such folder")
    for wanted in (None, [], ["new", 0], ["new", "0", 5], [1, 0, 5], ["new", True, 5]):
        assert "missing" in ask("start", wanted).json()["error"]
    assert ask("stop").status_code == 422 and ask("evil").status_code == 404
    assert ask("start", ["new", 0, 5], **{"X-Tab": "x"}).status_code == 403
    assert page.client.post("/training/stop").status_code == 403
    assert page.client.get("/training/picture").status_code == 404


@pytest.mark.slow
@pytest.mark.posix
def test_one_is_begun_stopped_resumed_by_another_server_and_ends(trainings, style_image):
    trainings.start(style_image, "new", 0, 30, 10**6)
    with pytest.raises(UserError, match="being trained"):
        trainings.start(style_image, "other", 0, 30, 10**6)
    end = time.monotonic() + 300
    while trainings.status()["step"] == 0:
        assert time.monotonic() < end and trainings.status()["state"] == "running", trainings.status()
        time.sleep(0.1)
    trainings.stop()
    status = until(trainings, "stopped", "finished")
    again = Trainings(trainings.folders, trainings.output_dir, False, [])  # as after the server has ended
    assert again.status() == status
    if status["state"] == "stopped":
        again.resume()
        assert Trainings(trainings.folders, trainings.output_dir, False, []).status()["state"] == "running"
    status = until(again, "finished", "failed")
    assert status["state"] == "finished" and status["step"] == 30 and {"content", "style"} <= set(status["losses"])
    assert status["curve"][-1][0] == 30
    with Image.open(io.BytesIO(again.picture())) as picture:
        assert picture.width > picture.height
    assert (trainings.output_dir / "new.pth").is_file()


@pytest.mark.slow
def test_a_training_that_fails_says_why(trainings, style_image, tmp_path):
    trainings.folders = [str(tmp_path / "empty")]
    (tmp_path / "empty").mkdir()
    trainings.start(style_image, "new", 0, 5, 10**6)
    status = until(trainings, "failed", "finished", "stopped")
    assert status["state"] == "failed" and "--dataset_dir" in status["error"] and not status["resumable"]
