"""The prepared store: what it holds, how it survives interruption and damage, and that it is read like a folder."""

import itertools
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import data.prepare
import data.store
from data.errors import ImageError, UserError
from data.images import read_image
from data.loader import PhotographStream
from data.photographs import PhotographDataset, list_photographs, open_photographs
from data.prepare import main, prepare, stored_size, verify
from data.store import HEADER, INDEX, PhotographStore, StoreWriter, shard_name

SIZE = 48
SHARD_BYTES = 20_000  # two or three of the small photographs

forked = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def contents(folder):
    """name -> bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A store in several shards, prepared without a disturbance; to be looked at alone."""
    cache = tmp_path_factory.mktemp("finished") / "cache"
    prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES)
    return cache


@pytest.fixture
def cache(finished, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(finished, tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def copied_photos(photos, tmp_path):
    """A copy of the photographs, with their dates."""
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path / "photos"


def crops(photographs, n, num_workers=0, size=32):
    stream = PhotographStream(PhotographDataset(photographs, size, seed=3), 4, num_workers=num_workers)
    try:
        return torch.cat(list(itertools.islice(stream, n)))
    finally:
        stream.close()


def flip_a_byte(cache, index):
    """Damage one photograph of a store; returns its name."""
    store = PhotographStore(cache)
    with open(cache / shard_name(int(store._shard[index])), "r+b") as file:
        file.seek(int(store._offset[index]) + 1000)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 4]))
    return store.names[index]


# -- what is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after",
    [
        ((640, 480), (384, 288)), ((480, 640), (288, 384)), ((288, 300), (288, 300)),
        ((100, 5000), (100, 5000)), ((287, 289), (287, 289)), ((289, 9000), (288, 8969)), ((577, 577), (288, 288)),
    ],
)  # fmt: skip
def test_the_short_side_is_reduced_and_never_enlarged(before, after):
    assert stored_size(*before, 288) == after


def test_it_holds_what_decoding_and_resizing_gives(photos, finished):
    store = PhotographStore(finished)
    paths = list_photographs(photos)
    assert store.names == [str(path.relative_to(photos)) for path in paths]
    smaller = 0
    for path, photograph in zip(paths, store, strict=True):
        with Image.open(path) as image:
            image = image.convert("RGB")
        short = min(image.size)
        if short > SIZE:
            image = image.resize([round(side * SIZE / short) for side in image.size], Image.Resampling.LANCZOS)
        else:
            smaller += 1
        np.testing.assert_array_equal(np.asarray(photograph.read()), np.asarray(image))
    assert 0 < smaller < len(paths)


