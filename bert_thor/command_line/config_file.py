"""`--config FILE`: options in a TOML file, or in a run's config.json as it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_thor.entries import with_entries
from bert_thor.errors import ConfigError
from bert_thor.files import LARGEST_JSON_BYTES, read_json_object
from bert_thor.recipes import PretrainConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class ConfigFile:
    """What such a file says: `steps`, `model.hidden_size`, `optimizer.name`, ... as in a run's config.json."""

    path: Path
    entries: Mapping[str, Any]

    def over(self, base: PretrainConfig) -> PretrainConfig:
        """`base` with what the file says; its relative paths begin at its own folder. Errors: `ConfigError` naming file and entry."""
        return with_entries(base, self.entries, self.path, self.path.absolute().parent)

    def said(self) -> PretrainConfig:
        """What the file says, with defaults where it says nothing."""
        return self.over(PretrainConfig())

    def without_optimizer(self) -> ConfigFile:
        """The file without its values for an optimizer: another one has defaults of its own."""
        kept = {name: value for name, value in self.entries.items() if not name.startswith("optimizer.")}
        return ConfigFile(self.path, kept)


def read_config_file(path: Path) -> ConfigFile:
    """Read a `.toml` or `.json` file. Errors: `ConfigError` naming the file, and the line or entry that is wrong."""
    if path.suffix not in (".toml", ".json"):
        raise ConfigError(f"{path} is neither .toml nor .json: write the options as TOML, or give a run's config.json")
    stored = read_json_object(path, ConfigError) if path.suffix == ".json" else _read_toml(path)
    entries = _flat(stored)
    if path.suffix == ".json":  # what a run was made of, not what is to be done with it
        entries = {name: value for name, value in entries.items() if name not in ("resume", "resume_from")}
    file = ConfigFile(path, entries)
    file.said()
    return file


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_JSON_BYTES:
            raise ConfigError(f"{path} is larger than {LARGEST_JSON_BYTES} bytes: this is no file of options")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _flat(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of tables by `table.entry`; the names of options, with dashes, as those of fields."""
    flat: dict[str, Any] = {}
    for name, value in stored.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": content for inner, content in value.items()})
        else:
            flat[name] = value
    return {name.replace("-", "_"): value for name, value in flat.items()}
