"""What the runs say: steps, samples and seconds to the target, with spread and significance.

Target: the test accuracy that a baseline reaches at the end of its budget, mean over its seeds; in the headline that of the best one.
Seconds: the two steps with compilation, then the steps with and without a refresh at their medians of stage seconds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ttest_ind

from bench.convergence.contenders import BASELINES, CONTENDERS, HEADLINE
from bench.convergence.plan import (
    STEPS,
    VARIANTS,
    Done,
    best_baseline,
    by_key,
    chosen,
    groups,
    loss_of,
    next_specs,
    stage_before,
    tuned,
)
from bert_thor.checkpoint import write_json

NOISE = 0.1
"""Relative spread of a step's median between rounds from which on its seconds are not to be quoted."""


def summarise(results: Sequence[dict[str, Any]], folder: Path, texts: dict[str, str]) -> None:
    """Write convergence.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = by_key(results)
    times = step_times(done)
    runs = [result for result in results if result["spec"]["stage"] != "seconds"]
    summary = {
        "status": {name: _status(name, results) for name in STEPS},
        "texts": texts,
        "headline": headline(done, times),
        "thor_against": {name: against(name, done, times) for name in BASELINES},
        "longer": longer(done, times),
        "ends": ends(done),
        "step_times": times,
        "tuned": {optimizer: _tuned(optimizer, done) for optimizer in CONTENDERS},
        "variants": variants(done),
        "runs": [_short(run) for run in sorted(runs, key=lambda run: (run["spec"]["stage"], loss_of(run)))],
    }
    write_json(folder / "convergence.json", summary)


def step_times(done: Done) -> dict[str, dict[str, Any]]:
    """By optimizer the medians over the rounds of stage seconds and their spread; the mean step of its runs, also by AdamW's.

    Of the mean step, `second_order_share` is what preconditioning, covariances and inversions take.
    """
    times: dict[str, dict[str, Any]] = {}
    for optimizer in CONTENDERS:
        specs = [spec for group in groups("seconds", optimizer, done) for spec in group]
        rounds = [done["seconds", spec.key]["step_seconds"] for spec in specs if ("seconds", spec.key) in done]
        if not rounds:
            continue
        time = {name: float(np.median([entry[name] for entry in rounds])) for name in rounds[0]}
        plain = [entry["plain"] for entry in rounds]
        last = _seeds(optimizer, done)[0]["test"][-1]
        share = last["refreshes"] / last["step"]
        mean = (1 - share) * time["plain"] + share * time["refresh"]
        spread = (max(plain) - min(plain)) / time["plain"]
        times[optimizer] = {**time, "mean": mean, "rounds": len(rounds), "spread": spread}
        if "precondition" in time:
            curvature = time["precondition"] + share * (time["covariance"] + time["inversion"])
            times[optimizer]["second_order_share"] = curvature / mean
    for time in times.values() if "adamw" in times else ():
        time["mean_by_adamw"] = time["mean"] / times["adamw"]["mean"]
    return times


def with_seconds(run: dict[str, Any], times: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A run of stage claim or longer with the seconds up to each evaluation, once its optimizer's steps are timed."""
    time = times.get(run["spec"]["optimizer"])
    if time is None or run["spec"]["stage"] not in ("claim", "longer"):
        return run
    test = [{**entry, "seconds": seconds(entry["step"], entry["refreshes"], time)} for entry in run["test"]]
    return {**run, "test": test}


def seconds(step: int, refreshes: int, time: dict[str, Any]) -> float:
    """Of `step` steps, of which `refreshes` refreshed the inverses; the first two are those with compilation."""
    late = max(0, refreshes - 1)  # the first step refreshes
    return float(time["first_two"] + (step - 2 - late) * time["plain"] + late * time["refresh"])


def headline(done: Done, times: dict[str, dict[str, Any]]) -> Optional[dict[str, Any]]:
    """THOR against the best baseline in stage claim, and what the others need for the same target."""
    baseline = best_baseline(done)
    pair = against(baseline, done, times) if baseline else None
    if pair is None:
        return None
    runs = {name: [with_seconds(run, times) for run in _seeds(name, done)] for name in (HEADLINE, *BASELINES)}
    reached = {name: [cost(run, pair["target"]) for run in found] for name, found in runs.items() if found}
    spread = {name: _spread(entries) for name, entries in reached.items()}
    return {"baseline": baseline, **pair, "to_target": reached, "spread": spread}


