"""linear in MindSpore: value and gradients of the framework's own product in float64, and in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
from framework import assert_same
from mindspore import Tensor, ops

from bert_thor.ops.linear import linear

SHAPES = [(9, 33, 17), (64, 48, 130)]


def theirs(x: Tensor, weight: Tensor) -> Tensor:
    return ops.matmul(x, weight.T)


def samples(rows: int, inputs: int, outputs: int) -> list[np.ndarray]:
    """x and weight."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((rows, inputs)), rng.standard_normal((outputs, inputs))]


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_value_and_gradient(mode: int, backend: str, sizes: tuple[int, int, int]) -> None:
    assert_same(linear(), theirs, samples(*sizes), (sizes[0], sizes[2]), 64)