def test_a_large_photograph_is_stored_upright(make_picture, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    tags = Image.Exif()
    tags[0x0112] = 6
    make_picture(640, 400, seed=3).save(folder / "turned.jpg", quality=95, exif=tags)
    pixels = prepare(folder, tmp_path / "cache", SIZE).pixels(0)
    assert pixels.shape == (77, 48, 3) and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    with Image.open(folder / "turned.jpg") as image:
        whole = ImageOps.exif_transpose(image).resize((48, 77), Image.Resampling.LANCZOS)
    assert np.abs(pixels.astype(float) - np.asarray(whole, float)).max() <= 4  # decoded at a reduced scale


def test_transparent_and_grey_pictures_are_stored_as_rgb(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGBA", (5, 4), (10, 20, 30, 128)).save(folder / "a.png")
    Image.new("L", (3, 2), 77).save(folder / "b.png")
    store = prepare(folder, tmp_path / "cache", SIZE)
    np.testing.assert_array_equal(store.pixels(0), np.full((4, 5, 3), (10, 20, 30)))
    np.testing.assert_array_equal(store.pixels(1), np.full((2, 3, 3), 77))


def test_shards_keep_to_their_limit_and_the_index_tells_what_is_where(photos, finished):
    header = json.loads((finished / HEADER).read_bytes())
    assert header["complete"] and (header["size"], header["photographs"], header["unreadable"]) == (SIZE, 12, 0)
    sizes = [(finished / shard_name(i)).stat().st_size for i in range(len(header["shards"]))]
    assert sizes == header["shards"] and len(sizes) > 3 and max(sizes) <= SHARD_BYTES
    ends = dict.fromkeys(range(len(sizes)), 0)
    for line in (finished / INDEX).read_text().splitlines():
        entry = dict(zip(header["fields"], json.loads(line), strict=True))
        status = (photos / entry["name"]).stat()
        assert (entry["source_bytes"], entry["source_mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        assert entry["offset"] == ends[entry["shard"]]
        ends[entry["shard"]] += 3 * entry["height"] * entry["width"]
    assert list(ends.values()) == sizes


def test_a_photograph_larger_than_a_shard_has_one_to_itself(photos, finished, tmp_path):
    store = prepare(photos, tmp_path / "cache", SIZE, shard_bytes=1)
    assert store.num_shards == len(store) == 12
    for one, other in zip(store, PhotographStore(finished), strict=True):
        assert one.read().tobytes() == other.read().tobytes()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_processes_changes_nothing(photos, finished, tmp_path, num_workers):
    prepare(photos, tmp_path / "cache", SIZE, num_workers, shard_bytes=SHARD_BYTES)
    assert contents(tmp_path / "cache") == contents(finished)


def test_names_of_any_bytes(make_picture, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    names = sorted(["line\nbreak.png", "é.png", os.fsdecode(b"\xe9.png")])
    try:
        for name in names:
            make_picture(9, 8, seed=1).save(folder / name)
    except OSError:
        pytest.skip("the file system has names of its own")
    store = prepare(folder, tmp_path / "cache", SIZE)
    assert store.names == names == open_photographs(folder, 32)[1]


# -- as a data set ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", [0, 2])
def test_crops_are_those_of_the_folder_where_nothing_was_reduced(photos, tmp_path, num_workers):
    prepare(photos, tmp_path / "cache", 288)
    from_files, names = open_photographs(photos, 32)
    from_store, their_names = open_photographs(tmp_path / "cache", 32)
    assert names == their_names
    assert torch.equal(crops(from_store, 8, num_workers), crops(from_files, 8))


def test_crops_hardly_differ_where_photographs_were_reduced(make_picture, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        make_picture(300 + 40 * i, 260, seed=i).save(folder / f"{i}.png")
    prepare(folder, tmp_path / "cache", SIZE)
    ours, theirs = (crops(open_photographs(path, 32)[0], 3).float() for path in (tmp_path / "cache", folder))
    assert (ours - theirs).square().mean().sqrt() < 4


def test_it_is_the_same_from_any_position_in_any_number_of_processes(finished):
    photographs, _ = open_photographs(finished, 32)
    whole = crops(photographs, 10)
    assert torch.equal(crops(PhotographStore(finished), 10, num_workers=2), whole)
    assert torch.equal(crops(photographs, 10, num_workers=2), whole)  # the parent has read already
    dataset = PhotographDataset(pickle.loads(pickle.dumps(photographs)), 32, seed=3)  # as a spawned process gets it
    stream = PhotographStream(dataset, 4, start=17)
    assert torch.equal(next(stream), whole[17:21])


def test_crops_larger_than_the_stored_photographs_are_refused(finished):
    with pytest.raises(UserError, match=f"--image_size 64 is larger than the 48 pixels .*{finished}.* --size 64"):
        open_photographs(finished, 64)


def test_training_from_a_store(call_cli, finished, style_image, vgg_file, tmp_path):
    arguments = [
        "--style_image", style_image, "--dataset_dir", finished, "--vgg_weights", vgg_file, "--image_size", 32,
        "--batch_size", 4, "--loss_scale", "paper", "--monitor_every_steps", 0, "--num_workers", 1, "--device", "cpu",
        "--output_dir", tmp_path,
    ]  # fmt: skip
    result = call_cli("begin_training.py", *arguments, "--total_steps", 2)
    assert result.returncode == 0, result.stderr
    assert "12 photographs" in result.stdout and (tmp_path / "stripes.pth").stat().st_size > 0
    # The checkpoint knows the photographs by name, and takes the training up again.
    result = call_cli("begin_training.py", "--checkpoint_path", tmp_path / "stripes_training", "--total_steps", 3)
    assert result.returncode == 0, result.stderr
    assert "resumed after step 2" in result.stdout


# -- interruption -----------------------------------------------------------------------------------------------------


def run_forked(function):
    """Run a function in a forked process; returns its exit status, negative after a signal."""
    process = multiprocessing.get_context("fork").Process(target=function)
    process.start()
    process.join(120)
    return process.exitcode


def kill_after_lines(lines, function):
    """Run a function, and SIGKILL the process after so many lines of ``data/store.py``."""
    left = lines

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename != data.store.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    function()
    sys.settrace(None)


@forked
def test_killed_anywhere_it_goes_on_to_the_same_bytes(photos, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(data.store, "COMMIT_PHOTOGRAPHS", 2)
    taken_up = set()
    for number, lines in enumerate(itertools.count(5, 37)):
        cache = tmp_path / str(number)
        status = run_forked(
            lambda: kill_after_lines(lines, lambda: prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES))  # noqa: B023
        )
        if status == 0:  # more lines than there are
            break
        assert status == -signal.SIGKILL
        if cache.exists() and list(cache.iterdir()):
            paths = list_photographs(photos)
            with StoreWriter(cache, SIZE, data.prepare._sources(photos, paths), shard_bytes=SHARD_BYTES) as writer:
                taken_up.add(writer.done)
            if not writer.finished:
                with pytest.raises(UserError, match="not a finished store"):
                    open_photographs(cache, 32)
        prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES)
        assert contents(cache) == contents(finished), lines
        shutil.rmtree(cache)
    assert status == 0 and {0, 12} < taken_up and len(taken_up) > 4


@forked
def test_killed_with_decoding_processes_it_goes_on_at_once(photos, finished, tmp_path, monkeypatch):
    """They outlive the killed process for some seconds, and must not hold its lock."""
    monkeypatch.setattr(data.store, "COMMIT_PHOTOGRAPHS", 2)
    cache = tmp_path / "cache"
    added = itertools.count()
    add = StoreWriter.add

    def kill_at_the_eighth(writer, *arguments):
        if next(added) == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        add(writer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "add", kill_at_the_eighth)
        status = run_forked(lambda: prepare(photos, cache, SIZE, num_workers=2, shard_bytes=SHARD_BYTES))
    assert status == -signal.SIGKILL
    assert 4 <= len((cache / INDEX).read_text().splitlines()) <= 7
    prepare(photos, cache, SIZE, num_workers=2, shard_bytes=SHARD_BYTES)
    assert contents(cache) == contents(finished)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_decoded(photos, tmp_path, monkeypatch, capsys, number):
    prepare(photos, tmp_path / "undisturbed", SIZE)
    added = itertools.count(1)
    add = StoreWriter.add

    def signal_at_the_seventh(writer, *arguments):
        if next(added) == 7:
            os.kill(os.getpid(), number)
        add(writer, *arguments)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    command = [str(photos), str(tmp_path / "cache"), "--size", str(SIZE), "--num_workers", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "add", signal_at_the_seventh)
        assert main(command) == 128 + number
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert "Stopped after 7 of 12 photographs\nTo go on: the same command\n" in capsys.readouterr().out
    assert main(command) == 0
    assert "going on after 7" in capsys.readouterr().out
    assert contents(tmp_path / "cache") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("fault", ["interrupted", "no header", "missing shard", "short shard", "long shard"])
def test_a_half_written_store_is_refused_until_it_is_finished(photos, finished, cache, call_cli, style_image, fault):
    header = json.loads((cache / HEADER).read_bytes())
    if fault == "interrupted":
        (cache / HEADER).write_text(json.dumps({**header, "complete": False}))
    elif fault == "no header":
        (cache / HEADER).unlink()
    elif fault == "missing shard":
        (cache / shard_name(1)).unlink()
    else:
        os.truncate(cache / shard_name(2), header["shards"][2] + (-1 if fault == "short shard" else 1))
    result = call_cli("begin_training.py", "--style_image", style_image, "--dataset_dir", cache, "--image_size", 32)
    assert f"--dataset_dir {cache} is not a finished store" in result.error
    assert f"finish it with python -m data.prepare PHOTOS {cache}" in result.error
    with pytest.raises(UserError, match="not a finished store"):
        verify(cache)
    if fault == "no header":
        with pytest.raises(UserError, match=f"has lost its {HEADER}.*--overwrite"):  # what was it begun with?
            prepare(photos, cache, SIZE)
    prepare(photos, cache, SIZE, overwrite=fault == "no header", shard_bytes=SHARD_BYTES)
    assert contents(cache) == contents(finished)


@forked
def test_two_commands_do_not_write_the_same_store(photos, tmp_path):
    sources = data.prepare._sources(photos, list_photographs(photos))

    def second():
        with pytest.raises(UserError, match="is being prepared by another process"):
            StoreWriter(tmp_path / "cache", SIZE, sources)

    with StoreWriter(tmp_path / "cache", SIZE, sources):
        assert run_forked(second) == 0


@pytest.mark.parametrize("lost", [1, 2, 30], ids=["line break", "bracket", "half"])
def test_a_line_of_the_index_that_was_cut_is_written_again(photos, finished, cache, lost):
    (cache / HEADER).write_text(json.dumps({**json.loads((cache / HEADER).read_bytes()), "complete": False}))
    index = (cache / INDEX).read_bytes()
    os.truncate(cache / INDEX, index.index(b"\n", len(index) // 2) + 1 - lost)
    prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES)
    assert contents(cache) == contents(finished)


def test_pixels_are_on_the_disk_before_the_lines_that_vouch_for_them(photos, tmp_path, monkeypatch):
    """A power cut could leave lines alone otherwise: the order of the calls is what there is to see of it."""
    synced, fsync, cache = [], os.fsync, tmp_path / "cache"
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or fsync(handle))
    prepare(photos, cache, SIZE)
    shard, index, header = ((cache / name).stat().st_ino for name in (shard_name(0), INDEX, HEADER))
    assert synced.index(shard) < synced.index(index) < synced.index(header)


def test_a_full_disk_is_one_sentence_and_the_command_goes_on_after_it(photos, finished, tmp_path, monkeypatch):
    cache, synced = tmp_path / "cache", itertools.count()
    monkeypatch.setattr(data.store, "COMMIT_PHOTOGRAPHS", 2)
    fsync = os.fsync

    def full(handle):
        if next(synced) >= 10:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(data.store.os, "fsync", full)
        with pytest.raises(UserError, match=f"{cache} cannot be written .No space left on device.*the same command"):
            prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES)
    prepare(photos, cache, SIZE, shard_bytes=SHARD_BYTES)
    assert contents(cache) == contents(finished)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_finished_store_is_reported_and_left_alone(photos, finished, capsys):
    before = contents(finished), (finished / INDEX).stat().st_mtime_ns
    assert main([str(photos), str(finished), "--size", str(SIZE)]) == 0
    printed = capsys.readouterr().out
    assert "is complete already" in printed and "12 photographs" in printed
    assert (contents(finished), (finished / INDEX).stat().st_mtime_ns) == before


def test_another_size_is_refused(photos, cache, capsys):
    assert main([str(photos), str(cache), "--size", "64"]) == 2
    error = capsys.readouterr().err
    assert f"error: --size 64 differs from the 48 that {cache} was begun with" in error and "Traceback" not in error
    assert main([str(photos), str(cache), "--size", "64", "--num_workers", "0", "--overwrite"]) == 0
    assert PhotographStore(cache).size == 64


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "rewritten"])
def test_other_photographs_are_refused(copied_photos, cache, change):
    first = list_photographs(copied_photos)[0]
    if change == "added":
        shutil.copy(first, copied_photos / "zebra.jpg")
    elif change == "removed":
        first.unlink()
    elif change == "renamed":
        first.rename(copied_photos / "zebra.jpg")
    else:
        os.utime(first, ns=(1, 1))
    before = contents(cache)
    with pytest.raises(UserError, match=f"{cache} was begun with other photographs .12 then, 1[123] now.*--overwrite"):
        prepare(copied_photos, cache, SIZE)
    assert contents(cache) == before


def test_other_folders_are_refused(photos, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    for overwrite in ([], ["--overwrite"]):
        assert main([str(photos), str(tmp_path), *overwrite]) == 2
        assert f"error: {tmp_path} holds other files" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "cache")]) == 2
    assert f"error: PHOTOS {tmp_path / 'nowhere'} is not a folder" in capsys.readouterr().err
    assert main(["--verify", str(photos)]) == 2
    assert f"error: --verify {photos} is not a folder that" in capsys.readouterr().err