def against(baseline: str, done: Done, times: dict[str, dict[str, Any]]) -> Optional[dict[str, Any]]:
    """What THOR needs for the accuracy at a baseline's end; None until both have two seeds. Seconds are None until they are measured.

    Where a run of THOR does not get there, the ratios are lower bounds: it paid for all of its steps and would need more.
    """
    found = {name: [with_seconds(run, times) for run in _seeds(name, done)] for name in (HEADLINE, baseline)}
    if any(len(runs) < 2 for runs in found.values()):
        return None
    target = float(np.mean([_end(run) for run in found[baseline]]))
    reached = {name: [cost(run, target) for run in runs] for name, runs in found.items()}
    ours, theirs = (np.array([entry["steps"] for entry in reached[name]]) for name in (HEADLINE, baseline))
    timed = HEADLINE in times and baseline in times
    return {
        "target": target,
        "reached_by_thor": sum(entry["reached"] for entry in reached[HEADLINE]),
        "ratios_are_lower_bounds": not all(entry["reached"] for entry in reached[HEADLINE]),
        "steps_ratio": float(ours.mean() / theirs.mean()),
        "seconds_ratio": _ratio(reached, "seconds", baseline) if timed else None,
        "seconds_are_noisy": _noisy(baseline, times),
        "seeds": min(len(ours), len(theirs)),
        "p_value": welch(ours, theirs, "less"),
    }


def longer(done: Done, times: dict[str, dict[str, Any]]) -> Optional[dict[str, Any]]:
    """THOR with more steps beside the best baseline at its end; None until both have two seeds.

    `seconds_ratio` is that of the whole runs, None until steps are timed. The p-value is Welch's, two-sided, of the accuracies.
    """
    baseline = best_baseline(done)
    theirs = [with_seconds(run, times) for run in _seeds(baseline, done)] if baseline else []
    ours = [with_seconds(run, times) for run in _seeds(HEADLINE, done, "longer")]
    if min(len(ours), len(theirs)) < 2:
        return None
    accuracies = [[_end(run) for run in runs] for runs in (ours, theirs)]
    spent = [
        [entry["seconds"] for run in runs for entry in run["test"] if "seconds" in entry] for runs in (ours, theirs)
    ]
    return {
        "baseline": baseline,
        "steps_ratio": STEPS["longer"] / STEPS["claim"],
        "seconds_ratio": max(spent[0]) / max(spent[1]) if all(spent) else None,
        "seconds_are_noisy": _noisy(baseline, times),
        "thor_end": _mean(accuracies[0]),
        "baseline_end": _mean(accuracies[1]),
        "reached_by_thor": int(sum(value >= np.mean(accuracies[1]) for value in accuracies[0])),
        "p_value": welch(accuracies[0], accuracies[1], "two-sided"),
    }


def welch(ours: ArrayLike, theirs: ArrayLike, alternative: str) -> float:
    """The p-value of Welch's test; SciPy's warning about equal values is expected where all seeds pay for their whole budget."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_ind(ours, theirs, equal_var=False, alternative=alternative).pvalue)


def _noisy(baseline: str, times: dict[str, dict[str, Any]]) -> Optional[bool]:
    """Whether THOR's or the baseline's seconds are not to be quoted; None before they are measured."""
    if HEADLINE not in times or baseline not in times:
        return None
    return any(times[name]["spread"] > NOISE for name in (HEADLINE, baseline))


def _end(run: dict[str, Any]) -> float:
    """The last test accuracy; 0 for a run that broke before its first checkpoint."""
    return float(run["test"][-1]["masked_lm_accuracy"]) if run["test"] else 0.0


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1)), "seeds": len(values)}


def ends(done: Done) -> dict[str, dict[str, Any]]:
    """Test accuracy at the end of stage claim by optimizer: mean and standard deviation over the seeds."""
    found = {name: [_end(run) for run in _seeds(name, done)] for name in (HEADLINE, *BASELINES)}
    return {name: _mean(values) for name, values in found.items() if len(values) > 1}


def _ratio(reached: dict[str, list[dict[str, Any]]], key: str, baseline: str) -> float:
    ours, theirs = (np.mean([entry[key] for entry in reached[name]]) for name in (HEADLINE, baseline))
    return float(ours / theirs)


def _spread(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds; no deviation where there is one."""
    names = [name for name in ("steps", "samples", "seconds") if all(entry[name] is not None for entry in entries)]
    values = {name: np.array([entry[name] for entry in entries]) for name in names}
    spread = {name: [float(v.mean()), float(v.std(ddof=1)) if len(v) > 1 else None] for name, v in values.items()}
    return {**spread, "reached": sum(entry["reached"] for entry in entries), "seeds": len(entries)}


