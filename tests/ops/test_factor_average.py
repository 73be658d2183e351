"""factor_average in MindSpore: the factor is a parameter that a graph changes every time, in order."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from in_place import InPlace, assert_close
from mindspore import Tensor

from bert_thor.kernels.factor_average import reference
from bert_thor.ops.factor_average import factor_average

F32 = np.float32


def test_every_call_changes_the_factor(mode: int, backend: str) -> None:
    captured = np.random.default_rng(0).random((4, 7, 7), F32)
    captured[2, 3, 3] = np.inf
    cell, factor = InPlace(factor_average(), np.zeros((4, 7, 7), F32)), np.zeros((4, 7, 7), F32)
    for scale in (1.0, 0.5, 3.0):
        for summary in cell(Tensor(captured), Tensor(F32([0.9])), Tensor(F32([scale]))):
            factor, expected = reference.factor_average(factor, captured, 0.9, scale)
            assert_close(summary, expected)
        assert_close(cell.state[0], factor)
    assert ms.get_context("mode") == mode
