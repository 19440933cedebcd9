"""Many photographs through the command line: which are found, what each result is called, what is said of them."""

import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from inference import batch
from inference.stylizer import Stylizer


@pytest.fixture
def folder(tmp_path, make_picture):
    """``folder(*names)`` fills ``tmp_path/photos`` with small pictures of different sizes and returns it."""

    def fill(*names, under="photos"):
        for i, name in enumerate(names):
            path = tmp_path / under / name
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = None if path.suffix else "PNG"
            make_picture(20 + i, 16, seed=i).save(path, kind)
        return tmp_path / under

    return fill


def results(tmp_path):
    """The files written, with their folders, in the order of their names."""
    top = tmp_path / "results"
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir())


@pytest.fixture
def on_stylize(monkeypatch):
    """``on_stylize(call)`` has ``call(width)`` called before each picture is stylised."""
    stylize = Stylizer.stylize

    def hook(call):
        def calling(self, image, *args, **kwargs):
            call(image.width)
            return stylize(self, image, *args, **kwargs)

        monkeypatch.setattr(Stylizer, "stylize", calling)

    return hook


# -- which photographs -----------------------------------------------------------------------------


def test_a_folder_is_mirrored(stylize, tmp_path, folder):
    photos = folder("B.v2.JPEG", "a.png", "sub/c c.JPG", "sub/deep er/d.webp", "sub/e.mpo", ".hidden/f.png", "._a.png")
    for name in ("notes.txt", "sub/1.TXT", "README", ".hidden.txt"):
        (photos / name).write_text("no picture by its name")
    (photos / "d.jpg").mkdir()
    printed = stylize(photos).ok()
    sizes = {
        "B.v2_stripes.jpg": 20, "a_stripes.png": 21, "sub/c c_stripes.jpg": 22, "sub/deep er/d_stripes.png": 23,
        "sub/e_stripes.jpg": 24,
    }  # fmt: skip
    assert results(tmp_path) == list(sizes)
    for name, width in sizes.items():
        with Image.open(tmp_path / "results" / name) as image:
            assert image.size == (width, 16) and image.format == ("PNG" if name.endswith("png") else "JPEG")
    assert "Stylised 5 of 5 photographs" in printed and ".txt (2), no ending (1)" in printed


def test_files_folders_and_patterns_in_any_mixture(stylize, tmp_path, folder):
    one, two = folder("a.png", "sub/b.png"), folder("a.png", under="more")
    three = folder("x1.png", "sub/x3.png", "y.png", "[x].png", under="last")
    assert "Stylised 6 of 6" in stylize(one, two, three / "**" / "x*.png", three / "[x].png", two / "a.png", one).ok()
    assert results(tmp_path) == [
        "[x]_stripes.png", "more/a_stripes.png", "photos/a_stripes.png", "photos/sub/b_stripes.png",
        "sub/x3_stripes.png", "x1_stripes.png",
    ]  # fmt: skip


@pytest.mark.posix
def test_the_order_is_the_one_given_folders_sorted_and_duplicates_are_done_once(stylize, folder):
    photos = folder("c.png", "a.png", "b/x.png", "b.png")
    os.symlink("a.png", photos / "z.png")
    result = stylize(photos / "c.png", photos, photos / ".." / "photos" / "b.png", "--json")
    inputs = [json.loads(line)["input"] for line in result.stdout.splitlines()]
    assert inputs == [str(photos / name) for name in ("c.png", "a.png", "b/x.png", "b.png")]
    assert "\r" not in result.stderr  # no bar in a log


@pytest.mark.parametrize("pattern", ["album [2023]/*.png", "*/a.png"])
def test_a_pattern_in_a_folder_whose_name_has_brackets(stylize, tmp_path, folder, pattern):
    folder("album [2023]/a.png")
    assert stylize(tmp_path / "photos" / pattern).returncode == 0
    assert [Path(name).name for name in results(tmp_path)] == ["a_stripes.png"]


@pytest.mark.posix
def test_links_in_circles_end(stylize, tmp_path, folder):
    photos = folder("sub/a.png")
    folder("b.png", under="elsewhere")
    folder("not below the photographs.png", under="")
    os.symlink(photos, photos / "sub" / "again")
    os.symlink(tmp_path, photos / "all")  # above the photographs
    os.symlink("self.png", photos / "self.png")
    os.symlink(tmp_path / "elsewhere", photos / "a_link")
    result = stylize(photos)
    assert result.returncode == 1 and results(tmp_path) == ["a_link/b_stripes.png", "sub/a_stripes.png"]
    assert str(photos / "self.png") in result.stderr and "2 of 3" in result.stdout and "1 failed" in result.stdout


