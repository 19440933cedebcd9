"""Command lines from dataclasses of settings, see ``config.py``, and how errors end. Standard library alone."""

import argparse
import contextlib
import dataclasses
import difflib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
import typing
import warnings
from pathlib import Path

from utils.errors import UserError, is_out_of_memory, writing_output


def _value_type(hint) -> tuple[type, bool]:
    """The type of a value, ``int`` of ``int | None`` and of ``tuple[int, ...]``; and whether several are taken."""
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not type(None))
    several = typing.get_origin(hint) is tuple
    return (typing.get_args(hint)[0] if several else hint), several


_METAVARS = {int: "N", float: "NUMBER", str: "TEXT"}
_CALLED = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, as all others are."""

    def error(self, message):
        if message.startswith("argument "):
            message = message.removeprefix("argument ").replace(": ", " ", 1)
        message = re.sub("expected (one|at least one) argument$", "needs a value", message)
        message = message.replace("the following arguments are required:", "give")
        message = message.replace("invalid int value:", "must be a whole number, not", 1)
        message = message.replace("invalid float value:", "must be a number, not", 1)
        raise UserError(re.sub("ignored explicit argument .*", "takes no value", message))


def build_parser(config_class, description: str) -> argparse.ArgumentParser:
    """An argparse parser with one flag a field. What is left out is absent from the parsed namespace.

    A field without a default is a value without a flag. One of type ``tuple[T, ...]`` takes one value or several. Of a
    flag that is given twice, the last counts, as usual.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    parser = group = _Parser(
        prog=f"python -m {module.name.removesuffix('.__main__')}" if module else None,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    hints = typing.get_type_hints(config_class)
    for f in dataclasses.fields(config_class):
        if f.metadata["heading"]:
            group = parser.add_argument_group(f.metadata["heading"])
        text = f.metadata["help"].replace("%", "%%")
        value_type, several = _value_type(hints[f.name])
        if value_type is bool:
            group.add_argument(f"--{f.name}", action="store_true", help=text)
            continue
        required = f.default is dataclasses.MISSING
        if not required and f.default not in (None, ()):
            text += f" (default: {shown(f.default)})"
        metavar = f.metadata["metavar"] or "|".join(f.metadata["choices"] or ()) or _METAVARS[value_type]
        many = {"nargs": "+"} if several else {}
        where, name = (parser, f.name) if required else (group, f"--{f.name}")
        where.add_argument(name, type=value_type, metavar=metavar, help=text, **many)
    return parser


def shown(value) -> str:
    """A setting's value as its flag takes it: several with spaces between; ``none`` for one that is left out."""
    if isinstance(value, tuple | list):
        return " ".join(map(shown, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def validate(config):
    """The same settings, each of its declared type and within its bounds.

    Where several values are expected, one may stand for itself; a path may be a ``pathlib.Path``. Raises
    :class:`UserError`, which names the flag, the value, and what is allowed.
    """
    hints = typing.get_type_hints(type(config))
    values = {}
    for f in dataclasses.fields(config):
        value, hint = getattr(config, f.name), hints[f.name]
        if value is None and isinstance(hint, types.UnionType):
            continue
        value_type, several = _value_type(hint)
        given = tuple(value) if several and isinstance(value, list | tuple) else (value,)
        name = f.metadata["metavar"] if f.default is dataclasses.MISSING else f"--{f.name}"
        if None in given or not given and f.default != ():
            raise UserError(f"{name} needs a value")
        given = tuple(_valid(name, one, value_type, f.metadata) for one in given)
        values[f.name] = given if several else given[0]
    return dataclasses.replace(config, **values)


def _valid(name: str, value, value_type: type, bounds):
    # A default that was edited, or a setting made in Python, is held to the same types as a flag.
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value_type is float and type(value) is int:
        value = float(value)
    if type(value) is not value_type:
        raise UserError(f"{name} must be {_CALLED[value_type]}, not {value!r}")
    if value_type is str and not value:
        raise UserError(f"{name} must not be empty")
    if value_type is str and "\0" in value:  # out of a checkpoint: no command line can hold one
        raise UserError(f"{name} must not hold a null character, as {value!r} does")
    if bounds["choices"] and value not in bounds["choices"]:
        if value.lower() not in bounds["choices"]:
            raise UserError(f"{name} must be one of {', '.join(bounds['choices'])}, not {value!r}")
        value = value.lower()
    if value_type is float and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number, not {value}")
    if bounds["minimum"] is not None and value < bounds["minimum"]:
        raise UserError(f"{name} must be {bounds['minimum']} or more, not {value}")
    if bounds["above"] is not None and value <= bounds["above"]:
        raise UserError(f"{name} must be above {bounds['above']}, not {value}")
    if bounds["maximum"] is not None and value > bounds["maximum"]:
        raise UserError(f"{name} must be {bounds['maximum']} or less, not {value}")
    return value


def parse_settings(config_class, description: str, argv=None):
    """The settings of a command line, or of ``argv``, and the names of those that were on it.

    ``config_class`` is a dataclass whose fields are ``config.setting``; ``description`` begins ``--help``.
    ``--content-image`` is as good as ``--content_image``. Raises :class:`UserError` on an unknown flag, or a value of
    the wrong type or out of bounds.
    """
    parser = build_parser(config_class, description)
    flags = {f"--{f.name}" for f in dataclasses.fields(config_class) if f.default is not dataclasses.MISSING}

    def spelt(argument: str) -> str:
        name, equals, value = argument.partition("=")
        flag = "--" + name[2:].replace("-", "_")
        return flag + equals + value if name.startswith("--") and flag in flags else argument

    arguments = sys.argv[1:] if argv is None else argv
    given, unknown = parser.parse_known_intermixed_args([spelt(argument) for argument in arguments])
    if unknown:
        raise UserError(_unknown(unknown[0], flags))
    return validate(config_class(**vars(given))), frozenset(vars(given))


def _unknown(argument: str, flags: set[str]) -> str:
    if not argument.startswith("-"):
        return f"{argument!r} belongs to no flag: put the flag in front of it, --help lists them all"
    typed = argument.partition("=")[0]
    name, names = typed.strip("-").replace("-", "_"), sorted(flag[2:] for flag in flags)
    near = [flag for flag in names if len(name) > 2 and name in flag][:4] or difflib.get_close_matches(name, names)
    meant = f"did you mean {' or '.join(f'--{flag}' for flag in near)}? " if near else ""
    return f"there is no flag {typed}: {meant}--help lists them all"


def command_line(script: str, *arguments: object) -> str:
    """A command for people to paste: this Python, and the script from wherever the working directory is.

    The script may be ``-m``, with the name of a module first among the arguments: that works in the program's folder.
    """
    program = Path(__file__).resolve().parents[1]
    python = shutil.which("python")
    words = ["python" if python and os.path.abspath(python) == os.path.abspath(sys.executable) else sys.executable]
    return quoted(*words, script if script == "-m" or Path.cwd() == program else program / script, *arguments)


def quoted(*words: object) -> str:
    """Words of a command as a shell takes them."""
    words = [str(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def run_command(run, config_class, description: str, with_given: bool = False) -> typing.NoReturn:
    """Run a script with what :func:`parse_settings` gives, and exit with the status that it returns; ``None`` is 0.

    ``run`` takes the settings, and ``with_given`` the names of those that were given as well. A :class:`UserError`
    becomes one sentence and status 2; Ctrl-C, where nothing else answers it, status 130. Warnings are one sentence as
    well, without the place in the program.
    """
    warnings.formatwarning = lambda message, *args, **kwargs: f"warning: {message}\n"
    with contextlib.suppress(AttributeError):  # of a stand-in for standard output
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal cannot show
    try:
        config, given = parse_settings(config_class, description)
        status = (run(config, given) if with_given else run(config)) or 0
        with writing_output():
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print("error: there is not enough memory: give smaller pictures, sizes or batches", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # who read standard output has gone, as "| head" does
        status = 128 + 13
    try:
        sys.stdout.flush()
    except OSError:  # else Python would try once more, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
