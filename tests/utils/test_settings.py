"""Command lines: generated from config.py, checked against its bounds, before anything slow is imported."""

import ast
import dataclasses
import re
import shlex
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest

from config import REQUIRED, InferenceConfig, TrainingConfig, setting
from utils.errors import UserError
from utils.settings import build_parser, command_line, parse_settings, run_command, shown, validate

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {"begin_training.py": TrainingConfig, "begin_inference.py": InferenceConfig}


def without_none(field):
    union = [hint for hint in typing.get_args(field.type) if hint is not type(None)]
    return union[0] if isinstance(field.type, types.UnionType) else field.type


def kind(field):
    """``"int"`` of ``int | None`` and of ``tuple[int, ...]``."""
    hint = without_none(field)
    return (typing.get_args(hint)[0] if takes_several(field) else hint).__name__


def takes_several(field):
    return typing.get_origin(without_none(field)) is tuple


def bad_values(field):
    """Values that a flag must refuse, by its type and its declared bounds."""
    bounds = field.metadata
    values = []
    if kind(field) == "int":
        values += ["1.5", "many", ""]
    if kind(field) == "float":
        values += ["nan", "inf", "-inf", "1e999", "much", ""]
    if kind(field) == "str":
        values += [""]
    if bounds["choices"]:
        values += ["no-such-choice"]
    if bounds["minimum"] is not None:
        values += [str(bounds["minimum"] - 1), "-1000000"]
        values += [str(bounds["minimum"] - 1e-9)] if kind(field) == "float" else []
    if bounds["above"] is not None:
        values += [str(bounds["above"]), str(bounds["above"] - 1e-9)]
    if bounds["maximum"] is not None:
        values += [str(bounds["maximum"] + 1)]
    return values


@pytest.mark.parametrize("config_class", CONFIGS.values())
def test_every_bad_value_is_refused_by_the_name_of_its_flag(config_class):
    for field in dataclasses.fields(config_class):
        for value in bad_values(field) if kind(field) != "bool" else []:
            with pytest.raises(UserError, match=f"--{field.name} ") as error:
                parse_settings(config_class, "", [f"--{field.name}={value}"])
            assert not value or value in str(error.value) or str(float(value)) in str(error.value)


@pytest.mark.parametrize(
    "script, flag, told",
    [
        ("begin_training.py", "--epochs=3", "did you mean --num_epochs? "), ("begin_training.py", "a.jpg", ""),
        ("begin_training.py", "--content-wight=3", "did you mean --content_weight"),
        ("begin_inference.py", "--out", "did you mean --output_dir? "), ("begin_inference.py", "--stren=3", ""),
        ("begin_inference.py", "-content_image=a.jpg", ""),
    ],
)  # fmt: skip
def test_unknown_flags_are_refused_not_completed_and_their_neighbours_named(call_cli, script, flag, told):
    error = call_cli(script, flag).error
    assert flag.partition("=")[0] in error and told in error and "--help" in error


@pytest.mark.parametrize("config_class", CONFIGS.values())
def test_dashes_are_as_good_as_underscores(config_class):
    for name, value in (("max-pixels", "7"), ("output-dir", "a-b_c-d")):
        for arguments in ([f"--{name}", value], [f"--{name}={value}"]):
            config, given = parse_settings(config_class, "", arguments)
            (field,) = given
            assert field == name.replace("-", "_") and str(getattr(config, field)) == value
    with pytest.raises(UserError, match="no flag --no-such-flag"):
        parse_settings(config_class, "", ["--no-such-flag"])


# -- one declaration -------------------------------------------------------------------------------


@pytest.mark.parametrize("config_class", CONFIGS.values())
def test_an_empty_command_line_gives_the_defaults_and_they_are_valid(config_class):
    assert parse_settings(config_class, "", []) == (config_class(), frozenset())


@pytest.mark.parametrize("config_class", CONFIGS.values())
def test_every_field_is_a_flag_of_its_name_and_type(config_class):
    arguments, expected = [], {}
    for field in dataclasses.fields(config_class):
        choices = field.metadata["choices"]
        if kind(field) == "bool":
            arguments.append(f"--{field.name}")
            expected[field.name] = True
            continue
        whole = min(97, field.metadata["maximum"] or 97)
        value = choices[-1] if choices else {"int": whole, "float": 0.625, "str": "some where/x"}[kind(field)]
        if takes_several(field):
            values = (value, 0.25, 3.0) if kind(field) == "float" else (value, "b", "c")
            arguments += [f"--{field.name}=1", f"--{field.name}", *map(str, values)]
            expected[field.name] = values
            continue
        arguments.append(f"--{field.name}={value}")
        expected[field.name] = value
    config, given = parse_settings(config_class, "", arguments)
    assert dataclasses.asdict(config) == expected
    assert given == frozenset(expected)


@pytest.mark.parametrize("config_class", CONFIGS.values())
def test_help_shows_every_flag_with_its_help_and_default(config_class):
    text = build_parser(config_class, "what it does\n\n    an example").format_help()
    assert "what it does\n\n    an example\n" in text
    text = " ".join(text.split())
    for field in dataclasses.fields(config_class):
        assert f"--{field.name}" in text and " ".join(field.metadata["help"].split()) in text
        if kind(field) != "bool":  # each says what it expects
            assert f"--{field.name} TEXT" not in text
        if field.default not in (None, ()) and kind(field) != "bool":
            assert f"(default: {shown(field.default)})" in text


