"""The folder of one run: resolved configuration, metrics of every step, checkpoints, evaluation."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.files import make_folder, read_json_object, replace_text, write_json
from bert_thor.network.precision import PRECISIONS, Precision
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.recipes import PretrainConfig
from bert_thor.training.checkpoint import checkpoint_steps

RESUMABLE_CHANGES = (
    "resume",
    "data",
    "run",
    "log_interval",
    "checkpoint_interval",
    "keep_checkpoints",
    "checksum_interval",
    "evaluation_interval",
    "schema",
    "start",
    "prefetch",
    "compile_cache",
)
"""Fields that a resumed run may change: none of them changes a number that the run computes."""


BEFORE_THERE_WAS_A_CHOICE = {
    "precision": "float32",
    "accumulate": 1,
    "optimizer.loss_scale": 1.0,
    "optimizer.loss_scale_window": OptimizerConfig.loss_scale_window,
}
"""What a run was trained with whose config.json does not say it."""


class RunFolder:
    """Paths and files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.config = path / "config.json"
        self.evaluation = path / "evaluation.json"
        self.training_evaluations = path / "training_evaluations.jsonl"
        self.ranks = path / "ranks"
        self._lock = -1

    def steps(self) -> list[int]:
        """Steps that have a checkpoint."""
        return checkpoint_steps(self.checkpoints)

    def check(self, config: PretrainConfig) -> None:
        """Raise `ConfigError` unless a new run can start here, or the run in it can go on with `config`; writes nothing."""
        if self.config.is_file():
            self._check_resume(config)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty and holds no run: choose another folder with --run")

    def open(self, config: PretrainConfig) -> None:
        """Create the folder, keep other runs out, and write the configuration; `check` came before."""
        make_folder(self.path)
        self.lock()
        write_json(self.config, resolved(config))

    def lock(self) -> None:
        """Claim the folder for this process until it ends; `ConfigError` when another one is training in it."""
        if self._lock >= 0:
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(descriptor)
                raise ConfigError(
                    f"another process is training in {self.path}: wait for it, or choose another folder with --run"
                ) from None
        self._lock = descriptor  # where a network file system cannot lock, it guards nothing

    def unlock(self) -> None:
        """Let other processes train in the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_resume(self, config: PretrainConfig) -> None:
        if not config.resume:
            raise ConfigError(
                f"{self.path} already holds a run: add --resume to continue it, or choose another folder with --run"
            )
        before, now = {**BEFORE_THERE_WAS_A_CHOICE, **self.read_config()}, resolved(config)
        for field in sorted(
            set(before) | set(now), key=lambda name: (name != "precision", name)
        ):  # others follow from it
            if field not in RESUMABLE_CHANGES and before.get(field) != now.get(field):
                raise ConfigError(
                    f"{self.path} was started with {field}={before.get(field)}, not {now.get(field)}: "
                    "resume with the same value, or start another run"
                )

    def read_config(self) -> dict[str, Any]:
        """The resolved configuration that the run was started with."""
        if self.path.is_dir() and not self.config.exists():
            raise ConfigError(f"{self.path} holds no run (config.json is missing): give the folder passed as --run")
        return read_json_object(self.config, ConfigError)

    def read_model(self) -> BertConfig:
        """The network's sizes; `ConfigError` naming the entry that is not usable."""
        stored = self.read_config()
        known: dict[str, Any] = {f"model.{field.name}": type(field.default) for field in fields(BertConfig)}
        values: dict[str, Any] = {}
        for name, kind in known.items():
            value = stored.get(name)
            if isinstance(value, bool) or not isinstance(value, (int, kind)):
                raise ConfigError(f"{self.config} has {name} = {value!r}: {kind.__name__} was expected")
            values[name] = value
        sizes = BertConfig(**{name[len("model.") :]: value for name, value in values.items()})
        sizes.check()
        return sizes

    def read_precision(self) -> Optional[Precision]:
        """The precision that the run was trained in; None where it was not trained here, as an imported one."""
        stored: Any = self.read_config().get("precision")
        if stored not in (None, *PRECISIONS):
            raise ConfigError(f"{self.config} has precision = {stored!r}: {', '.join(PRECISIONS)} or null was expected")
        precision: Optional[Precision] = stored
        return precision

    def add_evaluation(self, report: dict[str, Any]) -> None:
        """Add the report of an evaluation during training."""
        with open(self.training_evaluations, "a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def truncate(self, step: int) -> None:
        """Drop metrics and evaluations of steps after `step`: a resumed run writes them again."""
        for path in (self.metrics, self.training_evaluations):
            if path.is_file():
                _truncate(path, step)


def resolved(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as one flat dictionary of JSON values, nested fields as `model.hidden_size`."""
    flat: dict[str, Any] = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": _as_json(content) for inner, content in value.items()})
        else:
            flat[name] = _as_json(value)
    return flat


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _truncate(path: Path, step: int) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    replace_text(path, "".join(f"{line}\n" for line in kept))


def _step_of(line: str) -> float:
    """The step of one metrics line; infinite for a line that was cut while it was written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf
