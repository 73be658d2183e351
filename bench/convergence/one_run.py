"""One training run of the comparison: `python one_run.py SPEC_JSON SPLITS RESULT`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bert_thor.checkpoint import checkpoint_path, load_checkpoint, write_json
from bert_thor.config import BERT_SIZES, BertConfig
from bert_thor.data.dataset import most_frequent_label
from bert_thor.errors import TrainingError
from bert_thor.evaluation import Evaluator
from bert_thor.optimizer.presets import preset
from bert_thor.parameters import assign, weights
from bert_thor.recipes import PretrainConfig
from bert_thor.rows import open_rows
from bert_thor.training import Trainer

EVALUATIONS = {"tiny": 5, "mini": 20}
"""Points of a run at which both sets are evaluated, by stage."""
ROWS = 2000
"""First rows of the validation and of the test set that are used."""


def network(stage: str) -> BertConfig:
    """Two layers of 128 (stage tiny), four of 256 (stage mini); no dropout: no run sees a row twice."""
    size = {"tiny": ("bert-tiny", 4096, 64), "mini": ("bert-mini", 8192, 128)}[stage]
    return replace(
        BERT_SIZES[size[0]], vocab_size=size[1], max_position=size[2], hidden_dropout=0.0, attention_dropout=0.0
    )


def train(spec: dict[str, Any], splits: Path, folder: Path) -> Trainer:
    """Train, with a checkpoint at every evaluation point."""
    interval = max(1, spec["steps"] // EVALUATIONS[spec["stage"]])
    config = PretrainConfig(
        data=splits / "main",
        run=folder,
        steps=spec["steps"],
        batch_size=16,
        seed=spec["seed"],
        checkpoint_interval=interval,
        keep_checkpoints=EVALUATIONS[spec["stage"]] + 2,
        log_interval=interval,
        model=network(spec["stage"]),
        optimizer=replace(preset(spec["optimizer"]), **spec["values"]),
    )
    trainer = Trainer(config)
    with suppress(TrainingError):  # a run that breaks is a result: what it reached is evaluated
        trainer.run()
    return trainer


def evaluate(trainer: Trainer, splits: Path) -> dict[str, list[dict[str, Any]]]:
    """Accuracy and loss on validation and test rows at every checkpoint."""
    model, folder = trainer.model, trainer.folder
    unigram = most_frequent_label(open_rows(splits / "main", "train", model.config))
    sets = {
        "validation": open_rows(splits / "main", "held_out", model.config, first=ROWS),
        "test": open_rows(splits / "test", "train", model.config, first=ROWS),
    }
    evaluators = {name: Evaluator(model, rows, unigram, 50) for name, rows in sets.items()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sets}
    for step in folder.steps():
        path = checkpoint_path(folder.checkpoints, step)
        checkpoint = load_checkpoint(path)
        assign(weights(model), checkpoint.model, path)
        for name, evaluator in evaluators.items():
            found[name].append(evaluator.evaluate(step, int(checkpoint.state["samples"])))
    return found


def main() -> None:
    """Train, evaluate, write the result, remove the run."""
    spec, splits, target = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    folder = target.with_suffix(".running")
    shutil.rmtree(folder, ignore_errors=True)
    load, started, cpu = os.getloadavg()[0], time.time(), time.process_time()
    trainer = train(spec, splits, folder)
    cpu = time.process_time() - cpu
    metrics = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    steps = np.array([line["step_seconds"] for line in metrics])
    seconds = dict(zip((line["step"] for line in metrics), np.cumsum(steps)))
    evaluations = evaluate(trainer, splits)
    for entry in (entry for entries in evaluations.values() for entry in entries):
        entry["seconds"] = float(seconds[entry["step"]])
    refresh = [line["refresh_seconds"] for line in metrics if line["refreshed"]]
    result = {
        "spec": spec,
        **evaluations,
        "training_loss": float(np.mean([line["loss"] or np.nan for line in metrics[-50:]])),
        "median_step_seconds": float(np.median(steps)),
        "median_refresh_seconds": float(np.median(refresh)) if refresh else 0.0,
        "process_seconds_per_step": cpu / len(metrics),
        "load": [load, os.getloadavg()[0]],
        "cores": os.cpu_count(),
        "started": started,
        "skipped_steps": metrics[-1]["skipped_steps"],
    }
    write_json(target, result)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