@pytest.mark.posix
@pytest.mark.parametrize("name", ["new\n'line\x1b[31m.png", "写" * 75 + ".png", os.fsdecode(b"\xe9.png")])
def test_odd_names_work_and_are_one_line(stylize, tmp_path, folder, name):
    try:
        photo = folder(name) / name
    except OSError:
        pytest.skip("this file system has no such names")
    expected = os.path.splitext(name)[0] + "_stripes.png"
    said = stylize(photo).ok()
    assert results(tmp_path) == [expected] and len(said.splitlines()) == 2
    photo.write_bytes(b"damaged")
    result = stylize(photo, "--overwrite")
    assert len(result.error.splitlines()) == 1 and len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    result = stylize(photo.parent, "--overwrite", "--json")
    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["input"] == str(photo) and line["status"] == "failed"


def test_what_names_no_picture_is_refused(stylize, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("hello")
    for value in (tmp_path / "photos", tmp_path / "photos" / "*.jpg"):
        assert str(value) in stylize(value).error
    assert not (tmp_path / "results").exists()


# -- what each result is called --------------------------------------------------------------------


def test_photographs_that_differ_in_their_ending_alone_keep_it(stylize, tmp_path, folder):
    stylize(folder("a.png", "a.webp", "a.jpg", "b.png")).ok()
    assert results(tmp_path) == ["a.png_stripes.png", "a.webp_stripes.png", "a_stripes.jpg", "b_stripes.png"]


def test_two_photographs_with_one_name_are_refused(stylize, tmp_path, folder):
    one, two = folder("a.png") / "a.png", folder("a.png", under="more") / "a.png"
    result = stylize(one, two)
    assert str(one) in result.error and str(two) in result.error and "--output_dir" in result.error
    assert not (tmp_path / "results").exists()


def test_the_output_folder_inside_the_photographs_is_left_out(stylize, tmp_path, folder):
    photos = folder("a.png", "sub/b.png")
    for flags in ([], ["--overwrite"]):
        assert "Stylised 2 of 2" in stylize(photos, "--output_dir", photos / "sub" / "done", *flags).ok()
    names = sorted(path.name for path in photos.rglob("*.png"))
    assert names == ["a.png", "a_stripes.png", "b.png", "b_stripes.png"]


@pytest.mark.parametrize("place", ["photos", ""])
def test_results_among_the_photographs_are_refused(stylize, tmp_path, folder, place):
    photos = folder("photos/a.png", "a.png") if not place else folder("a.png")
    result = stylize(photos, "--output_dir", f"{tmp_path}/{place}")
    assert str(photos) in result.error and "--output_dir" in result.error
    assert not list(tmp_path.rglob("*_stripes.png"))


def test_a_result_that_would_replace_a_photograph_is_refused(stylize, tmp_path, folder):
    photos = folder("a.png", "a_stripes.png")
    before = (photos / "a_stripes.png").read_bytes()
    result = stylize(photos / "a.png", photos / "a_stripes.png", "--output_dir", photos, "--overwrite")
    assert str(photos / "a_stripes.png") in result.error
    assert (photos / "a_stripes.png").read_bytes() == before


# -- some fail -------------------------------------------------------------------------------------


def test_bad_files_are_named_and_the_rest_is_done(stylize, tmp_path, folder, on_stylize):
    """Damaged, missing, and too large for the memory."""
    photos = folder("a.png", "b.png", "c.png", "d.png")
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes()[:50])

    def fail(width):
        if width == 22:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    on_stylize(fail)
    result = stylize(photos, photos / "missing.png")
    assert result.returncode == 1 and "Stylised 2 of 5" in result.stdout and "3 failed" in result.stdout
    assert results(tmp_path) == ["photos/a_stripes.png", "photos/d_stripes.png"]
    failures = [line for line in result.stderr.splitlines() if "failed: " in line]
    assert all(any(f"{name}.png" in line for line in failures) for name in ("b", "c", "missing"))
    assert "c.png needs more memory" in result.stderr and len(failures) == 3


def test_a_result_that_cannot_be_written_is_named_and_the_rest_is_done(stylize, tmp_path, folder):
    photos = folder("a.png", "sub/b.png")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "sub").write_text("in the way")
    result = stylize(photos)
    assert result.returncode == 1 and "failed: " in result.stderr
    assert str(tmp_path / "results" / "sub" / "b_stripes.png") in result.stderr
    assert results(tmp_path) == ["a_stripes.png", "sub"]


# -- results that exist ----------------------------------------------------------------------------


