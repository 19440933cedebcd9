"""Films and animations that are damaged at random, of hostile names, or long: refused in a sentence or done."""

import os
import random
import sys

import pytest

from benchmarks.common import resident_memory
from inference.options import StyleOptions
from inference.repaint import repaint_film
from inference.stylizer import Stylizer
from models.transformer_net import TransformerNet
from tests.robustness.mutating import mutated
from utils.errors import UserError

pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")

MUTATIONS = int(os.environ.get("STYLE_TRANSFER_FUZZ", 400)) // 8
AS_IT_IS = StyleOptions(strength=0)


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(TransformerNet("instance").eval(), device="cpu", precision="float32")


def films(make_film, make_picture, folder):
    frames = [make_picture(24, 16, seed) for seed in range(4)]
    for ending in (".gif", ".webp", ".png"):
        frames[0].save(folder / f"a{ending}", save_all=True, append_images=frames[1:], duration=50)
        yield folder / f"a{ending}"
    yield make_film("film.mp4", sound="aac", subtitles="mov_text")
    yield make_film("film.mkv", sound="libopus", subtitles="subrip")
    yield make_film("film.avi", sound="libmp3lame", codec="mpeg4")
    yield make_film("film.ts", sound="aac")
    yield make_film("film.webm", sound="libopus", codec="libvpx-vp9")


def test_mutations(stylizer, make_film, make_picture, tmp_path):
    rng = random.Random(0)
    outcomes = {"done": 0, "refused": 0}
    for film in films(make_film, make_picture, tmp_path):
        ending = film.suffix if film.parent == tmp_path else ".mp4"
        for _ in range(MUTATIONS):
            path = tmp_path / f"mutated{film.suffix}"
            path.write_bytes(mutated(film.read_bytes(), rng))
            try:
                repaint_film(stylizer, path, tmp_path / f"result{ending}", AS_IT_IS, max_pixels=10**6)
                outcomes["done"] += 1
            except UserError as error:
                assert str(path) in str(error)
                outcomes["refused"] += 1
    assert min(outcomes.values()) > MUTATIONS


NAMES = ["-dash.mp4", "http:a.mp4", "%03d.mp4", "a\nb.mp4", "ü✓.mp4", os.fsdecode(b"\xff.mp4")]


@pytest.mark.posix
@pytest.mark.parametrize("name", NAMES)
def test_names(stylizer, make_film, tmp_path, monkeypatch, name):
    make_film(sound="aac").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert repaint_film(stylizer, name, f"to {name}", AS_IT_IS).frames == 8
    assert sorted(os.listdir()) == sorted([name, f"to {name}"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_length(stylizer, make_film, tmp_path):
    film, used = make_film(frames=500, size=(160, 120), sound="aac"), {}

    def note(done, total):
        if done in (150, 500):  # once decoder and encoder have what they hold back
            used[done] = resident_memory()

    assert repaint_film(stylizer, film, tmp_path / "result.mp4", AS_IT_IS, on_frame=note).frames == 500
    assert used[500] - used[150] < 70 * 160 * 120 * 3  # seventy frames, of 350
