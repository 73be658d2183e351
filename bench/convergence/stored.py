"""Runs that are stored in bench/results/convergence.json, as files of a work folder: another machine goes on where one stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.convergence.plan import BATCH, Spec
from bench.convergence.splits import SIZES, checksums, prepare_splits
from bert_thor.checkpoint import write_json


def restore(stored: Path, work: Path, source: Sequence[str]) -> int:
    """Write every stored run that `work` lacks as a result file; returns how many. Other texts than those of the stored runs end it."""
    summary = json.loads(stored.read_text(encoding="utf-8"))
    for size in SIZES:
        prepare_splits(work, size, source)
    ours, theirs = checksums(work), summary.get("texts", {})
    different = [size for size in SIZES if ours[size] != theirs.get(size, ours[size])]
    if different:
        raise SystemExit(
            f"error: the runs in {stored.name} were made with other texts ({', '.join(different)}): leave out --continue, "
            "or install the versions of Python and packages that they were made with"
        )
    count = 0
    for run in summary["runs"]:
        spec = Spec(run["stage"], run["optimizer"], run["values"], run["steps"], run["seed"])
        target = work / f"runs-{spec.stage}" / f"{spec.key}.json"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_json(target, result(spec, run))
            count += 1
    return count


def result(spec: Spec, run: dict[str, Any]) -> dict[str, Any]:
    """What `one_run.py` wrote, as far as it is stored: to six decimals, without step times."""
    names = ("step", "masked_lm_accuracy", "masked_lm_loss", "refreshes")
    test = [{**dict(zip(names, point)), "samples": BATCH * point[0]} for point in run["test"]]
    last = {"masked_lm_loss": run["validation_loss"], "masked_lm_accuracy": run["validation_accuracy"]}
    validation = [{**test[-1], **last}] if test and last["masked_lm_loss"] is not None else []
    return {"spec": spec.to_json(), "validation": validation, "test": test}
