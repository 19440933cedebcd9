"""Command lines from the dataclasses of ``config.py``, and the last word on errors. Standard library alone."""

import argparse
import dataclasses
import math
import sys
import types
import typing
import warnings

from data.errors import UserError


def _value_type(hint) -> type:
    """``int`` of ``int | None``; the type itself otherwise."""
    if isinstance(hint, types.UnionType):
        return next(t for t in typing.get_args(hint) if t is not type(None))
    return hint


def build_parser(config_class, description: str) -> argparse.ArgumentParser:
    """An argparse parser with one flag a field. Flags that are left out are absent from the parsed namespace."""
    parser = argparse.ArgumentParser(
        description=description, allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    hints = typing.get_type_hints(config_class)
    for f in dataclasses.fields(config_class):
        text = f.metadata["help"].replace("%", "%%")
        value_type = _value_type(hints[f.name])
        if value_type is bool:
            parser.add_argument(f"--{f.name}", action="store_true", help=text)
            continue
        shown = "" if f.default is None else f" (default: {f.default})"
        metavar = "|".join(f.metadata["choices"]) if f.metadata["choices"] else value_type.__name__.upper()
        parser.add_argument(f"--{f.name}", type=value_type, metavar=metavar, help=text + shown)
    return parser


def validate(config) -> None:
    """Check every field against the bounds it was declared with.

    Raises:
        UserError: naming the flag, the value, and what is allowed.
    """
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, bounds = getattr(config, f.name), f.metadata
        value_type = _value_type(hints[f.name])
        if value is None:
            if value_type is hints[f.name]:
                raise UserError(f"--{f.name} needs a value")
            continue
        # An edited default is held to the same types as a flag; a whole number serves as a float.
        if value_type is float and type(value) is int:
            value = float(value)
        if type(value) is not value_type:
            raise UserError(f"--{f.name} must be of type {value_type.__name__}, not {value!r}")
        if value_type is str and not value:
            raise UserError(f"--{f.name} must not be empty")
        if bounds["choices"] and value not in bounds["choices"]:
            raise UserError(f"--{f.name} must be one of {', '.join(bounds['choices'])}, not {value!r}")
        if value_type is float and not math.isfinite(value):
            raise UserError(f"--{f.name} must be a finite number, not {value}")
        if bounds["minimum"] is not None and value < bounds["minimum"]:
            raise UserError(f"--{f.name} must be {bounds['minimum']} or more, not {value}")
        if bounds["above"] is not None and value <= bounds["above"]:
            raise UserError(f"--{f.name} must be above {bounds['above']}, not {value}")
        if bounds["maximum"] is not None and value > bounds["maximum"]:
            raise UserError(f"--{f.name} must be {bounds['maximum']} or less, not {value}")


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
    config = config_class(**given)
    validate(config)
    return config, frozenset(given)


def run_command(main) -> typing.NoReturn:
    """Run a script's ``main() -> exit status`` and exit.

    A :class:`UserError` becomes one sentence and status 2; Ctrl-C, where nothing else answers it, status 130. Warnings
    are one sentence as well, without the place in the program.
    """
    warnings.formatwarning = lambda message, *args, **kwargs: f"warning: {message}\n"
    try:
        status = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
