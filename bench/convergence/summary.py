"""What the runs say: steps, samples and seconds to the target, with spread and significance; JSON and a picture.

Target: the test accuracy that the best baseline reaches at the end of its budget, mean over its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from plan import BASELINES, HEADLINE, OPTIMIZERS, STEPS, best_baseline, loss_of, mini_walk, next_specs, tiny_walk
from scipy.stats import ttest_ind

from bert_thor.checkpoint import write_json

QUIET = 0.5
"""Load above the number of cores up to which the seconds of a run count: the run itself keeps every core busy, and no more."""

Done = dict[tuple[str, str], dict[str, Any]]


def summarise(results: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write convergence.json and convergence.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {(result["spec"]["stage"], result["spec"]["key"]): result for result in results}
    stage = "mini" if any(key[0] == "mini" for key in done) else "tiny"
    summary = {
        "status": {name: _status(name, results) for name in STEPS},
        "headline": headline(done),
        "tuned": {optimizer: _tuned(optimizer, done) for optimizer in OPTIMIZERS},
        "runs": [
            _short(result) for result in sorted(results, key=lambda result: (result["spec"]["stage"], loss_of(result)))
        ],
    }
    write_json(folder / "convergence.json", summary)
    draw([result for result in results if result["spec"]["stage"] == stage], folder / "convergence.png")


def headline(done: Done) -> Optional[dict[str, Any]]:
    """THOR against the best baseline in stage mini; None until both have all their seeds."""
    baseline = best_baseline(done)
    groups = {name: _seeds(name, done) for name in (HEADLINE, *BASELINES)}
    if not baseline or any(len(groups[name]) < 2 for name in (HEADLINE, baseline)):
        return None
    target = float(np.mean([run["test"][-1]["masked_lm_accuracy"] for run in groups[baseline]]))
    reached = {name: [cost(run, target) for run in runs] for name, runs in groups.items()}
    ours, theirs = (np.array([entry["steps"] for entry in reached[name]]) for name in (HEADLINE, baseline))
    seconds = {name: np.mean([entry["seconds"] for entry in reached[name]]) for name in (HEADLINE, baseline)}
    return {
        "baseline": baseline,
        "target": target,
        "steps_ratio": float(ours.mean() / theirs.mean()),
        "seconds_ratio": float(seconds[HEADLINE] / seconds[baseline]),
        "seconds_count": all(quiet(run) for name in (HEADLINE, baseline) for run in groups[name]),
        "seeds": min(len(ours), len(theirs)),
        "p_value": float(ttest_ind(ours, theirs, equal_var=False, alternative="less").pvalue),
        "to_target": reached,
        "shorter_schedules": _shorter(done, target),
    }


def cost(run: dict[str, Any], target: float) -> dict[str, float]:
    """Steps, samples and seconds to `target`, linear between evaluations; those of the whole run where it stays below."""
    before = {"step": 0, "samples": 0, "seconds": 0.0, "masked_lm_accuracy": 0.0}
    share = 1.0
    for entry in run["test"]:
        if entry["masked_lm_accuracy"] >= target:
            share = (target - before["masked_lm_accuracy"]) / (
                entry["masked_lm_accuracy"] - before["masked_lm_accuracy"]
            )
            break
        before = entry
    else:
        entry, before = run["test"][-1], run["test"][-1]
    names = {"steps": "step", "samples": "samples", "seconds": "seconds"}
    values = {name: float(before[key] + share * (entry[key] - before[key])) for name, key in names.items()}
    return {"seed": run["spec"]["seed"], **values, "reached": bool(run["test"][-1]["masked_lm_accuracy"] >= target)}


def quiet(run: dict[str, Any]) -> bool:
    """Whether the machine had nothing else to do, so that the seconds are the optimizer's."""
    return max(run["load"]) <= run["cores"] + QUIET


def _seeds(optimizer: str, done: Done) -> list[dict[str, Any]]:
    """The runs with the chosen values and the full budget, one per seed."""
    specs = [spec for spec in mini_walk(optimizer, done) if spec.steps == STEPS["mini"]]
    runs = [done["mini", spec.key] for spec in specs if ("mini", spec.key) in done]
    if not runs:
        return []
    chosen = min((run for run in runs if run["spec"]["seed"] == 0), key=loss_of)["spec"]["values"]
    return [run for run in runs if run["spec"]["values"] == chosen]


def _shorter(done: Done, target: float) -> list[dict[str, Any]]:
    """THOR's complete runs on shorter schedules: the mean accuracy at their ends."""
    specs = [spec for spec in mini_walk(HEADLINE, done) if spec.steps < STEPS["mini"] and ("mini", spec.key) in done]
    found = []
    for steps in sorted({spec.steps for spec in specs}):
        ends = [done["mini", spec.key]["test"][-1]["masked_lm_accuracy"] for spec in specs if spec.steps == steps]
        share = steps / STEPS["mini"]
        found.append(
            {"steps": steps, "share": share, "accuracies": ends, "reaches_target": float(np.mean(ends)) >= target}
        )
    return found


def _status(stage: str, results: Sequence[dict[str, Any]]) -> str:
    count = sum(result["spec"]["stage"] == stage for result in results)
    if stage == "mini" and next_specs("tiny", results):
        return f"not started: stage tiny comes first ({count} runs)"
    return f"{'complete' if not next_specs(stage, results) else 'partial'}: {count} runs"


def _tuned(optimizer: str, done: Done) -> dict[str, Any]:
    runs = [done["tiny", spec.key] for spec in tiny_walk(optimizer, done) if ("tiny", spec.key) in done]
    best = min(runs, key=loss_of, default=None)
    if best is None:
        return {"runs": 0}
    ends = {
        f"{name}_{key}": best[name][-1][key]
        for name in ("validation", "test")
        for key in ("masked_lm_accuracy", "masked_lm_loss")
    }
    return {"runs": len(runs), "values": best["spec"]["values"], **ends}


def _short(result: dict[str, Any]) -> dict[str, Any]:
    curve = [
        (e["step"], round(e["masked_lm_accuracy"], 4), _rounded(e["masked_lm_loss"])) for e in result["validation"]
    ]
    test = result["test"][-1] if result["test"] else {}
    return {
        **{key: result["spec"][key] for key in ("stage", "optimizer", "values", "steps", "seed")},
        "validation": curve,
        "test_accuracy": test.get("masked_lm_accuracy"),
        "median_step_seconds": result["median_step_seconds"],
        "median_refresh_seconds": result["median_refresh_seconds"],
        "process_seconds_per_step": result["process_seconds_per_step"],
        "quiet": quiet(result),
    }


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def draw(results: Sequence[dict[str, Any]], output: Path) -> None:
    """Test accuracy against steps, samples and seconds: the best run of each optimizer by validation loss."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(13, 4.5), sharey=True)
    for optimizer in OPTIMIZERS:
        runs = [result for result in results if result["spec"]["optimizer"] == optimizer and result["test"]]
        if not runs:
            continue
        best = min(runs, key=loss_of)
        for panel, key in zip(panels, ("step", "samples", "seconds")):
            accuracies = [entry["masked_lm_accuracy"] for entry in best["test"]]
            panel.plot([entry[key] for entry in best["test"]], accuracies, marker=".", label=optimizer)
            panel.set_xlabel(key + ("s" if key == "step" else ""))
    panels[0].set_ylabel("test masked-LM accuracy")
    panels[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(output, dpi=120)
    pyplot.close(figure)
