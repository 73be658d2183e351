"""`bert-thor report`: loss and accuracy of runs against steps, samples and seconds, as a table and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
import tyro

from bert_thor.errors import ConfigError
from bert_thor.files import write_json
from bert_thor.training.run_folder import RunFolder

TRAINING_LOSS, MASKED_LM_ACCURACY = "training loss", "masked-LM accuracy"
"""The curves, by the names that they have in TensorBoard too."""
AXES = ("steps", "samples", "seconds")
SMOOTHING = 50
"""Steps over which the training loss is averaged: one batch's loss says little."""


@dataclass(frozen=True)
class ReportConfig:
    """Comparison of runs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the runs to compare."""
    output: Path = Path("report.png")
    """Picture to write; the numbers behind it go beside it as .json."""
    target: Optional[float] = None
    """Masked-LM accuracy whose cost is reported; by default the lowest final accuracy, which every run reaches."""


class Curve(NamedTuple):
    """Values over the three axes, one row [steps, samples, seconds] per value."""

    places: np.ndarray
    values: np.ndarray

    def first_at_least(self, target: float) -> Optional[np.ndarray]:
        """Where the values first reach `target`, interpolated linearly between two of them; None when they never do.

        Where the first value is there already, its place: an upper bound.
        """
        reached = np.flatnonzero(self.values >= target)
        if not len(reached):
            return None
        after = int(reached[0])
        if after == 0:
            return self.places[0]
        share = (target - self.values[after - 1]) / (self.values[after] - self.values[after - 1])
        return self.places[after - 1] + share * (self.places[after] - self.places[after - 1])


@dataclass(frozen=True)
class RunCurves:
    """What one run measured."""

    name: str
    optimizer: str
    loss: Curve
    """Training loss of every step."""
    accuracy: Curve
    """Masked-LM accuracy where it was evaluated."""
    rows: str
    """What the rows of the evaluations are to the run, such as held-out."""

    def smooth_loss(self) -> np.ndarray:
        """Mean loss of the last `SMOOTHING` steps up to each."""
        sums = np.cumsum(np.concatenate([[0.0], self.loss.values]))
        starts = np.maximum(0, np.arange(len(self.loss.values)) + 1 - SMOOTHING)
        ends = np.arange(1, len(self.loss.values) + 1)
        return (sums[ends] - sums[starts]) / (ends - starts)


def read_run(path: Path) -> RunCurves:
    """Read metrics and evaluations of the run in `path`; seconds are those of the steps, compilation included."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise ConfigError(f"{path} holds no run: give the folder that was passed as --run")
    config = folder.read_config()
    metrics = list(_json_lines(folder.metrics))
    if not metrics:
        raise ConfigError(f"{folder.metrics} has no steps yet: report a run that has trained")
    seconds = np.cumsum([line["step_seconds"] for line in metrics])
    places = np.array([(line["step"], line["samples"], second) for line, second in zip(metrics, seconds)])
    evaluations = _evaluations(folder)
    at = {int(step): place for step, place in zip(places[:, 0], places)}
    known = [entry for entry in evaluations if entry["step"] in at and entry["masked_lm_accuracy"] is not None]
    if not known:
        raise ConfigError(f"{path} has no evaluation: run `bert-thor evaluate --run {path}` first")
    loss = np.array([np.nan if line["loss"] is None else line["loss"] for line in metrics])
    accuracy = np.array([entry["masked_lm_accuracy"] for entry in known])
    curve = Curve(np.array([at[entry["step"]] for entry in known]), accuracy)
    rows = str(known[-1].get("rows", "held-out"))
    return RunCurves(path.absolute().name, str(config.get("optimizer.name", "?")), Curve(places, loss), curve, rows)


def _evaluations(folder: RunFolder) -> list[dict[str, Any]]:
    """Evaluations by step, those made while training and those of `bert-thor evaluate`, on the rows of the last one of all."""
    entries = [*_json_lines(folder.training_evaluations), *folder.read_evaluations()]
    last = [_rows_of(entry) for entry in entries][-1:]
    found = {entry["step"]: entry for entry in entries if _rows_of(entry) in last}
    return [found[step] for step in sorted(found)]


def _rows_of(entry: dict[str, Any]) -> tuple[Any, ...]:
    """What tells the rows of one evaluation from those of another."""
    return tuple(entry.get(name) for name in ("rows", "row_count", "data_sha256"))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return  # the last line of a run that was killed while it wrote


def table(runs: Sequence[RunCurves], target: float) -> str:
    """The comparison as text: where each run ended, and what `target` cost it."""
    rows = [
        (
            "run",
            "optimizer",
            "steps",
            "samples",
            "seconds",
            "loss",
            "accuracy",
            *(f"{axis} to {target:.4f}" for axis in AXES),
        )
    ]
    for run in runs:
        reached = run.accuracy.first_at_least(target)
        bound = "<=" if run.accuracy.values[0] >= target else ""
        cost = ("-",) * 3 if reached is None else tuple(f"{bound}{value:.0f}" for value in reached)
        end = tuple(f"{value:.0f}" for value in run.loss.places[-1])
        rows.append(
            (run.name, run.optimizer, *end, f"{run.smooth_loss()[-1]:.4f}", f"{run.accuracy.values[-1]:.4f}", *cost)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)


def report(config: ReportConfig) -> str:
    """Write the picture and the numbers; returns the table."""
    if not config.runs:
        raise ConfigError("no run is named: give the folders of one or more runs")
    runs = [read_run(path) for path in config.runs]
    target = min(run.accuracy.values[-1] for run in runs) if config.target is None else config.target
    draw = _picture()
    draw(runs, target, config.output)
    write_json(config.output.with_suffix(".json"), [_numbers(run, target) for run in runs])
    return table(runs, target)


def _numbers(run: RunCurves, target: float) -> dict[str, Any]:
    reached = run.accuracy.first_at_least(target)
    return {
        "run": run.name,
        "optimizer": run.optimizer,
        "rows": run.rows,
        "target": target,
        "to_target": None if reached is None else dict(zip(AXES, reached.tolist())),
        "to_target_is_upper_bound": bool(run.accuracy.values[0] >= target),
        "accuracy": [
            {**dict(zip(AXES, place)), "value": value}
            for place, value in zip(run.accuracy.places.tolist(), run.accuracy.values.tolist())
        ],
    }


def _picture() -> Callable[[Sequence[RunCurves], float, Path], None]:
    """The function that draws; raises `ConfigError` with one sentence where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("the picture needs matplotlib: install it with `pip install 'bert-thor[plot]'`") from None
    matplotlib.use("Agg")
    return _draw


def _draw(runs: Sequence[RunCurves], target: float, output: Path) -> None:
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(13, 7), sharex="col", sharey="row", squeeze=False)
    for column, axis in enumerate(AXES):
        for run in runs:
            label = f"{run.name} ({run.optimizer})"
            panels[0][column].plot(run.loss.places[:, column], run.smooth_loss(), label=label)
            panels[1][column].plot(run.accuracy.places[:, column], run.accuracy.values, marker=".", label=label)
        panels[1][column].axhline(target, color="grey", linewidth=0.8, linestyle="--")
        panels[1][column].set_xlabel(axis)
    panels[0][0].set_ylabel(f"{TRAINING_LOSS} (mean of {SMOOTHING} steps)")
    panels[1][0].set_ylabel(f"{MASKED_LM_ACCURACY} ({', '.join(sorted({run.rows for run in runs}))} rows)")
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(output, dpi=120)
    pyplot.close(figure)
