"""The paper's trace rule: three decisions by two thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bert_thor.optimizer.curvature.trace_rule import damped_trace, decide, relative_change


def test_damped_trace_is_that_of_the_kronecker_product() -> None:
    r = np.random.default_rng(0)
    a, g = r.standard_normal((3, 3)), r.standard_normal((2, 2))
    full = np.trace(np.kron(a, g) + 0.5 * np.eye(6))
    assert abs(damped_trace(float(np.trace(a)), float(np.trace(g)), 6, 0.5) - full) <= 1e-14 * 6 * abs(full)


@pytest.mark.parametrize(
    ("now", "before", "change"), [(1.1, 1.0, 0.1), (-1.1, 1.0, 0.1), (0.5, 2.0, 0.75), (1.0, 0.0, math.inf)]
)
def test_relative_change(now: float, before: float, change: float) -> None:
    assert relative_change(now, before) == pytest.approx(change, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (0.02, "recompute"),
        (0.01, "reuse"),
        (0.005, "reuse"),
        (0.001, "reuse"),
        (0.0009, "freeze"),
        (math.inf, "recompute"),
    ],
)
def test_thresholds_of_thor_stop(change: float, decision: str) -> None:
    assert decide(change, 0.01, 0.001) == decision


def test_zero_thresholds_always_recompute() -> None:
    assert decide(1e-9, 0.0, 0.0) == "recompute"
    assert decide(0.0, 0.01, 0.0) == "reuse"  # without ω₂ nothing is frozen
