"""What factors are multiplied by and damped with, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_training import TinyTraining

from bert_thor.optimizer import preset
from bert_thor.optimizer.curvature.graphs import scales

TRACES, SIZES = np.array([[8.0, 3.0], [0.5, 32.0]]), np.array([[4, 6], [2, 8]])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("relative", [[0.5, 0.09, 2.0, 0.09], [4.0, 0.09, 0.25, 0.09]]),
        ("absolute", [[1.0, 0.3, 1.0, 0.3], [1.0, 0.3, 1.0, 0.3]]),
        ("pi", [[1.0, 0.6, 1.0, 0.15], [1.0, 0.075, 1.0, 1.2]]),
    ],
)
def test_the_rules(rule: str, expected: list[list[float]]) -> None:
    found = scales(rule, TRACES, SIZES, 0.09)
    assert found.dtype == np.float32
    assert (np.abs(found - expected) <= 4 * 2.0**-24 * np.abs(expected)).all()


def test_an_all_zero_factor_gives_finite_numbers() -> None:
    for rule in ("relative", "absolute", "pi"):
        assert np.isfinite(scales(rule, 0 * TRACES, SIZES, 0.09)).all()


def test_a_factor_that_is_taken_as_the_identity_has_its_trace() -> None:
    """So its mean is 1, whatever the number of outputs; the others have what was captured."""
    curvatures = TinyTraining(replace(preset("thor-2021"), refresh_interval=1), layers=1).thor.curvatures
    assert curvatures is not None
    captured = np.arange(1.0, 1 + sum(len(layer.factors()) for layer in curvatures.layers))
    traces = curvatures._traces(captured)
    sides = [layer.sides for layer in curvatures.layers]
    assert {"A", "AG"} <= set(sides)
    assert [t for row, side in zip(traces, sides) for t in row[: len(side)]] == captured.tolist()
    assert all(row[1] == layer.sizes[1] for row, layer in zip(traces, curvatures.layers) if layer.sides == "A")