@pytest.mark.parametrize("flag, value", [("--size", "31"), ("--num_workers", "-1")])
def test_values_out_of_bounds_are_refused(photos, tmp_path, capsys, flag, value):
    assert main([str(photos), str(tmp_path / "cache"), flag, value]) == 2
    assert f"error: {flag} must be " in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("arguments", [[], ["photos"], ["--verify", "cache", "photos"], ["--sizes", "9", "a", "b"]])
def test_a_wrong_command_line_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: python -m data.prepare" in capsys.readouterr().err


@pytest.mark.parametrize("name, damage", [
    (INDEX, lambda b: b.replace(b",0,", b",1,", 1)), (INDEX, lambda b: b[:-1]), (HEADER, lambda b: b[:50]),
    (HEADER, lambda b: b"[]"), (HEADER, lambda b: b.replace(b'"version": 1', b'"version": 2')),
    (HEADER, lambda b: b.replace(b'"index_crc32"', b'"other"')), (INDEX, None),
])  # fmt: skip
def test_a_damaged_index_or_header_is_refused(photos, finished, cache, name, damage):
    if damage is None:
        (cache / name).unlink()
    else:
        (cache / name).write_bytes(damage((cache / name).read_bytes()))
    with pytest.raises(UserError, match=f"--dataset_dir {cache} .*prepare it anew, with --overwrite"):
        open_photographs(cache, 32)
    prepare(photos, cache, SIZE, overwrite=True, shard_bytes=SHARD_BYTES)
    assert contents(cache) == contents(finished)


