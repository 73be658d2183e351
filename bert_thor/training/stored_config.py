"""A run's configuration as it was when it began, from config.json: what `--resume` goes on with."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Union

from typing_extensions import Literal, get_args, get_origin, get_type_hints

from bert_thor.errors import ConfigError
from bert_thor.recipes import PretrainConfig
from bert_thor.training.run_folder import RunFolder


def read_pretrain_config(run: Path) -> PretrainConfig:
    """The configuration of the run in the folder `run`, wherever that lies now; it does not resume by itself.

    What config.json does not say has its default. Errors: `ConfigError` naming the entry that is not known or not usable.
    """
    folder = RunFolder(run)
    stored = folder.read_config()
    config: PretrainConfig = _filled(PretrainConfig, stored, "", folder.config)
    if stored:
        raise ConfigError(
            f"{folder.config} has {min(stored)}, which this version does not know: use the one that wrote it"
        )
    return replace(config, run=run, resume=False, resume_from=None)


def _filled(kind: Any, stored: dict[str, Any], prefix: str, path: Path) -> Any:
    """The dataclass `kind` with the entries of `stored` that belong to it, which are taken out."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in fields(kind):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        if is_dataclass(hint):
            values[field.name] = _filled(hint, stored, f"{name}.", path)
        elif name in stored:
            try:
                values[field.name] = _value(hint, stored.pop(name))
            except ValueError as error:
                raise ConfigError(f"{path} has {name} = {error.args[0]!r}, which it cannot be") from None
    return kind(**values)


def _value(hint: Any, value: Any) -> Any:
    """`value` of JSON as the type that `hint` names; `ValueError` when it is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(arguments[0], value)
    if origin is Union:
        for argument in arguments:
            try:
                return _value(argument, value)
            except ValueError:
                continue
    elif origin is Literal and any(value == argument and type(value) is type(argument) for argument in arguments):
        return value
    elif origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item) for item in value)
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is float and type(value) in (int, float) and abs(value) < 1e300:
        return float(value)
    elif hint in (int, str, bool, type(None)) and type(value) is hint:
        return value
    raise ValueError(value)
