"""inverse_update in MindSpore: the inverse is a parameter, of which a graph changes the blocks that it should."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from in_place import InPlace, assert_close
from mindspore import Tensor

from bert_thor.kernels.inverse_update import reference
from bert_thor.ops.inverse_update import inverse_update

F32 = np.float32


def test_sound_candidates_are_taken(mode: int, backend: str) -> None:
    rng = np.random.default_rng(0)
    block, candidate = rng.standard_normal((2, 5, 9, 9)).astype(F32)
    candidate[1] *= F32(1e4)
    damping, status = F32([0.1, 0.2, 0.3, 0.4, np.nan]), np.array([0, 0, 3, 0, 0], np.int32)
    before = np.zeros((5, 9, 9), F32)
    cell = InPlace(inverse_update(1e4), before)
    following, condition = reference.inverse_update(before, block, damping, candidate, status, 1e4)
    for found in cell(Tensor(block), Tensor(damping), Tensor(candidate), Tensor(status)):
        assert np.isnan(found.asnumpy()[4])
        assert_close(found[:4], condition[:4])
    assert (cell.state[0].asnumpy() == following).all()
    assert [(following[q] == candidate[q]).all() for q in range(5)] == [True, False, False, True, False]
    assert ms.get_context("mode") == mode
