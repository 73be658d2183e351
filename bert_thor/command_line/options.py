"""The options that the fields of a dataclass are: what each is called, takes and means."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, Union

import tyro
from typing_extensions import Literal, get_args, get_origin, get_type_hints

_POSITIONAL = get_args(tyro.conf.Positional[int])[1]


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    name: str
    """As on the command line: --learning-rate; of what has no dashes, the word for it."""
    takes: str
    """What follows it: INT, PATH, {a,b}; nothing for a switch."""
    explanation: str
    default: Any = None
    """None: there is none, or the explanation says it."""
    required: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether it is turned on with --name and off with --no-name."""
        return not self.takes

    @property
    def spellings(self) -> tuple[str, ...]:
        """What the command line may say for it."""
        return (self.name, f"--no-{self.name[2:]}") if self.is_switch else (self.name,)


def options_of(kind: Any, default: Any = None) -> list[Option]:
    """The options of a dataclass, those of nested dataclasses after its own; `default` has values of its own for them."""
    own, nested = [], []
    for name, hint, explanation, value in _fields_of(kind, default):
        if is_dataclass(hint):
            nested += options_of(hint, None if value is MISSING else value)
        else:
            own.append(_option(name, hint, explanation, value))
    return own + nested


def _option(name: str, hint: Any, explanation: str, value: Any) -> Option:
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    called = next((note.name for note in notes if getattr(note, "name", None)), None) or name
    takes = next((note.metavar for note in notes if getattr(note, "metavar", None)), None) or _takes(hint)
    spelling = name.upper() if _POSITIONAL in notes else f"--{called.replace('_', '-')}"
    return Option(spelling, takes, explanation, None if value is MISSING else value, value is MISSING)


def _takes(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _takes(arguments[0])
    if origin is Union:
        return "|".join(_takes(argument) for argument in arguments if argument is not type(None))
    if origin is Literal:
        return f"{{{','.join(map(str, arguments))}}}"
    if origin is tuple:
        return f"{_takes(arguments[0])} ..."
    return "" if hint is bool else str(hint.__name__).upper()


def _fields_of(kind: Any, default: Any) -> Iterator[tuple[str, Any, str, Any]]:
    """Name, type, explanation and default (MISSING: none) of every field."""
    hints, explanations = get_type_hints(kind, include_extras=True), _explanations(kind)
    for field in fields(kind):
        value = field.default
        if default is not None:
            value = getattr(default, field.name)
        elif field.default_factory is not MISSING:
            value = field.default_factory()
        yield field.name, hints[field.name], explanations.get(field.name, ""), value


def _explanations(kind: Any) -> dict[str, str]:
    """The text under each field in the source of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:]):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and isinstance(text, str):
            found[statement.target.id] = " ".join(text.split())
    return found
