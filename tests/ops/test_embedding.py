"""embedding in MindSpore: value and gradient of the framework's own gather in float64."""

from __future__ import annotations

import numpy as np
from framework import assert_same
from mindspore import Tensor, ops

from bert_thor.ops.embedding import embedding


def test_value_and_gradient(mode: int) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, 50).astype(np.int32)
    ids_tensor = Tensor(ids)

    def theirs(table: Tensor) -> Tensor:
        return ops.gather(table, ids_tensor, 0)

    assert_same(embedding, theirs, [rng.standard_normal((10, 12))], (50, 12), 64, rest=[ids])
