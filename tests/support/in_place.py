"""Operators that change parameters, called twice alike in one cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn

UNITS = 16 * 2.0**-24


class InPlace(nn.Cell):
    """operator(*state, *inputs) twice; returns both results. Each depends on nothing of the other but the order."""

    def __init__(self, operator: Any, *state: np.ndarray) -> None:
        super().__init__()
        self.operator = operator
        self.state = ParameterTuple(Parameter(value, f"state{k}") for k, value in enumerate(state))

    def construct(self, *inputs: Tensor) -> Any:
        """Return what both calls give."""
        first = self.operator(*self.state, *inputs)
        second = self.operator(*self.state, *inputs)
        return first, second


def assert_close(actual: Tensor, expected: np.ndarray) -> None:
    """Within 16 units of the largest element."""
    error = np.abs(actual.asnumpy().astype(np.float64) - expected)
    assert (error <= UNITS * np.abs(expected).max()).all(), error.max()
