"""Values by name, as JSON and TOML have them, put into the fields of a dataclass: `model.hidden_size` is one of a nested dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union

from typing_extensions import Literal, get_args, get_origin, get_type_hints

from bert_thor.errors import ConfigError, did_you_mean

T = TypeVar("T")


def with_entries(base: T, entries: Mapping[str, Any], file: Path, folder: Path) -> T:
    """`base` with the values of `entries`, which stand in `file`; relative paths among them begin at `folder`.

    Errors: `ConfigError` naming the file and the entry that is not known, or is not of the field's type.
    """
    types = dict(entry_types(type(base)))
    for name in entries:
        if name not in types:
            hint = _in_a_table(name, types) or did_you_mean(name, types)
            raise ConfigError(f"{file} has {name}, which this version does not know{hint}")
    values = {
        name: _checked(name, hint, entries[name], file, folder) for name, hint in types.items() if name in entries
    }
    return _replaced(base, values, "")


def entry_types(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name and type of everything that a dataclass holds, nested dataclasses' fields by `field.inner`."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        if is_dataclass(hint):
            yield from entry_types(hint, f"{name}.")
        else:
            yield name, hint


def _in_a_table(name: str, known: Iterable[str]) -> str:
    """A hint for who leaves the table out, or writes a table's name alone."""
    found = [full for full in known if full in (f"{name}.name", f"{full.partition('.')[0]}.{name}")]
    return f"; did you mean {found[0]}?" if found else ""


def _replaced(base: Any, values: Mapping[str, Any], prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for field in fields(base):
        name, old = f"{prefix}{field.name}", getattr(base, field.name)
        if is_dataclass(old):
            changes[field.name] = _replaced(old, values, f"{name}.")
        elif name in values:
            changes[field.name] = values[name]
    return replace(base, **changes)


def _checked(name: str, hint: Any, value: Any, file: Path, folder: Path) -> Any:
    try:
        return _value(hint, value, folder)
    except ValueError as error:
        raise ConfigError(f"{file} has {name} = {error.args[0]!r}: {_described(hint)} was expected") from None


def _value(hint: Any, value: Any, folder: Path) -> Any:
    """`value` as the type that `hint` names; `ValueError` when it is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(arguments[0], value, folder)
    if origin is Union:
        for argument in arguments:
            try:
                return _value(argument, value, folder)
            except ValueError:
                continue
    elif origin is Literal and any(value == argument and type(value) is type(argument) for argument in arguments):
        return value
    elif origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(arguments[0], item, folder) for item in value)
    elif hint is Path and isinstance(value, str):
        return folder / value
    elif hint is float and type(value) in (int, float) and abs(value) < 1e300:
        return float(value)
    elif hint in (int, str, bool, type(None)) and type(value) is hint:
        return value
    raise ValueError(value)


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Path: "a path",
    type(None): "null",
}


def _described(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _described(arguments[0])
    if origin is Union:
        return " or ".join(map(_described, arguments))
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        return f"a list, each of it {_described(arguments[0])},"
    return _WORDS[hint]
