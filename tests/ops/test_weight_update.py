"""weight_update in MindSpore: the weight is a parameter that a graph changes every time, in order."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from in_place import InPlace, assert_close
from mindspore import Tensor

from bert_thor.kernels.weight_update import reference
from bert_thor.ops.weight_update import weight_update

F32 = np.float32


def test_every_call_changes_the_weight(mode: int, backend: str) -> None:
    rng = np.random.default_rng(0)
    weight, direction = (rng.standard_normal((6, 7)).astype(F32) for _ in range(2))
    factors, rate, decay = F32([0.5, 2.0]), F32([0.3]), F32([0.1])
    cell = InPlace(weight_update(), weight.copy())
    for _ in range(3):
        result = cell(*map(Tensor, (direction, factors, rate, decay)))
        for _ in result:
            weight = reference.weight_update(weight, direction, factors, 0.3, 0.1)
        assert all((value.asnumpy() == rate).all() for value in result)
        assert_close(cell.state[0], weight)
    assert ms.get_context("mode") == mode


def test_a_scalar_of_the_step_needs_no_axis(mode: int, backend: str) -> None:
    cell = InPlace(weight_update(), np.ones((2, 2), F32))
    cell(*map(Tensor, (np.ones((2, 2), F32), F32([1]), np.array(0.25, F32), F32([0]))))
    assert (cell.state[0].asnumpy() == 0.5).all()
