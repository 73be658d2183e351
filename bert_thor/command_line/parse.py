"""A command line as the dataclass that it describes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Optional, TypeVar

import tyro

from bert_thor.command_line.help import help_text
from bert_thor.command_line.names import check_options, plain_name
from bert_thor.command_line.options import Option, options_of
from bert_thor.command_line.values import check_values
from bert_thor.errors import UsageError

T = TypeVar("T")


def parse(
    kind: type[T],
    arguments: Sequence[str],
    command: str,
    default: Optional[T] = None,
    more: Sequence[Option] = (),
) -> T:
    """The dataclass `kind` that the arguments of `bert-thor COMMAND` describe; what they do not say is as in `default`.

    Fields of nested dataclasses are options of their own, without a prefix. `more` are options that are not fields: they were taken out of
    the arguments before. Where help is asked for it is printed, and the process ends. Errors: `UsageError` for an option that
    there is not, that is missing, or that cannot have its value; what is wrong with a list, tyro explains on stderr and ends with status 2.
    """
    options = [*more, *options_of(kind, default)]
    if asks_for_help(arguments):
        print(help_text(command, inspect.getdoc(kind) or "", options))
        raise SystemExit(0)
    check_options(command, arguments, options)
    check_values(command, arguments, options)
    parsed: Any = tyro.cli(
        kind,  # type: ignore[arg-type]
        prog=f"bert-thor {command}",
        args=list(arguments),
        default=default,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return parsed


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether --help is among the arguments."""
    return any(argument in ("-h", "--help") for argument in arguments)


def value_of(option: str, arguments: Sequence[str]) -> Optional[str]:
    """The value that `option` has at last, for what has to be known before all others are read."""
    found = None
    for index, argument in enumerate(arguments):
        if plain_name(argument) == option:
            if "=" in argument:
                found = argument.split("=", 1)[1]
            elif index + 1 < len(arguments):
                found = arguments[index + 1]
    return found


def without(option: str, arguments: Sequence[str]) -> list[str]:
    """The arguments without `option` and its value. Errors: `UsageError` where it has none."""
    rest, waits = [], False
    for argument in arguments:
        if waits:
            waits = False
        elif plain_name(argument) == option:
            waits = "=" not in argument
        else:
            rest.append(argument)
    if waits:
        raise UsageError(f"{option} has no value")
    return rest
