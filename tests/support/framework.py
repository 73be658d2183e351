"""Our operators beside the framework's own: the same function, ours in float32, theirs in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

UNIT = 2.0**-24


class WeightedSum(nn.Cell):
    """sum of weights * function(inputs): its gradient is the function's, applied to the weights."""

    def __init__(self, function: Callable[..., Any], weights: Tensor) -> None:
        super().__init__()
        self.function, self.weights = function, weights

    def construct(self, *inputs: Tensor) -> Tensor:
        """Return the scalar."""
        return (self.function(*inputs) * self.weights).sum()


def assert_same(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    shape: tuple[int, ...],
    roundings: float,
    rest: Sequence[np.ndarray] = (),
) -> None:
    """Value and gradients of `ours(*inputs, *rest)` equal those of `theirs(*inputs)`, with `roundings` units of the largest.

    `shape` is the result's; gradients are taken with respect to `inputs`, of a random weighted sum of the result.
    """
    weights = np.random.default_rng(9).standard_normal(shape)
    positions = tuple(range(len(inputs)))
    results = []
    for function, dtype, extra in ((ours, np.float32, rest), (theirs, np.float64, ())):
        cell = WeightedSum(function, Tensor(weights.astype(dtype)))
        tensors = [Tensor(value.astype(dtype)) for value in inputs] + [Tensor(value) for value in extra]
        value, gradients = ms.value_and_grad(cell, positions)(*tensors)
        results.append([value.asnumpy(), *(gradient.asnumpy() for gradient in gradients)])
    size = np.abs(weights).sum() * 4  # of the terms of the weighted sum
    for k, (one, other) in enumerate(zip(*results)):
        limit = UNIT * roundings * (size if k == 0 else np.abs(other).max() + 1e-3)
        assert one.shape == other.shape
        assert (np.abs(one - other) <= limit).all(), f"output {k}: error {np.abs(one - other).max()}, limit {limit}"
