"""Nothing is written outside ``--output_dir``, whatever names and links say; and nothing is fetched from a network."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from PIL import Image

from models.checkpoints import load_checkpoint, save_checkpoint
from utils.files import PROGRAM

PLAN = ["--image_size", 32, "--batch_size", 2, "--total_steps", 1, "--num_workers", 0, "--device", "cpu"]
PLAN += ["--width", 0.25]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# -- names -----------------------------------------------------------------------------------------


def test_a_style_of_any_name_stays_in_the_output_folder(train, style_image, tmp_path):
    """The name goes into those of the results: line breaks and all, but no line that is printed is broken by it."""
    name = "-o\n..\\..\nerror: x\x1b[2J$(touch ran)"
    (tmp_path / f"{name}.png").write_bytes(style_image.read_bytes())
    said = train("--style_image", tmp_path / f"{name}.png").ok()
    assert "\x1b" not in said and not any(line.startswith("error") for line in said.splitlines())
    found = {path.removeprefix("out/") for path in files(tmp_path) if path.startswith("out/")}
    assert found - {f"{name}_training/losses.png"} == {
        f"{name}.pth", f"{name}_training/metrics.jsonl", f"{name}_training/step_000001.pth"
    }  # fmt: skip
    assert len(files(tmp_path)) == len(found) + 1  # the painting


@pytest.mark.parametrize("name", ["../way_out", "/", ".", "a\\..\\b"])
def test_a_name_that_is_a_way_out_is_refused(train, style_image, tmp_path, name):
    assert "must be a name without folders" in train("--name", name).error
    assert not files(tmp_path)


def test_photographs_with_hostile_names_stay_in_the_output_folder(stylize, tmp_path, make_picture):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("..png", "...jpg", "-rf.png", "a\nb.png", "c\\..\\d.png", "$(touch ran).png", "e" * 245 + ".png"):
        make_picture(9, 8, seed=1).save(folder / name, "PNG")
    result = stylize(folder)
    assert result.returncode == 1 and "1 failed" in result.stdout  # whose result's name is too long
    assert "File name too long" in result.stderr and "Traceback" not in result.stderr
    assert len(files(tmp_path / "results")) == 4  # two of them are hidden files
    assert set(os.listdir(tmp_path)) == {"photos", "results"}


@pytest.mark.parametrize("name", ["n" * 300, "n/" * 3000], ids=["name", "path"])
def test_names_that_are_too_long_for_the_system(call_cli, train, style_image, tmp_path, name):
    for flag in ("--model_path", "--content_image"):
        assert name[:-1] in call_cli("begin_inference.py", flag, name, "--output_dir", tmp_path / "results").error
    for flag in ("--style_image", "--dataset_dir", "--checkpoint_path"):
        assert name[:-1] in train(flag, name).error
    assert not files(tmp_path)


# -- links -----------------------------------------------------------------------------------------


def test_a_link_in_the_place_of_a_result_is_never_followed(stylize, tmp_path, make_picture):
    make_picture(9, 8, seed=1).save(tmp_path / "photo.png")
    (tmp_path / "results").mkdir()
    link, victim = tmp_path / "results" / "photo_stripes.png", tmp_path / "victim"
    link.symlink_to(victim)
    assert "exists already" in stylize(tmp_path / "photo.png").error  # though it leads nowhere
    assert not victim.exists() and link.is_symlink()
    victim.write_text("precious")
    assert "exists already" in stylize(tmp_path / "photo.png").error
    assert stylize(tmp_path / "photo.png", "--overwrite").returncode == 0
    assert victim.read_text() == "precious" and not link.is_symlink() and Image.open(link).size == (9, 8)


def test_a_folder_of_results_that_is_a_link_is_refused(stylize, tmp_path, make_picture):
    for folder in ("photos/trip", "results", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    make_picture(9, 8, seed=1).save(tmp_path / "photos" / "trip" / "photo.png")
    (tmp_path / "results" / "trip").symlink_to(tmp_path / "elsewhere")
    result = stylize(tmp_path / "photos")
    assert "trip/photo_stripes.png" in result.error and "would lie outside --output_dir" in result.error
    assert not files(tmp_path / "elsewhere")
    # The output folder itself is the user's to choose.
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert stylize(tmp_path / "photos", "--output_dir", tmp_path / "link").returncode == 0
    assert files(tmp_path / "elsewhere") == ["trip/photo_stripes.png"]


def test_a_training_folder_that_is_a_link_is_refused(train, style_image, tmp_path):
    for folder in ("out", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out" / "stripes_training").symlink_to(tmp_path / "elsewhere")
    error = train("--overwrite").error
    assert "stripes_training is a link to" in error and "outside --output_dir" in error
    assert not files(tmp_path / "elsewhere")


# -- a checkpoint's word is not taken for everything -----------------------------------------------


@pytest.fixture(scope="module")
def trained(run_cli, tmp_path_factory, small_training):
    """The last checkpoint of a training of one step."""
    output = tmp_path_factory.mktemp("trained")
    run_cli("begin_training.py", *small_training, "--output_dir", output).ok()
    return output / "stripes_training" / "step_000001.pth"


def test_a_checkpoint_does_not_choose_where_its_training_writes(call_cli, trained, tmp_path):
    """The training goes on where the file lies; elsewhere the user has to say where."""
    checkpoint = load_checkpoint(trained)
    checkpoint.provenance["settings"]["output_dir"] = str(tmp_path / "home")
    path = tmp_path / "mail" / "step_000001.pth"
    save_checkpoint(path, checkpoint)
    result = call_cli("begin_training.py", "--checkpoint_path", path, "--total_steps", 2)
    assert f"{path} lies in no STYLE_training folder: name with --output_dir" in result.error
    path.parent.rename(tmp_path / "view_training")
    call_cli("begin_training.py", "--checkpoint_path", tmp_path / "view_training", "--total_steps", 2).ok()
    assert (tmp_path / "view.pth").exists() and not (tmp_path / "home").exists()


EDITS = {
    "no step": lambda state: state.pop("step"),
    "step of text": lambda state: state.update(step="one"),
    "another part": lambda state: state.update(scheduler={}),
    "two scales": lambda state: state["objective"].update({"functions.style.scale": torch.ones(2)}),
    "other parameters": lambda state: state["optimizer"]["param_groups"][0].update(params=[0, 1]),
    "no groups": lambda state: state["optimizer"].update(param_groups=[]),
    "random state": lambda state: state.update(random_state=torch.zeros(3)),
}


@pytest.fixture(scope="module")
def whole(trained):
    return load_checkpoint(trained)


@pytest.mark.parametrize("edit", EDITS)
def test_a_resume_state_that_does_not_fit_is_one_sentence(call_cli, whole, tmp_path, edit):
    edited = copy.deepcopy(whole)
    EDITS[edit](edited.resume_state)
    save_checkpoint(tmp_path / "step_000001.pth", edited)
    flags = ["--checkpoint_path", tmp_path / "step_000001.pth", "--output_dir", tmp_path]
    assert "its resume state is damaged or of another version" in call_cli("begin_training.py", *flags).error


# -- network ---------------------------------------------------------------------------------------

WITHOUT_NETWORK = """
import runpy, socket, sys

