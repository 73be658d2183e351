"""The original's options, names, string booleans and defaults, turned into a run.

    option                   default    meaning
    device_target            Ascend     Ascend or CPU; the environment variable DEVICE_TARGET changes the default
    distribute               false      whether several processes train together
    epoch_size               1          passes over the data
    enable_save_ckpt         true       whether to write checkpoints
    enable_lossscale         false      true: a dynamic loss scale; false: the constant 1
    do_shuffle               true       whether every pass has an order of its own
    enable_data_sink         true       true: batches are read ahead, an epoch of log lines and checkpoint names has data_sink_steps steps;
                                        false: each batch is read when its step begins, an epoch is a pass over the data
    data_sink_steps          100        steps of such an epoch
    save_checkpoint_path     ""         folder of the checkpoints; empty: the current one
    load_checkpoint_path     ""         start from these weights: a .ckpt file, or a run of this project
    save_checkpoint_steps    1000       steps between checkpoints
    train_steps              -1         at most so many steps; -1: all of epoch_size
    save_checkpoint_num      1          checkpoints to keep
    device_id                4          the Ascend device
    device_num               1          processes that train together
    data_dir, schema_dir     ""         the TFRecord files; the schema, a file or the folder of schema.json (empty: beside the data)

Everything else comes from the recipe bert-large. The environment variable BERT_THOR_OPTIONS takes options of `bert-thor pretrain`, for
example `--recipe demo --optimizer thor-2020 --resume`.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from bert_thor.command_line.pretrain import parse_pretrain
from bert_thor.errors import ConfigError
from bert_thor.optimizer.loss_scale import DYNAMIC
from bert_thor.recipes import PretrainConfig

LOG_INTERVAL = 100
"""The original prints a line for every hundredth step and for the step after it, which refreshes the curvature."""
BOOLEANS = ("distribute", "enable_save_ckpt", "enable_lossscale", "do_shuffle", "enable_data_sink")


@dataclass(frozen=True)
class OriginalOptions:
    """The original's options; see the table above."""

    device_target: str = "Ascend"
    distribute: str = "false"
    epoch_size: int = 1
    enable_save_ckpt: str = "true"
    enable_lossscale: str = "false"
    do_shuffle: str = "true"
    enable_data_sink: str = "true"
    data_sink_steps: int = 100
    save_checkpoint_path: str = ""
    load_checkpoint_path: str = ""
    save_checkpoint_steps: int = 1000
    train_steps: int = -1
    save_checkpoint_num: int = 1
    device_id: int = 4
    device_num: int = 1
    data_dir: str = ""
    schema_dir: str = ""

    def check(self, launched: int) -> None:
        """Raise `ConfigError` with one sentence for a value that is not possible; `launched` processes were started."""
        for name in BOOLEANS:
            if getattr(self, name) not in ("true", "false"):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: write true or false")
        for name in ("epoch_size", "data_sink_steps", "save_checkpoint_steps", "save_checkpoint_num", "device_num"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if self.train_steps < 1 and self.train_steps != -1:
            raise ConfigError(
                f"train_steps is {self.train_steps}: it must be 1 or more, or -1 for all steps of epoch_size"
            )
        if self.device_id < 0:
            raise ConfigError(f"device_id is {self.device_id}: it must be 0 or more")
        if not self.data_dir:
            raise ConfigError("data_dir is empty: give the folder of the TFRecord files")
        self._check_processes(launched)

    def _check_processes(self, launched: int) -> None:
        wanted = self.device_num if self.distribute == "true" else 1
        if wanted != launched:
            raise ConfigError(
                f"distribute is {self.distribute!r} with device_num {self.device_num}, but {launched} "
                f"process{'es were' if launched > 1 else ' was'} started: start it with scripts/run_distribute_pretrain.sh or msrun"
            )


def parse_options(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> OriginalOptions:
    """The options of `run_pretrain.py`."""
    parser = argparse.ArgumentParser(
        prog="run_pretrain.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    defaults = OriginalOptions(device_target=environment.get("DEVICE_TARGET", OriginalOptions.device_target))
    for name, value in vars(defaults).items():
        parser.add_argument(
            f"--{name}", type=type(value), default=value, metavar=type(value).__name__.upper(), help=argparse.SUPPRESS
        )
    return OriginalOptions(**vars(parser.parse_args(list(arguments))))


def pretrain_config(
    options: OriginalOptions, launched: int, environment: Mapping[str, str] = os.environ
) -> PretrainConfig:
    """The run that the options describe, with BERT_THOR_OPTIONS on top; its `steps` still are those of `train_steps` alone."""
    extra = shlex.split(environment.get("BERT_THOR_OPTIONS", ""))
    home = Path(options.save_checkpoint_path or ".")
    changes: dict[str, Any] = {
        "data": Path(options.data_dir),
        "schema": _schema_file(options.schema_dir),
        "run": home / "run",
        "start": Path(options.load_checkpoint_path) if options.load_checkpoint_path else None,
        "device_target": options.device_target,
        "shuffle": options.do_shuffle == "true",
        "checkpoint_interval": options.save_checkpoint_steps,
        "keep_checkpoints": options.save_checkpoint_num,
        "log_interval": LOG_INTERVAL,
        "log": "original",
    }
    if options.enable_data_sink == "false":
        changes["prefetch"] = 0
    if options.train_steps > 0:
        changes["steps"] = options.train_steps
    loss_scale = DYNAMIC if options.enable_lossscale == "true" else 1.0

    def change(recipe: PretrainConfig) -> PretrainConfig:
        optimizer = replace(recipe.optimizer, loss_scale=loss_scale)
        return replace(recipe, batch_size=recipe.batch_size * launched, optimizer=optimizer, **changes)

    return parse_pretrain(extra, "bert-large", change)


def steps_of(options: OriginalOptions, rows: int, batch_size: int) -> int:
    """Steps of `epoch_size` passes over `rows` rows, but at most `train_steps`."""
    steps = options.epoch_size * rows // batch_size
    if steps < 1:
        raise ConfigError(
            f"the data has {rows} rows, fewer than one step of {batch_size}: give more data or a larger epoch_size"
        )
    return min(steps, options.train_steps) if options.train_steps > 0 else steps


@dataclass(frozen=True)
class EpochNames:
    """The original's epochs: its log lines and checkpoint names count them."""

    steps: int
    """Steps of one epoch."""

    def epoch(self, step: int) -> int:
        """The epoch, from 1, of step `step` (from 1)."""
        return 1 + (step - 1) // self.steps

    def checkpoint(self, step: int) -> str:
        """The name of the checkpoint after `step`, such as checkpoint_bert-3_1000.ckpt for step 3000 with epochs of 1000 steps."""
        return f"checkpoint_bert-{self.epoch(step)}_{1 + (step - 1) % self.steps}.ckpt"


def _schema_file(text: str) -> Optional[Path]:
    if not text:
        return None
    path = Path(text)
    return path / "schema.json" if path.is_dir() else path
