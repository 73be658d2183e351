"""bias_gelu in MindSpore: value and gradient of the framework's own erf in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, ops

from bert_thor.ops.bias_gelu import bias_gelu

ROOT_HALF = math.sqrt(0.5)  # graph mode of MindSpore 2.0 cannot call math


def theirs(x: Tensor, bias: Tensor) -> Tensor:
    u = x + bias
    return 0.5 * u * (1.0 + ops.erf(u * ROOT_HALF))


@pytest.mark.parametrize("shape", [(9, 33), (2, 3, 64)])
def test_value_and_gradient(mode: int, backend: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = [2 * rng.standard_normal(shape), rng.standard_normal(shape[-1:])]
    assert_same(bias_gelu(), theirs, inputs, shape, 64)


@pytest.mark.parametrize("shape", [(9, 33), (2, 3, 64)])
def test_value_and_gradient_in_bfloat16(mode: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = [2 * rng.standard_normal(shape), rng.standard_normal(shape[-1:])]
    assert_same_in_bfloat16(bias_gelu(), theirs, inputs, (0,), shape, 1)
