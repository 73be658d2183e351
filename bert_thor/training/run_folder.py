"""The folder of one run: resolved configuration, its data and vocabulary, metrics of every step, checkpoints, evaluation."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.files import json_text, make_folder, read_json_object, replace_text, write_json
from bert_thor.network.sizes import BertConfig
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.precision import PRECISIONS, Precision
from bert_thor.recipes import PretrainConfig
from bert_thor.training.checkpoint import checkpoint_path, checkpoint_steps
from bert_thor.training.run_data import RUN_DATA, VOCABULARY, RunData, write_run_data

RESUMABLE_CHANGES = (
    "resume",
    "resume_from",
    "data",
    "run",
    "log_interval",
    "checkpoint_interval",
    "keep_checkpoints",
    "checksum_interval",
    "evaluation_interval",
    "eval_data",
    "evaluation_rows",
    "keep_best",
    "early_stop",
    "log",
    "tensorboard",
    "dry_run",
    "schema",
    "start",
    "prefetch",
    "compile_cache",
)
"""Fields that a resumed run may change: none of them changes a number that a step computes."""


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
        self.set_aside = path / "set_aside"
        self.metrics = path / "metrics.jsonl"
        self.config = path / "config.json"
        self.evaluation = path / "evaluation.json"
        self.training_evaluations = path / "training_evaluations.jsonl"
        self.tensorboard = path / "tensorboard"
        self.ranks = path / "ranks"
        self._lock, self._made = -1, False

    def steps(self) -> list[int]:
        """Steps that have a checkpoint."""
        return checkpoint_steps(self.checkpoints)

    def check_step(self, step: int) -> None:
        """Raise `ConfigError` unless `step` has a checkpoint."""
        if step not in self.steps():
            have = ", ".join(map(str, self.steps())) or "none"
            raise ConfigError(f"{self.checkpoints} has no checkpoint of step {step}: it has {have}")

    def has_begun(self) -> bool:
        """Whether a step or a checkpoint is here: a start that failed before that leaves nothing worth keeping."""
        return bool(self.steps()) or (self.metrics.is_file() and self.metrics.stat().st_size > 0)

    def check(self, config: PretrainConfig) -> None:
        """Raise `ConfigError` unless a new run can start here, or the run in it can go on with `config`; writes nothing."""
        if self.config.is_file() and self.has_begun():
            self._check_resume(config)
        elif self.path.is_dir() and any(not self._is_own(entry) for entry in self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty and holds no run: choose another folder with --run")

    def claim(self, config: PretrainConfig) -> None:
        """Create the folder and keep other runs out, then `check` once more: another run may have begun and ended meanwhile."""
        self._made = not self.path.is_dir()
        make_folder(self.path)
        self.lock()
        self.check(config)

    def describe(self, config: PretrainConfig, data: RunData, vocabulary: Optional[Path]) -> None:
        """Write what the run is made of; `claim` came before."""
        write_run_data(self.path, data, vocabulary)
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
        """Let other processes train in the folder; one that `claim` made and nothing was written into goes again."""
        if self._lock >= 0:
            if self._made:
                with suppress(OSError):  # it is not empty
                    self.path.rmdir()
            os.close(self._lock)
            self._lock = -1

    def _is_own(self, entry: Path) -> bool:
        """Whether a start that failed may have left this; config.json of another program is not ours."""
        names = (self.config.name, RUN_DATA, VOCABULARY, self.metrics.name, self.checkpoints.name, self.ranks.name)
        return entry.name in names or entry.name.startswith(".writing-")

    def _check_resume(self, config: PretrainConfig) -> None:
        if not config.resumes:
            raise ConfigError(
                f"{self.path} already holds a run: add --resume to continue it, or choose another folder with --run"
            )
        before, now = {**BEFORE_THERE_WAS_A_CHOICE, **self.read_config()}, resolved(config)
        # What the run did not have yet is not compared; precision comes first, because other options follow from it.
        for field in sorted(before, key=lambda name: (name != "precision", name)):
            if field not in (*RESUMABLE_CHANGES, "steps") and before[field] != now.get(field):
                raise ConfigError(
                    f"{self.path} was started with {field}={before.get(field)}, not {now.get(field)}: "
                    "resume with the same value, or start another run"
                )
        planned = before.get("steps")
        if not isinstance(planned, int) or config.steps < planned:
            raise ConfigError(
                f"{self.path} was started with steps={planned}, not {config.steps}: a run can be extended, not cut short"
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
            file.write(json_text(report) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read_evaluations(self) -> list[dict[str, Any]]:
        """The reports in evaluation.json; `ConfigError` when it holds something else."""
        if not self.evaluation.is_file():
            return []
        try:
            stored = json.loads(self.evaluation.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{self.evaluation} cannot be read as JSON: {error}") from None
        if not isinstance(stored, list) or not all(isinstance(entry, dict) and "step" in entry for entry in stored):
            raise ConfigError(f"{self.evaluation} is no list of evaluations: remove it, and evaluate again")
        return stored

    def truncate(self, step: int) -> None:
        """Drop metrics and evaluations of steps after `step`: a resumed run writes them again."""
        for path in (self.metrics, self.training_evaluations):
            if path.is_file():
                _truncate(path, step)

    def go_back_to(self, step: int) -> list[int]:
        """Move the checkpoints after `step` out of the way, so that the newest one is of that step; returns their steps."""
        later = [found for found in self.steps() if found > step]
        for found in later:
            make_folder(self.set_aside)
            target = checkpoint_path(self.set_aside, found)
            if target.exists():
                shutil.rmtree(target)
            os.rename(checkpoint_path(self.checkpoints, found), target)
        evaluations = self.read_evaluations()
        kept = [entry for entry in evaluations if entry["step"] <= step]
        if len(kept) < len(evaluations):
            write_json(self.evaluation, kept)
        return later


def resolved(config: PretrainConfig) -> dict[str, Any]:
    """The configuration as one flat dictionary of JSON values, nested fields as `model.hidden_size`, paths absolute."""
    flat: dict[str, Any] = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": _as_json(content) for inner, content in value.items()})
        else:
            flat[name] = _as_json(value)
    return flat


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
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
