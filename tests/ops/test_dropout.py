"""dropout in MindSpore: the reference's mask, and the same one in the gradient."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops import _backend
from bert_thor.ops.dropout import dropout

SEED, SITE = np.array([1, -2, 3, 1], np.int32), 4


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6])
def test_value_and_gradient(mode: int, probability: float) -> None:
    shape = (5, 7, 9)
    scale = Tensor(dropout_scale(shape, probability, SEED, SITE).astype(np.float64))

    def theirs(x: Tensor) -> Tensor:
        return x * scale

    inputs = [np.random.default_rng(0).standard_normal(shape)]
    assert_same(dropout(probability, SITE), theirs, inputs, shape, 4, rest=[SEED])


def test_value_and_gradient_in_bfloat16(mode: int) -> None:
    shape = (5, 7, 9)
    scale = Tensor(dropout_scale(shape, 0.1, SEED, SITE).astype(np.float64))

    def theirs(x: Tensor) -> Tensor:
        return x * scale

    inputs = [np.random.default_rng(0).standard_normal(shape)]
    assert_same_in_bfloat16(dropout(0.1, SITE), theirs, inputs, (0,), shape, 1, rest=[SEED])


def test_a_step_later_the_mask_is_another(mode: int) -> None:
    x, operator = Tensor(np.ones(1000, np.float32)), dropout(0.5, SITE)
    masks = [operator(x, Tensor(SEED + np.int32([0, 0, step, 0]))).asnumpy() for step in (0, 1, 0)]
    assert (masks[0] != masks[1]).any() and (masks[0] == masks[2]).all()


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6])
def test_the_frameworks_own_keeps_the_right_share(
    mode: int, monkeypatch: pytest.MonkeyPatch, probability: float
) -> None:
    monkeypatch.setenv(_backend.VARIABLE, "mindspore")
    operator, seed, count = dropout(probability, SITE), Tensor(SEED), 100_000
    ones = Tensor(np.ones(count, np.float32))

    def product(x: Tensor) -> Tensor:
        return (operator(x, seed) * x).sum()

    value, gradient = ms.value_and_grad(product)(ones)
    factors = gradient.asnumpy() / 2  # of what was kept: the gradient of f x^2 is 2 f x
    assert set(np.unique(factors.round(4))) <= {0.0, np.float32(1 / (1 - probability)).round(4)}
    assert abs((factors > 0).mean() - (1 - probability)) <= 6 * (probability * (1 - probability) / count) ** 0.5
    assert abs(float(value.asnumpy()) - factors.sum(dtype=np.float64)) <= 1e-4 * count  # one mask for both