# -- damaged pixels and unreadable files ------------------------------------------------------------------------------


def test_verify_names_the_first_damaged_photograph(cache, capsys):
    assert main(["--verify", str(cache)]) == 0
    assert f"{cache} is sound: 12 photographs" in capsys.readouterr().out
    flip_a_byte(cache, 9)
    name = flip_a_byte(cache, 5)
    assert main(["--verify", str(cache)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and f"{name} in {cache} is damaged" in errors[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_skips_a_damaged_photograph_and_names_it(finished, cache, num_workers):
    name = flip_a_byte(cache, 5)
    whole, dataset = PhotographStore(finished), PhotographDataset(PhotographStore(cache), 32, seed=3)
    with pytest.raises(ImageError, match=name):
        dataset.paths[5].read()
    with pytest.warns(UserWarning, match=f"skipped: {name} in {cache} is damaged") as caught:
        damaged = crops(dataset.paths, 5, num_workers)
    assert len(caught) == 1
    sound, order = crops(whole, 6), [i for epoch in range(2) for i in dataset.order(epoch)]
    assert torch.equal(damaged, torch.stack([crop for crop, i in zip(sound, order) if i != 5])[:20])


def test_a_shard_that_goes_while_training_is_an_unreadable_photograph(cache):
    store = PhotographStore(cache)
    (cache / shard_name(0)).unlink()
    with pytest.raises(ImageError, match=f"{store.names[0]} in {cache} cannot be read"):
        store.pixels(0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_photographs_are_named_and_left_out(copied_photos, tmp_path, num_workers):
    broken = list_photographs(copied_photos)[4]
    broken.write_bytes(broken.read_bytes()[:200])
    name = str(broken.relative_to(copied_photos))
    with pytest.warns(UserWarning, match=f"skipped: {name} cannot be read as a picture") as caught:
        store = prepare(copied_photos, tmp_path / "cache", SIZE, num_workers)
    assert len(caught) == 1
    assert len(store) == 11 and name not in store.names
    assert [unreadable for unreadable, _ in store.unreadable] == [name]
    assert json.loads((tmp_path / "cache" / HEADER).read_bytes())["unreadable"] == 1
    assert crops(store, 6).shape == (24, 3, 32, 32)


def test_the_command_names_them_too(run_cli, copied_photos, tmp_path):
    (copied_photos / "photo_02.jpg").write_bytes(b"")
    result = run_cli("-m", "data.prepare", copied_photos, tmp_path / "cache", "--num_workers", 1)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert "warning: skipped: photo_02.jpg cannot be read as a picture (it is empty)" in result.stderr
    assert "11 photographs" in result.stdout
    assert "1 could not be read and were left out: photo_02.jpg" in result.stdout


def test_more_than_a_tenth_unreadable_stops_each_time(copied_photos, tmp_path, monkeypatch):
    paths = list_photographs(copied_photos)
    for index in (2, 9):
        paths[index].write_bytes(b"no picture")
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(UserError, match="2 of the 12 photographs .* more than a tenth; the last was") as error:
                prepare(copied_photos, tmp_path / "cache", SIZE)
        assert paths[9].name in str(error.value)
        # What was found once is not decoded again.
        monkeypatch.setattr(data.prepare, "decode", None)


# -- at the door ------------------------------------------------------------------------------------------------------


def test_help_imports_neither_torch_nor_numpy():
    code = "import sys, data.prepare\ntry: data.prepare.main(['--help'])\nfinally: assert 'numpy' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--num_workers" in result.stdout and "--verify CACHE" in result.stdout


def test_draft_decoding_leaves_twice_the_stored_size(make_picture, tmp_path):
    make_picture(800, 600, seed=1).save(tmp_path / "a.jpg")
    assert min(read_image(tmp_path / "a.jpg", 2 * SIZE).size) >= 2 * SIZE
    assert data.prepare.decode(tmp_path / "a.jpg", SIZE).shape == (48, 64, 3)


@pytest.mark.parametrize("fault", ["cut", "removed"])
def test_a_shard_that_is_lost_while_it_is_in_use_costs_its_photographs_and_not_the_process(cache, fault):
    store = PhotographStore(cache)
    store.pixels(0)
    path = cache / shard_name(0)
    os.truncate(path, 1) if fault == "cut" else path.unlink()
    with pytest.raises(ImageError, match="prepare the store again"):
        store.pixels(0)
