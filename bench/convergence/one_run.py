"""One training run of the comparison: `python -m bench.convergence.one_run SPEC_JSON SPLITS RESULT`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.convergence.contenders import defaults
from bench.convergence.curvature_cost import curvature_seconds
from bench.convergence.plan import BATCH, SMALL
from bert_thor.checkpoint import checkpoint_path, load_checkpoint, write_json
from bert_thor.config import BERT_SIZES, BertConfig
from bert_thor.data.dataset import most_frequent_label
from bert_thor.errors import TrainingError
from bert_thor.evaluation import Evaluator
from bert_thor.parameters import assign, weights
from bert_thor.recipes import PretrainConfig
from bert_thor.rows import open_rows
from bert_thor.training import Trainer

EVALUATIONS = {"tiny": 5, "mini": 4, "claim": 8, "longer": 8, "seconds": 0, "variants": 5}
"""Points of a run at which the test set is evaluated, by stage; at the last one the validation set too."""
ROWS = {"tiny": 2000, "mini": 1000, "claim": 1000, "longer": 1000, "variants": 2000}
"""First rows of the validation and of the test set that are used."""


def network(stage: str) -> BertConfig:
    """Two layers of 128 (the small stages), four of 256; no dropout: no run sees a row twice."""
    size = ("bert-tiny", 4096, 64) if stage in SMALL else ("bert-mini", 8192, 128)
    return replace(
        BERT_SIZES[size[0]], vocab_size=size[1], max_position=size[2], hidden_dropout=0.0, attention_dropout=0.0
    )


def train(spec: dict[str, Any], splits: Path, folder: Path) -> Trainer:
    """Train, with a checkpoint at every evaluation point."""
    interval = spec["steps"] // max(1, EVALUATIONS[spec["stage"]])
    config = PretrainConfig(
        data=splits / "main",
        run=folder,
        steps=spec["steps"],
        batch_size=BATCH,
        seed=spec["seed"],
        checkpoint_interval=interval,
        keep_checkpoints=EVALUATIONS[spec["stage"]] + 2,
        log_interval=interval,
        model=network(spec["stage"]),
        optimizer=replace(defaults(spec["optimizer"]), **spec["values"]),
    )
    trainer = Trainer(config)
    with suppress(TrainingError):  # a run that breaks is a result: what it reached is evaluated
        trainer.run()
    return trainer


def evaluate(trainer: Trainer, splits: Path, rows: int) -> dict[str, list[dict[str, Any]]]:
    """Accuracy and loss on test rows at every checkpoint, on validation rows at the last."""
    model, folder = trainer.model, trainer.folder
    unigram = most_frequent_label(open_rows(splits / "main", "train", model.config))
    sets = {
        "validation": open_rows(splits / "main", "held_out", model.config, first=rows),
        "test": open_rows(splits / "test", "train", model.config, first=rows),
    }
    evaluators = {name: Evaluator(model, found, unigram, 50) for name, found in sets.items()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sets}
    steps = folder.steps()
    for step in steps:
        path = checkpoint_path(folder.checkpoints, step)
        checkpoint = load_checkpoint(path)
        assign(weights(model), checkpoint.model, path)
        for name in sets if step == steps[-1] else ["test"]:
            found[name].append(evaluators[name].evaluate(step, int(checkpoint.state["samples"])))
    return found


def step_seconds(metrics: list[dict[str, Any]]) -> dict[str, float]:
    """The first two steps, in which the graphs are compiled, and the medians of the later ones without and with a refresh."""
    late: dict[bool, list[float]] = {False: [], True: []}
    for line in metrics[2:]:
        late[bool(line["refreshed"])].append(line["step_seconds"])
    plain, refresh = (float(np.median(values)) if values else 0.0 for values in (late[False], late[True]))
    return {"first_two": sum(line["step_seconds"] for line in metrics[:2]), "plain": plain, "refresh": refresh}


def main() -> None:
    """Train, evaluate, write the result, remove the run."""
    spec, splits, target = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    folder = target.with_suffix(".running")
    shutil.rmtree(folder, ignore_errors=True)
    trainer = train(spec, splits, folder)
    metrics = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    evaluations = evaluate(trainer, splits, ROWS[spec["stage"]]) if EVALUATIONS[spec["stage"]] else {}
    for entry in (entry for entries in evaluations.values() for entry in entries):
        entry["refreshes"] = sum(bool(line["refreshed"]) for line in metrics if line["step"] <= entry["step"])
    curvature = curvature_seconds(trainer) if spec["stage"] == "seconds" else {}
    result = {
        "spec": spec,
        **evaluations,
        "training_loss": float(np.mean([line["loss"] or np.nan for line in metrics[-50:]])),
        "step_seconds": {**step_seconds(metrics), **curvature},
        "skipped_steps": metrics[-1]["skipped_steps"],
        "finished": time.time(),
    }
    write_json(target, result)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
