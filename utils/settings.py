"""Command lines from the dataclasses of ``config.py``, and the last word on errors. Standard library alone."""

import argparse
import contextlib
import dataclasses
import math
import os
import sys
import types
import typing
import warnings

from utils.errors import UserError, is_out_of_memory, writing_output


def _value_type(hint) -> type:
    """``int`` of ``int | None`` and of ``tuple[int, ...]``; the type itself otherwise."""
    if isinstance(hint, types.UnionType):
        hint = next(t for t in typing.get_args(hint) if t is not type(None))
    return typing.get_args(hint)[0] if _takes_several(hint) else hint


def _takes_several(hint) -> bool:
    return typing.get_origin(hint) is tuple


def build_parser(config_class, description: str) -> argparse.ArgumentParser:
    """An argparse parser with one flag a field. Flags that are left out are absent from the parsed namespace.

    A field of type ``tuple[T, ...]`` takes one value or several, and may be given several times.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # its examples are lines of their own
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    hints = typing.get_type_hints(config_class)
    for f in dataclasses.fields(config_class):
        text = f.metadata["help"].replace("%", "%%")
        value_type = _value_type(hints[f.name])
        if value_type is bool:
            parser.add_argument(f"--{f.name}", action="store_true", help=text)
            continue
        several = _takes_several(hints[f.name])
        default = " ".join(map(str, f.default)) if several else f.default
        shown = "" if f.default in (None, ()) else f" (default: {default})"
        metavar = "|".join(f.metadata["choices"]) if f.metadata["choices"] else value_type.__name__.upper()
        many = {"nargs": "+", "action": "extend"} if several else {}
        parser.add_argument(f"--{f.name}", type=value_type, metavar=metavar, help=text + shown, **many)
    return parser


def validate(config) -> None:
    """Check every field against the bounds it was declared with.

    Raises:
        UserError: naming the flag, the value, and what is allowed.
    """
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, hint = getattr(config, f.name), hints[f.name]
        if value is None and isinstance(hint, types.UnionType):
            continue
        if value is None or value == ():
            raise UserError(f"--{f.name} needs a value")
        several = _takes_several(hint)
        if several and type(value) is not tuple:
            raise UserError(f"--{f.name} must be a tuple, not {value!r}")
        for one in value if several else (value,):
            _validate_value(f.name, one, _value_type(hint), f.metadata)


def _validate_value(name: str, value, value_type: type, bounds) -> None:
    # An edited default is held to the same types as a flag; a whole number serves as a float.
    if value_type is float and type(value) is int:
        value = float(value)
    if type(value) is not value_type:
        raise UserError(f"--{name} must be of type {value_type.__name__}, not {value!r}")
    if value_type is str and not value:
        raise UserError(f"--{name} must not be empty")
    if value_type is str and "\0" in value:  # out of a checkpoint: no command line can hold one
        raise UserError(f"--{name} must not hold a null character, as {value!r} does")
    if bounds["choices"] and value not in bounds["choices"]:
        raise UserError(f"--{name} must be one of {', '.join(bounds['choices'])}, not {value!r}")
    if value_type is float and not math.isfinite(value):
        raise UserError(f"--{name} must be a finite number, not {value}")
    if bounds["minimum"] is not None and value < bounds["minimum"]:
        raise UserError(f"--{name} must be {bounds['minimum']} or more, not {value}")
    if bounds["above"] is not None and value <= bounds["above"]:
        raise UserError(f"--{name} must be above {bounds['above']}, not {value}")
    if bounds["maximum"] is not None and value > bounds["maximum"]:
        raise UserError(f"--{name} must be {bounds['maximum']} or less, not {value}")


def parse_settings(config_class, description: str, argv=None):
    """The settings of a command line.

    Args:
        config_class: a dataclass of ``config.py``.
        description: first lines of ``--help``.
        argv: arguments without the program's name; ``None`` takes the process's own.

    Returns:
        ``(config, given)``: the settings, and the names of those that were on the command line.

    Raises:
        UserError: on a value out of bounds. ``SystemExit(2)`` on an unknown flag or a value of the wrong type.
    """
    given = vars(build_parser(config_class, description).parse_args(argv))
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    config = config_class(**given)
    validate(config)
    return config, frozenset(given)


def run_command(main) -> typing.NoReturn:
    """Run a script's ``main() -> exit status`` and exit.

    A :class:`UserError` becomes one sentence and status 2; Ctrl-C, where nothing else answers it, status 130. Warnings
    are one sentence as well, without the place in the program.
    """
    warnings.formatwarning = lambda message, *args, **kwargs: f"warning: {message}\n"
    with contextlib.suppress(AttributeError):  # of a stand-in for standard output
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal cannot show
    try:
        status = main()
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
