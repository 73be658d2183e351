"""dropout in MindSpore: the reference's mask, and the same one in the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from framework import assert_same
from mindspore import Tensor

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops.dropout import dropout

SEED, SITE = np.array([1, -2, 3, 1], np.int32), np.int32([4])


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6])
def test_value_and_gradient(mode: int, probability: float) -> None:
    shape = (5, 7, 9)
    scale = Tensor(dropout_scale(shape, probability, SEED, 4).astype(np.float64))

    def theirs(x: Tensor) -> Tensor:
        return x * scale

    rest = [np.float32([probability]), SEED, SITE]
    assert_same(dropout, theirs, [np.random.default_rng(0).standard_normal(shape)], shape, 4, rest=rest)


def test_a_step_later_the_mask_is_another(mode: int) -> None:
    x, p = Tensor(np.ones(1000, np.float32)), Tensor(np.float32([0.5]))
    masks = [dropout(x, p, Tensor(SEED + np.int32([0, 0, step, 0])), Tensor(SITE)).asnumpy() for step in (0, 1, 0)]
    assert (masks[0] != masks[1]).any() and (masks[0] == masks[2]).all()
