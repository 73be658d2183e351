"""Values that an option cannot have, and options that are missing, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from bert_thor.command_line.names import plain_name
from bert_thor.command_line.options import Option
from bert_thor.errors import UsageError, did_you_mean

NUMBERS = {"INT": (int, "a whole number"), "FLOAT": (float, "a number")}


def check_values(command: str, arguments: Sequence[str], options: Sequence[Option]) -> None:
    """Raise `UsageError` for an option without its value, a number or choice that is none, and for required options that are missing."""
    by_spelling = {spelling: option for option in options for spelling in option.spellings}
    given = set()
    for index, argument in enumerate(arguments):
        option = by_spelling.get(plain_name(argument))
        if option is not None:
            given.add(option.name)
            _check(option, argument, arguments[index + 1] if index + 1 < len(arguments) else None)
    missing = [option.name for option in options if option.required and option.name not in given]
    if any(name.startswith("--") for name in missing):
        raise UsageError(f"bert-thor {command} needs {' and '.join(missing)}; bert-thor {command} --help explains them")


def _check(option: Option, argument: str, following: Optional[str]) -> None:
    value = argument.split("=", 1)[1] if "=" in argument else following
    if option.is_switch:
        if "=" in argument:
            raise UsageError(f"{option.name} takes no value: write {' or '.join(option.spellings)}")
    elif not option.takes.endswith("...") and (value is None or value.startswith("--")):
        raise UsageError(f"{option.name} has no value; {option.takes} was expected")
    elif value not in (None, "None"):
        _check_value(option, str(value))


def _check_value(option: Option, value: str) -> None:
    if option.takes in NUMBERS:
        kind, words = NUMBERS[option.takes]
        try:
            kind(value)
        except ValueError:
            raise UsageError(f"{option.name} is {value!r}: {words} was expected") from None
    elif option.takes.startswith("{"):
        choices = option.takes.strip("{}").split(",")
        if value not in choices:
            hint = did_you_mean(value, choices)
            raise UsageError(f"{option.name} is {value!r}: use one of {', '.join(choices)}{hint}")
