"""The learning curves are means over the seeds of stage claim; a run that broke is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.convergence.contenders import HEADLINE
from bench.convergence.plot import curve_of, plot

RESULTS = Path(str(bench.__file__)).parent / "results"


def run(seed: int, *accuracies: float, stage: str = "claim") -> dict[str, Any]:
    test = [[100 * (k + 1), value, 5.0, 10 * (k + 1)] for k, value in enumerate(accuracies)]
    return {"stage": stage, "optimizer": "thor", "seed": seed, "test": test}


def test_mean_and_deviation_over_seeds() -> None:
    curve = curve_of("thor", [run(1, 0.1, 0.2), run(2, 0.2, 0.4), run(3, 0.9, 0.9, stage="tiny")])
    assert curve is not None and curve.label == "thor, 2 seeds"
    assert np.allclose(curve.mean, [15, 30]) and np.allclose(curve.deviation, np.array([10, 20]) / np.sqrt(2))
    assert curve.steps.tolist() == [100, 200] and curve.refreshes.tolist() == [10, 20]


def test_a_broken_run_is_named() -> None:
    curve = curve_of("thor", [run(1, 0.1, 0.2), run(2, 0.2)])
    assert curve is not None and curve.label == "thor, 1 seed (1 more broke)" and curve.deviation.tolist() == [0, 0]


def test_without_a_claim_there_is_no_picture(tmp_path: Path) -> None:
    assert curve_of("thor", [run(1, 0.1, stage="mini"), run(1)]) is None
    plot({"runs": [], "step_times": {}}, tmp_path / "convergence.png")
    assert not list(tmp_path.iterdir())


def test_the_end_of_the_curve_is_the_stored_end(tmp_path: Path) -> None:
    summary = json.loads((RESULTS / "convergence.json").read_text())
    curve = curve_of(HEADLINE, summary["runs"])
    assert curve is not None
    assert curve.mean[-1] == pytest.approx(100 * summary["ends"][HEADLINE]["mean"], abs=1e-3)
    assert curve.deviation[-1] == pytest.approx(100 * summary["ends"][HEADLINE]["deviation"], abs=1e-3)
    pytest.importorskip("matplotlib")
    plot(summary, tmp_path / "convergence.png")
    assert (tmp_path / "convergence.png").stat().st_size > 0