def forbid(event, arguments):
    internet = event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6)
    if internet or event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        print(f"FORBIDDEN {event}", file=sys.stderr, flush=True)
        raise OSError(f"there is no network ({event})")

sys.addaudithook(forbid)
name, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


def without_network(module, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, module, *map(str, arguments)],
        cwd=PROGRAM, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def test_no_command_asks_for_a_network(style_model, style_image, photos, vgg_file, tmp_path, make_picture):
    """Where the weights of the loss network are given or lie in the cache; reading processes included."""
    make_picture(9, 8, seed=1).save(tmp_path / "photo.png")
    training = ["--style_image", style_image, *PLAN, "--num_workers", 1, "--output_dir", tmp_path / "out"]
    monitor = ["--training_monitor_content_image", tmp_path / "photo.png", "--monitor_every_steps", 1]
    inference = ["--model_path", style_model, "--content_image", tmp_path / "photo.png", "--output_dir", tmp_path]
    for command in (
        ["begin_inference", *inference],
        ["begin_training", *training, *monitor, "--dataset_dir", photos, "--vgg_weights", vgg_file],
    ):
        result = without_network(*command)
        assert result.returncode == 0 and "FORBIDDEN" not in result.stderr, result.stderr
    assert (tmp_path / "out" / "stripes.pth").exists() and (tmp_path / "photo_stripes.png").exists()


def test_the_one_download_is_announced_and_its_failure_is_one_sentence(style_image, photos, tmp_path):
    """The same watch sees it, so that the test above could fail."""
    result = without_network(
        "begin_training", "--style_image", style_image, "--dataset_dir", photos, *PLAN, "--output_dir",
        tmp_path / "out", TORCH_HOME=str(tmp_path / "cache"),
    )  # fmt: skip
    assert result.returncode == 2 and "Traceback" not in result.stderr
    told, forbidden, error = result.stderr.splitlines()
    assert told.startswith("Downloading https://") and "--vgg_weights" in told
    assert forbidden.startswith("FORBIDDEN")
    assert error.startswith("error: the VGG-19 weights could not be downloaded") and "--vgg_weights FILE" in error
    assert not (tmp_path / "out").exists() and not files(tmp_path / "cache")
