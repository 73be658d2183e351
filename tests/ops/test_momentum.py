"""momentum in MindSpore: the average is a parameter that a graph changes every time, in order."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from in_place import InPlace, assert_close
from mindspore import Tensor

from bert_thor.kernels.momentum import reference
from bert_thor.ops import momentum

F32 = np.float32


@pytest.mark.parametrize("rule", ["nesterov_momentum", "heavy_ball"])
def test_every_call_changes_the_average(mode: int, backend: str, rule: str) -> None:
    rng = np.random.default_rng(0)
    x, factors = rng.standard_normal((6, 7)).astype(F32), F32([0.5, 2.0])
    cell = InPlace(getattr(momentum, rule)(0.9), np.zeros((6, 7), F32))
    average = np.zeros((6, 7))
    for _ in range(3):
        result = cell(Tensor(x), Tensor(factors))
        for direction in result:  # two equal calls: neither may be dropped or merged
            average, expected = getattr(reference, rule)(average, x, factors, 0.9)
            assert_close(direction, expected)
        assert_close(cell.state[0], average)
    assert ms.get_context("mode") == mode
