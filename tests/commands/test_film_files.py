"""begin_inference.py on films: names, formats, flags, and what it says."""

import json
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image, ImageSequence

av = pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")


@pytest.fixture
def folder(tmp_path, make_film, make_picture):
    """A film, an animation and a photograph."""
    path = tmp_path / "trip"
    path.mkdir()
    make_film("film.MOV", sound="aac").rename(path / "film.MOV")
    frames = [make_picture(24, 16, seed) for seed in range(3)]
    frames[0].save(path / "moving.gif", save_all=True, append_images=frames[1:], duration=[70, 50, 90], loop=0)
    make_picture(40, 32, 1).save(path / "a.jpg")
    return path


def frames_of(path):
    if path.suffix == ".webp":  # which FFmpeg does not read in motion
        with Image.open(path) as image:
            return [np.asarray(frame) for frame in ImageSequence.Iterator(image)]
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_films_beside_photographs(stylize, folder, make_film, tmp_path):
    (folder / "notes.txt").write_text("")
    make_film("broadcast.ts").rename(folder / "broadcast.ts")
    (folder / "script.ts").write_text("export {}")
    result = stylize(folder, "--json")
    assert result.returncode == 0 and "Stylised 4 of 4" in result.stderr
    assert "Left out, no pictures by their names: .ts (1), .txt (1)" in result.stderr
    lines = {os.path.basename(line["output"]): line for line in map(json.loads, result.stdout.splitlines())}
    assert lines.keys() == {"a_stripes.jpg", "broadcast_stripes.mp4", "film_stripes.mp4", "moving_stripes.gif"}
    film = lines["film_stripes.mp4"]
    assert (film["frames"], film["width"], film["height"], film["status"]) == (8, 64, 48, "done")
    assert film["seconds"] > 0
    assert lines["moving_stripes.gif"]["frames"] == 3 and "frames" not in lines["a_stripes.jpg"]
    assert len(frames_of(tmp_path / "results" / "film_stripes.mp4")) == 8
    with Image.open(tmp_path / "results" / "moving_stripes.gif") as image:
        assert image.n_frames == 3 and image.info["duration"] == 70
    assert "4 skipped" in stylize(folder, "--skip_existing").ok()
    assert "exist already" in stylize(folder).error


@pytest.mark.parametrize(
    "format, names",
    [
        ("webm", ["a_stripes.jpg", "film_stripes.webm", "moving_stripes.webm"]),
        ("gif", ["a_stripes.jpg", "film_stripes.gif", "moving_stripes.gif"]),
        ("apng", ["a_stripes.jpg", "film_stripes.png", "moving_stripes.png"]),
        ("png", ["a_stripes.png", "film_stripes.mp4", "moving_stripes.png"]),
    ],
)
def test_formats(stylize, folder, tmp_path, format, names):
    result = stylize(folder, "--format", format)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == names
    expected = {"gif": 3, "apng": 3, "png": 1}
    if format in expected:
        with Image.open(tmp_path / "results" / names[2]) as image:
            assert getattr(image, "n_frames", 1) == expected[format]
    assert ("is animated: its first frame alone is taken" in result.stderr) == (format == "png")


@pytest.mark.parametrize(
    "flags",
    [
        ["film.MOV", "--format", "jpeg"], ["a.jpg", "--format", "mp4"], ["film.MOV", "--quality", "60"],
        ["film.MOV", "a.jpg", "--quality", "20"], ["a.jpg", "--start", "1"], ["film.MOV", "--start", "soon"],
        ["film.MOV", "--start", "2", "--end", "0:01"], ["film.MOV", "--start", "9"],
    ],
)  # fmt: skip
def test_what_is_refused(stylize, folder, tmp_path, flags):
    paths = [folder / flag if "." in flag else flag for flag in flags]
    assert next(flag for flag in flags if flag.startswith("--")) in stylize(*paths).error
    assert not list(tmp_path.rglob("*_stripes.*"))


def test_a_part_and_a_quality(stylize, folder, tmp_path):
    part = [folder / "film.MOV", "--start", "0:00.08", "--end", "0.2", "--quality"]
    result = tmp_path / "results" / "film_stripes.mp4"
    assert "film_stripes.mp4, 64 x 48, 3 frames" in stylize(*part, 1).ok() and len(frames_of(result)) == 3
    fine = result.stat().st_size
    stylize(*part, 51, "--overwrite").ok()
    assert result.stat().st_size < fine