def test_existing_results_are_refused_replaced_or_skipped(stylize, tmp_path, folder):
    photos = folder("a.png", "b.png", "c.png")
    theirs = tmp_path / "results" / "b_stripes.png"
    theirs.parent.mkdir()
    theirs.write_bytes(b"mine")
    error = stylize(photos).error
    assert "--overwrite" in error and "--skip_existing" in error and results(tmp_path) == ["b_stripes.png"]
    for photographs in (photos, photos / "b.png"):
        assert stylize(photographs, "--skip_existing").returncode == 0 and theirs.read_bytes() == b"mine"
    assert len(results(tmp_path)) == 3
    assert stylize(photos, "--overwrite").returncode == 0
    with Image.open(theirs) as image:
        assert image.size == (21, 16)
    assert "--overwrite" in stylize(photos, "--overwrite", "--skip_existing").error


def test_a_file_that_came_to_exist_meanwhile_is_not_replaced(stylize, tmp_path, folder, on_stylize):
    theirs = tmp_path / "results" / "b_stripes.png"

    def write(width):
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_bytes(b"mine")

    on_stylize(write)
    result = stylize(folder("a.png", "b.png"))
    assert result.returncode == 1 and f"{theirs} exists now" in result.stderr
    assert theirs.read_bytes() == b"mine" and len(results(tmp_path)) == 2


# -- facts for programs ----------------------------------------------------------------------------


def test_json_is_a_line_a_photograph_and_nothing_else_on_standard_output(stylize, tmp_path, folder):
    photos = folder("a.png", "b.png", "c.jpg")
    (photos / "b.png").write_bytes(b"")
    stylize(photos / "c.jpg")
    result = stylize(photos, "--json", "--skip_existing")
    assert result.returncode == 1 and "Stylised 1 of 3" in result.stderr
    lines = {os.path.basename(line["input"]): line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["a.png"].pop("seconds") > 0
    assert lines["a.png"] == {
        "input": str(photos / "a.png"), "output": str(tmp_path / "results" / "a_stripes.png"), "status": "done",
        "width": 20, "height": 16, "error": None,
    }  # fmt: skip
    assert lines["b.png"]["status"] == "failed" and str(photos / "b.png") in lines["b.png"]["error"]
    assert lines["b.png"]["width"] is None and lines["b.png"]["seconds"] is None
    assert lines["c.jpg"]["status"] == "skipped" and len(lines) == 3


def test_json_of_a_single_photograph_that_fails(stylize, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    result = stylize(tmp_path / "a.png", "--json")
    assert str(tmp_path / "a.png") in result.error
    assert json.loads(result.stdout)["status"] == "failed"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_without_room_is_no_fault_of_a_photograph(stylize, folder, monkeypatch):
    photos = folder("a.png", "b.png")
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        result = stylize(photos, "--json")
    assert "standard output cannot be written" in result.error and "failed: " not in result.stderr


# -- stages that overlap ---------------------------------------------------------------------------


def test_only_so_much_is_read_ahead(stylize, folder, on_stylize, monkeypatch):
    """In pixels: there are never more decoded pictures than fit, and the one in the network."""
    monkeypatch.setattr(batch, "MOST_PIXELS", 21 * 16 + 1)
    read_image, ahead, most = batch.read_image, [], []

    def read(path, **settings):
        ahead.append(path)
        most.append(len(ahead))
        return read_image(path, **settings)

    monkeypatch.setattr(batch, "read_image", read)
    on_stylize(lambda width: ahead.pop())
    assert stylize(folder(*(f"{i}.png" for i in range(9)))).returncode == 0
    assert max(most) == 1 and len(most) == 9 and not ahead


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_after_the_picture(stylize, tmp_path, folder, on_stylize, ctrl_c, number, status):
    on_stylize(lambda width: width == 21 and signal.raise_signal(number))
    result = stylize(folder(*(f"{i}.png" for i in range(6))))
    assert result.returncode == status and "2 of 6" in result.stdout and "4 not reached" in result.stdout
    assert results(tmp_path) == ["0_stripes.png", "1_stripes.png"]
    for name in results(tmp_path):
        with Image.open(tmp_path / "results" / name) as image:
            image.load()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_no_half_file(stylize, tmp_path, folder, on_stylize, ctrl_c):
    def twice(width):
        if width == 21:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    on_stylize(twice)
    result = stylize(folder(*(f"{i}.png" for i in range(6))))
    assert result.returncode == 130 and "Traceback" not in result.stderr
    assert results(tmp_path) == ["0_stripes.png"]


@pytest.mark.slow
@pytest.mark.posix
def test_who_reads_the_facts_may_leave(start_cli, style_model, folder, tmp_path):
    """As ``| head -1`` does."""
    photos = folder(*(f"{i}.png" for i in range(3)))
    arguments = ["--model_path", style_model, "--output_dir", tmp_path / "results", "--content_image", photos, "--json"]
    with start_cli("begin_inference.py", *arguments, "--device", "cpu") as process:
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == 141 and "Traceback" not in error and "BrokenPipe" not in error
