"""The folder of one run: resolved configuration, metrics of every step, checkpoints, evaluation."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bert_thor.checkpoint import checkpoint_steps, write_json
from bert_thor.config import ConfigError
from bert_thor.recipes import PretrainConfig

RESUMABLE_CHANGES = ("resume", "data", "run", "log_interval", "checkpoint_interval", "keep_checkpoints")
"""Fields that a resumed run may change: none of them changes a number that the run computes."""


class RunFolder:
    """Paths and files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.config = path / "config.json"
        self.evaluation = path / "evaluation.json"

    def steps(self) -> list[int]:
        """Steps that have a checkpoint."""
        return checkpoint_steps(self.checkpoints)

    def open(self, config: PretrainConfig) -> None:
        """Create the folder for `config`, or check that the run in it can go on with `config`."""
        if self.config.is_file():
            self._check_resume(config)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty and holds no run: choose another folder with --run")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config, resolved(config))

    def _check_resume(self, config: PretrainConfig) -> None:
        if not config.resume:
            raise ConfigError(f"{self.path} already holds a run: add --resume to continue it, or choose another folder with --run")
        before, now = self.read_config(), resolved(config)
        for field in sorted(set(before) | set(now)):
            if field not in RESUMABLE_CHANGES and before.get(field) != now.get(field):
                raise ConfigError(
                    f"{self.path} was started with {field}={before.get(field)}, not {now.get(field)}: "
                    "resume with the same value, or start another run"
                )

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration that the run was started with."""
        try:
            value = json.loads(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{self.path} holds no run (config.json is missing): give the folder that was passed as --run") from None
        except ValueError as error:
            raise ConfigError(f"{self.config} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{self.config} does not hold a JSON object")
        return value

    def truncate_metrics(self, step: int) -> None:
        """Drop metrics of steps after `step`: a resumed run writes them again."""
        if not self.metrics.is_file():
            return
        kept = [line for line in self.metrics.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        temporary = self.metrics.with_name(".writing-metrics.jsonl")
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        os.replace(temporary, self.metrics)


def resolved(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as one flat dictionary of JSON values, nested fields as `model.hidden_size`."""
    flat: dict[str, Any] = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": content for inner, content in value.items()})
        else:
            flat[name] = str(value) if isinstance(value, Path) else value
    return flat


def _step_of(line: str) -> float:
    """The step of one metrics line; infinite for a line that was cut while it was written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
