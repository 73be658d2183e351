"""The original's two programs: `run_pretrain.py` and `pretrain_eval.py`. What they do is the project's training and evaluation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bert_thor.cli import end_process, run_command
from bert_thor.compat import use_graph_mode
from bert_thor.convert.start import read_start
from bert_thor.data.batches.rows import most_frequent_label
from bert_thor.errors import ConfigError
from bert_thor.network.model import BertForPreTraining
from bert_thor.network.precision import choose_precision
from bert_thor.original.options import EpochNames, OriginalOptions, parse_options, pretrain_config, steps_of
from bert_thor.parallel.world import launched_ranks
from bert_thor.recipes import PretrainConfig
from bert_thor.training.dry_run import dry_run
from bert_thor.training.evaluation import Evaluator, accuracy_line, mlperf_rows
from bert_thor.training.mindspore_checkpoint import export_ckpt, import_ckpt
from bert_thor.training.parameters import assign, weights
from bert_thor.training.rows import open_rows
from bert_thor.training.trainer import Trainer

EVALUATION_BATCH = 12
"""The original's batch; the accuracy does not depend on it, because no row is dropped."""


class OriginalTrainer(Trainer):
    """The trainer with the original's epochs, log lines and checkpoint names."""

    def __init__(self, options: OriginalOptions, config: PretrainConfig) -> None:
        super().__init__(config, read_start)
        sink = (
            options.data_sink_steps
            if options.enable_data_sink == "true"
            else max(1, len(self.rows) // config.batch_size)
        )
        self.names, self.saves = EpochNames(sink), options.enable_save_ckpt == "true"
        self.exports = Path(options.save_checkpoint_path or ".")

    def logs_at(self, step: int) -> bool:
        """The original's lines: every hundredth step and the one after it."""
        return step % self.config.log_interval in (0, 1) or step == self.config.steps

    def epoch(self) -> int:
        """The original's epoch of the last step."""
        return self.names.epoch(self.progress.step)

    def save(self) -> None:
        """The run's own checkpoint, from which it resumes, and the weights as the original names them."""
        if not (self.saves and self.world.writes):
            return
        super().save()
        step, config = self.progress.step, self.config
        path = self.exports / self.names.checkpoint(step)
        export_ckpt(path, weights(self.model), config.model, step, self.progress.samples)
        exported = sorted(self.exports.glob("checkpoint_bert-*_*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
        for old in exported[: -config.keep_checkpoints]:
            old.unlink()


def run_pretrain(arguments: Sequence[str]) -> None:
    """`run_pretrain.py`."""
    options = parse_options(arguments)
    os.environ.setdefault("DEVICE_ID", str(options.device_id))  # where MindSpore looks for the Ascend device
    config = run_config(options)
    if config.dry_run:
        print(dry_run(config, read_start))
    else:
        OriginalTrainer(options, config).run()


def run_config(options: OriginalOptions) -> PretrainConfig:
    """The run that the options describe, with its number of steps."""
    launched = launched_ranks()
    options.check(launched)
    config = pretrain_config(options, launched)
    rows = len(open_rows(config.data, "train", config.model, config.schema))
    return replace(config, steps=steps_of(options, rows, config.batch_size))


def pretrain_eval(arguments: Sequence[str]) -> None:
    """`pretrain_eval.py`: the accuracy of one checkpoint, or of all in a folder, on the first 10,000 rows of the data."""
    parser = argparse.ArgumentParser(prog="pretrain_eval.py", description=pretrain_eval.__doc__, allow_abbrev=False)
    parser.add_argument(
        "--DATA_FILE", default=os.environ.get("DATA_FILE", ""), help="TFRecord file, or folder of such files"
    )
    parser.add_argument(
        "--FINETUNE_CKPT",
        default=os.environ.get("FINETUNE_CKPT", ""),
        help="checkpoint_bert-*.ckpt, or a folder of them",
    )
    options = parser.parse_args(list(arguments))
    for name in ("DATA_FILE", "FINETUNE_CKPT"):
        if not getattr(options, name):
            raise ConfigError(f"{name} is empty: give it as --{name} or as an environment variable")
    device_target = os.environ.get("DEVICE_TARGET", OriginalOptions.device_target)
    lines = evaluate_exports(Path(options.DATA_FILE), ckpt_files(Path(options.FINETUNE_CKPT)), device_target)
    log = Path("eval", "infer.log")
    log.parent.mkdir(exist_ok=True)
    log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def ckpt_files(path: Path) -> list[Path]:
    """The file itself, or the exported checkpoints of a folder."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("checkpoint_bert-*_*.ckpt"))
    if not files:
        raise ConfigError(f"{path} holds no checkpoint_bert-*.ckpt: train first, or give another FINETUNE_CKPT")
    return files


def evaluate_exports(data: Path, files: Sequence[Path], device_target: str) -> list[str]:
    """Evaluate the files in the order of their steps; returns the lines that were printed."""
    exports = sorted((import_ckpt(file) for file in files), key=lambda export: export.step)
    first = exports[0]
    rows = mlperf_rows(data, first.model).rows
    unigram_token = most_frequent_label(open_rows(data, "train", first.model))
    use_graph_mode(device_target)
    precision = choose_precision(None, device_target).precision
    evaluator = Evaluator(BertForPreTraining(first.model, precision=precision), rows, unigram_token, EVALUATION_BATCH)
    lines = []
    for export in exports:
        assign(weights(evaluator.model), export.weights, f"the checkpoint of step {export.step}")
        lines.append(accuracy_line(evaluator.evaluate(export.step, export.samples)))
        print(lines[-1], flush=True)
    return lines


def main_pretrain() -> NoReturn:
    """Entry point of `run_pretrain.py`."""
    end_process(run_command(run_pretrain, sys.argv[1:]))


def main_eval() -> NoReturn:
    """Entry point of `pretrain_eval.py`."""
    end_process(run_command(pretrain_eval, sys.argv[1:]))