def test_strength_colours_and_size(stylize, folder, tmp_path):
    said = stylize(folder / "film.MOV", "--strength", "0", "--max_size", "32").ok()
    assert "Reduced to 32 pixels on the longer side, by --max_size" in said
    small = frames_of(tmp_path / "results" / "film_stripes.mp4")[0]
    drawn = np.asarray(Image.fromarray(frames_of(folder / "film.MOV")[0]).resize((32, 24), Image.Resampling.LANCZOS))
    assert np.abs(small.astype(int) - drawn).mean() < 3
    assert stylize(folder / "film.MOV", "--preserve_color", "--stroke_scale", "2", "--overwrite").returncode == 0


def test_several_models_make_a_sheet_of_a_picture(call_cli, folder, style_model, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(style_model.read_bytes())
    call_cli(
        "begin_inference.py", "--model_path", style_model, other, "--content_image", folder / "film.MOV",
        "--output_dir", tmp_path / "results", "--end", "0.2", "--device", "cpu",
    ).ok()  # fmt: skip
    with Image.open(tmp_path / "results" / "film_contact_sheet.png") as sheet:
        assert sheet.width > 3 * 64


def test_broken_films_are_named_and_left_out(stylize, folder):
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    result = stylize(folder)
    assert result.returncode == 1 and f"failed: {folder / 'broken.mp4'} cannot be read as a film" in result.stderr
    assert "Traceback" not in result.stderr and "Stylised 3 of 4" in result.stdout
    assert f"{folder / 'broken.mp4'} cannot be read as a film" in stylize(folder / "broken.mp4").error


def test_without_the_packages(stylize, folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    told = "packages: pip install -r requirements-video.txt"
    result = stylize(folder)
    assert result.returncode == 0 and f"warning: left out: 1 films need {told}" in result.stderr
    error = stylize(folder / "film.MOV").error
    assert "films need packages, pip install -r requirements-video.txt" in error and str(folder / "film.MOV") in error
    (folder / "a.jpg").unlink()
    (folder / "moving.gif").unlink()
    assert f"holds no picture that is read here: 1 films need {told}" in stylize(folder).error


@pytest.mark.parametrize("name", ["film.mp4", "moving.gif", "moving.png", "moving.webp"])
def test_ctrl_c_leaves_what_plays_and_is_no_result(stylize, make_film, make_picture, tmp_path, monkeypatch, name):
    import inference.batch

    film = tmp_path / "trip" / name
    film.parent.mkdir()
    if film.stem == "moving":
        frames = [make_picture(24, 16, seed) for seed in range(8)]
        frames[0].save(film, save_all=True, append_images=frames[1:], duration=40)
    else:
        make_film(frames=12, sound="aac").rename(film)
    original = inference.batch.repaint_film

    def interrupted(*arguments, on_frame, **settings):
        def count(done, total):
            on_frame(done, total)
            if done == 5:
                os.kill(os.getpid(), signal.SIGINT)

        return original(*arguments, on_frame=count, **settings)

    target = tmp_path / "results" / f"{film.stem}_stripes{film.suffix}"
    part = target.with_stem(f"{target.stem}_unfinished")
    with monkeypatch.context() as patch:
        patch.setattr(inference.batch, "repaint_film", interrupted)
        result = stylize(film.parent, "--json")
    assert result.returncode == 130 and f"interrupted: {part} plays up to 0:00.2" in result.stderr
    line = json.loads(result.stdout)
    assert line["status"] == "unfinished" and line["output"] == str(part) and line["frames"] == 5
    assert "Stylised 0 of 1" in result.stderr and "; 1 unfinished" in result.stderr
    assert len(frames_of(part)) == 5 and [path.name for path in target.parent.iterdir()] == [part.name]
    assert "Stylised 1 of 1" in stylize(film.parent, "--skip_existing").ok() and len(frames_of(target)) > 5
    whole = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(inference.batch, "repaint_film", interrupted)
        assert stylize(film, "--overwrite").returncode == 130
    assert target.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.posix
def test_a_kill_leaves_nothing_under_the_final_name(start_cli, make_film, style_model, tmp_path):
    film, target = make_film(frames=400), tmp_path / "results" / "film_stripes.mp4"

    def begun():
        return target.parent.is_dir() and any(path.stat().st_size for path in target.parent.iterdir())

    process = start_cli(
        "begin_inference.py", "--model_path", style_model, "--content_image", film, "--output_dir", target.parent,
        "--device", "cpu",
    )  # fmt: skip
    with process:
        while process.poll() is None and not begun():
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL and not target.exists()