def cost(run: dict[str, Any], target: float) -> dict[str, Any]:
    """Steps, samples and seconds to `target`, linear between evaluations; a run that stays below pays for all of its steps."""
    names = {"steps": "step", "samples": "samples", "seconds": "seconds"}
    if not run["test"]:  # it broke before its first checkpoint
        return {
            "seed": run["spec"]["seed"],
            "steps": run["spec"]["steps"],
            "samples": None,
            "seconds": None,
            "reached": False,
        }
    before: dict[str, Any] = {"masked_lm_accuracy": 0.0}
    for entry in run["test"]:
        low, high = before["masked_lm_accuracy"], entry["masked_lm_accuracy"]
        if high >= target:
            share = (target - low) / (high - low)
            break
        before = entry
    else:
        entry = before
        before, share = {}, run["spec"]["steps"] / entry["step"]
    costs = {
        name: before.get(key, 0) + share * (entry[key] - before.get(key, 0)) if key in entry else None
        for name, key in names.items()
    }
    return {"seed": run["spec"]["seed"], **costs, "reached": entry["masked_lm_accuracy"] >= target}


def _seeds(optimizer: str, done: Done, stage: str = "claim") -> list[dict[str, Any]]:
    """The runs with the chosen values and the full budget of the stage, one per seed."""
    values = chosen(optimizer, done)
    return [
        run
        for (made_in, _), run in done.items()
        if made_in == stage
        and run["spec"]["optimizer"] == optimizer
        and run["spec"]["values"] == values
        and run["spec"]["steps"] == STEPS[stage]
    ]


def variants(done: Done) -> list[dict[str, Any]]:
    """THOR with one value changed, the unchanged one first: means over the seeds."""
    base = tuned(HEADLINE, done)
    specs = [spec for group in groups("variants", HEADLINE, done) for spec in group]
    found = []
    for changed in VARIANTS:
        runs = [done.get(("variants", spec.key)) for spec in specs if spec.values == {**base, **changed}]
        ends = [run for run in runs if run and run["test"]]
        if ends:
            losses = [loss_of(run) for run in ends]
            accuracies = [run["test"][-1]["masked_lm_accuracy"] for run in ends]
            entry = {"validation_loss": _rounded(float(np.mean(losses))), "test_accuracy": float(np.mean(accuracies))}
            found.append({"changed": changed, "seeds": len(ends), **entry})
    return found


def _status(stage: str, results: Sequence[dict[str, Any]]) -> str:
    count = sum(result["spec"]["stage"] == stage for result in results)
    if before := stage_before(stage, results):
        return f"not started: stage {before} comes first ({count} runs)"
    return f"{'complete' if not next_specs(stage, results) else 'partial'}: {count} runs"


def _tuned(optimizer: str, done: Done) -> dict[str, Any]:
    runs = [
        done["tiny", spec.key]
        for group in groups("tiny", optimizer, done)
        for spec in group
        if ("tiny", spec.key) in done
    ]
    best = min(runs, key=loss_of, default=None)
    if best is None:
        return {"runs": 0}
    ends = {
        f"{name}_{key}": _rounded(best[name][-1][key])
        for name in ("validation", "test")
        for key in ("masked_lm_accuracy", "masked_lm_loss")
    }
    return {"runs": len(runs), "values": best["spec"]["values"], **ends}


def _short(run: dict[str, Any]) -> dict[str, Any]:
    names = ("step", "masked_lm_accuracy", "masked_lm_loss", "refreshes")
    last = run["validation"][-1] if run["validation"] else {}
    return {
        **{key: run["spec"][key] for key in ("stage", "optimizer", "values", "steps", "seed")},
        "validation_loss": _rounded(last.get("masked_lm_loss")),
        "validation_accuracy": _rounded(last.get("masked_lm_accuracy")),
        "test": [[_rounded(entry.get(name)) for name in names] for entry in run["test"]],
    }


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None or not math.isfinite(value) else round(value, 6)
