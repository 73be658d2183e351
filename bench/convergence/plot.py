"""The claim as a picture: test accuracy by steps and by seconds, mean and spread over the seeds of each optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import style
from bench.convergence.contenders import CONTENDERS, HEADLINE
from bench.convergence.summary import NOISE, seconds

Times = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Curve:
    """The seeds of one optimizer at each evaluation; accuracies in per cent."""

    optimizer: str
    label: str
    steps: np.ndarray
    refreshes: np.ndarray  # up to there
    mean: np.ndarray
    deviation: np.ndarray


def plot(summary: dict[str, Any], path: Path) -> None:
    """`summary` is convergence.json. A panel by steps and, once steps are timed, one by seconds; nothing before there is a claim."""
    curves = [curve for name in CONTENDERS if (curve := curve_of(name, summary["runs"]))]
    if not curves:
        return
    times: Times = summary["step_times"]
    labels = {"steps": "steps", **({"seconds": _seconds_label(times)} if times else {})}
    with style.figure(path, len(labels), 2 + 5.5 * len(labels), 5.5) as axes:
        for axis, (panel, label) in zip(axes, labels.items()):
            for curve, colour in zip(curves, (style.ACCENT, *style.OTHERS)):
                if panel == "steps" or curve.optimizer in times:
                    places = curve.steps if panel == "steps" else _seconds(curve, times)
                    _draw(axis, curve, places, colour)
            axis.set_xlabel(label)
            axis.grid()
        axes[0].set_ylabel("masked words right in test documents, %")
        axes[0].set_title("mean over seeds, band of one standard deviation")
        style.legend(axes[0], len(curves))


def curve_of(optimizer: str, runs: Sequence[dict[str, Any]]) -> Curve | None:
    """Of stage claim; a run that broke lacks evaluations, is left out and makes the label say so."""
    found = [run["test"] for run in runs if (run["stage"], run["optimizer"]) == ("claim", optimizer)]
    evaluations = max(map(len, found), default=0)
    if evaluations == 0:
        return None
    whole = np.array([test for test in found if len(test) == evaluations], float)
    steps, accuracies, _, refreshes = np.moveaxis(whole, 2, 0)  # each [seeds, evaluations]
    deviation = 100 * accuracies.std(axis=0, ddof=1) if len(whole) > 1 else np.zeros(evaluations)
    broken = f" ({len(found) - len(whole)} more broke)" if len(whole) < len(found) else ""
    label = f"{optimizer}, {len(whole)} seed{'s' if len(whole) > 1 else ''}{broken}"
    return Curve(optimizer, label, steps[0], refreshes.mean(axis=0), 100 * accuracies.mean(axis=0), deviation)


def _seconds_label(times: Times) -> str:
    noisy = any(time["spread"] > NOISE for time in times.values())
    return "seconds, with compilation" + (f" (noisy: step times vary by more than {NOISE:.0%})" if noisy else "")


def _seconds(curve: Curve, times: Times) -> np.ndarray:
    time = times[curve.optimizer]
    return np.array([seconds(int(step), round(count), time) for step, count in zip(curve.steps, curve.refreshes)])


def _draw(axis: Any, curve: Curve, places: np.ndarray, colour: str) -> None:
    """One line and its band; THOR in front."""
    ours = curve.optimizer == HEADLINE
    look = {"color": colour, "linewidth": 2.5 if ours else 1.5, "zorder": 3 if ours else 2}
    axis.plot(places, curve.mean, marker="o", markersize=4, label=curve.label, **look)
    low, high = curve.mean - curve.deviation, curve.mean + curve.deviation
    axis.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