@dataclasses.dataclass(frozen=True)
class Placed:
    """A command that takes values without flags."""

    models: tuple[str, ...] = setting(REQUIRED, "one or several", metavar="MODEL")
    target: str = setting(REQUIRED, "where to", metavar="FILE")
    overwrite: bool = setting(False, "replace it")


def test_a_setting_without_a_default_is_given_in_its_place():
    for arguments in (["a", "b", "c", "--overwrite"], ["a", "--overwrite", "b", "c"], ["--overwrite", "a", "b", "c"]):
        assert parse_settings(Placed, "", arguments)[0] == Placed(("a", "b"), "c", True)
    for arguments, words in (
        (["a"], "give FILE"), ([], "give MODEL, FILE"), (["a", ""], "FILE must not be empty"),
        (["a", "b", "--target", "c"], "there is no flag --target: --help lists them all"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            parse_settings(Placed, "", arguments)


@pytest.mark.parametrize("script, flag", [("begin_training.py", "--help"), ("begin_inference.py", "--device=")])
def test_help_and_mistyped_flags_answer_without_importing_torch(script, flag):
    command = [sys.executable, "-X", "importtime", script, flag]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    imported = set(re.findall(r"\|\s+(\w+)\s*$", result.stderr, re.MULTILINE))
    assert "argparse" in imported  # else this test says nothing
    assert not imported & {"torch", "torchvision", "numpy", "PIL", "matplotlib", "tqdm"}
    assert result.returncode == (0 if flag == "--help" else 2)


# -- edited defaults -------------------------------------------------------------------------------

WRONG = [(), -1, None, (4, -1), (4, "5")]
"""Where several numbers of at least 0 are expected."""


@pytest.mark.parametrize(
    "edit",
    [{"lr": float("nan")}, {"lr": "0.1"}, {"batch_size": 0}, {"batch_size": True}, {"norm": None}, {"style_image": ""},
     {"overwrite": 1}, {"style_size": 31}, {"seed": 2**63}, *({"style_layer_weights": wrong} for wrong in WRONG)],
)  # fmt: skip
def test_edited_defaults_are_held_to_the_same_bounds(edit):
    (name,) = edit
    with pytest.raises(UserError, match=f"--{name} "):
        validate(dataclasses.replace(TrainingConfig(), **edit))


@pytest.mark.parametrize("weights, taken", [((2.0, 3.0), (2.0, 3.0)), ([2, 3], (2.0, 3.0)), (4, (4.0,))])
def test_settings_made_in_python_become_what_a_command_line_gives(weights, taken):
    assert validate(TrainingConfig(style_layer_weights=weights)) == TrainingConfig(style_layer_weights=taken)
    config = InferenceConfig(content_image="/photos/a.jpg", model_path=Path("a.pth"), output_dir=Path("x"), strength=1)
    taken = validate(config)
    assert taken.content_image == ("/photos/a.jpg",) and taken.model_path == ("a.pth",) and taken.output_dir == "x"


# -- Python, and commands to paste --------------------------------------------------------------------


@pytest.mark.parametrize("script", CONFIGS)
def test_an_old_python_is_refused_in_one_sentence(script):
    for name in (script, "config.py"):  # all that it reads
        ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 7))
    old = f"import runpy, sys; sys.version_info = (3, 9, 18); runpy.run_path({script!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", old], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0 and result.stdout == ""
    assert result.stderr == "error: Python 3.10 or later is needed, and this is 3.9: install a newer one\n"


@pytest.mark.parametrize("arguments", [["a b's.pth", "--x", "é"], ["C:\\My photos\\a.pth"]])
def test_commands_that_are_printed_can_be_pasted(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a python"))
    monkeypatch.chdir(ROOT)
    words = [sys.executable, "begin_inference.py", *arguments]
    assert shlex.split(command_line("begin_inference.py", *arguments)) == words
    monkeypatch.chdir(tmp_path)
    words[1] = str(ROOT / "begin_inference.py")
    assert shlex.split(command_line("begin_inference.py", *arguments)) == words
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    assert command_line("begin_inference.py").startswith("python ")


# -- the last word on errors -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending, status, printed",
    [
        (UserError("--lr must be above 0, not -1.0"), 2, "error: --lr must be above 0, not -1.0\n"),
        # One line whatever a file is called.
        (UserError("a\nb\x1b[31m\u2028\udcff \U0001f468\u200d\U0001f469 é.png does not exist"), 2,
         "error: a\\nb\\x1b[31m\\u2028\\udcff \U0001f468\u200d\U0001f469 é.png does not exist\n"),
        (MemoryError(), 2, "error: there is not enough memory: give smaller pictures, sizes or batches\n"),
        (KeyboardInterrupt(), 130, ""),  # outside the training loop
        (0, 0, ""), (143, 143, ""),
    ],
)  # fmt: skip
def test_a_command_ends_with_a_status_and_at_most_one_sentence(capsys, monkeypatch, ending, status, printed):
    def run(config):
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr(sys, "argv", ["begin_inference.py"])
    with pytest.raises(SystemExit) as exit_:
        run_command(run, InferenceConfig, "")
    assert exit_.value.code == status and capsys.readouterr() == ("", printed)
