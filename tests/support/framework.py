"""Our operators beside the framework's own: the same function, ours in float32, theirs in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from precisions import AVAILABLE

UNIT = 2.0**-24  # unit roundoff of float32
BFLOAT16_UNIT = 2.0**-8  # and of bfloat16


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


def assert_same_in_bfloat16(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    activations: Sequence[int],
    shape: tuple[int, ...],
    roundings: float,
    rest: Sequence[np.ndarray] = (),
) -> None:
    """As `assert_same`, with the `inputs` at the places `activations` in bfloat16, and so their gradients; the others float32.

    `roundings` are of bfloat16, of the largest element; what is not stored in it is allowed as many, since the activations are.
    """
    if "bfloat16" not in AVAILABLE:
        pytest.skip(f"MindSpore {ms.__version__} has no bfloat16")
    weights = in_bfloat16(np.random.default_rng(9).standard_normal(shape))
    rounded = [in_bfloat16(value) if place in activations else value for place, value in enumerate(inputs)]
    kinds = [ms.bfloat16 if place in activations else ms.float32 for place in range(len(inputs))]
    extra = [Tensor(value) for value in rest]
    tensors = [Tensor(value.astype(np.float32)).astype(kind) for value, kind in zip(rounded, kinds)]

    def as_float32(*arguments: Tensor) -> Tensor:
        return ours(*arguments).astype(ms.float32)

    exact = [Tensor(value.astype(np.float64)) for value in rounded]
    one = _value_and_gradients(WeightedSum(as_float32, Tensor(weights.astype(np.float32))), tensors, extra)
    other = _value_and_gradients(WeightedSum(theirs, Tensor(weights)), exact, [])
    assert [gradient.dtype for gradient in one[1:]] == kinds
    size = np.abs(weights).sum() * 4
    for k, (mine, right) in enumerate(zip(one, other)):
        actual, expected = mine.astype(ms.float32).asnumpy(), right.asnumpy()
        limit = BFLOAT16_UNIT * roundings * (size if k == 0 else np.abs(expected).max() + 1e-3)
        assert actual.shape == expected.shape
        error = np.abs(actual - expected)
        assert (error <= limit).all(), f"output {k}: error {error.max()}, limit {limit}"


def _value_and_gradients(cell: nn.Cell, inputs: Sequence[Tensor], rest: Sequence[Tensor]) -> list[Tensor]:
    """The value, and one gradient per input; of a single input MindSpore returns no tuple."""
    value, gradients = ms.value_and_grad(cell, tuple(range(len(inputs))))(*inputs, *rest)
    return [value, *([gradients] if isinstance(gradients, Tensor) else gradients)]


def in_bfloat16(x: np.ndarray) -> np.ndarray:
    """The numbers of x that bfloat16 has nearest to them, in float64."""
    return Tensor(x.astype(np.float32)).astype(ms.bfloat16).astype(ms.float32).asnumpy().astype(np.float64)
