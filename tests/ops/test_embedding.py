"""embedding in MindSpore: value and gradient of the framework's own gather in float64."""

from __future__ import annotations

import numpy as np
from framework import assert_same
from mindspore import Tensor, ops

from bert_thor.ops.embedding import embedding, embedding_grad


def test_value_and_gradient(mode: int, backend: str) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, 50).astype(np.int32)
    ids_tensor = Tensor(ids)

    def theirs(table: Tensor) -> Tensor:
        return ops.gather(table, ids_tensor, 0)

    assert_same(embedding(), theirs, [rng.standard_normal((10, 12))], (50, 12), 64, rest=[ids])


def test_the_gradient_alone(mode: int, backend: str) -> None:
    rng = np.random.default_rng(1)
    dy, ids = rng.standard_normal((50, 12)).astype(np.float32), rng.integers(0, 10, 50).astype(np.int32)
    expected = np.zeros((11, 12))
    np.add.at(expected, ids, dy.astype(np.float64))
    actual = embedding_grad()(Tensor(dy), Tensor(ids), Tensor(np.ones((11, 12), np.float32))).asnumpy()
    assert (np.abs(actual - expected) <= 50 * 2.0**-24 * np.abs(dy).sum(axis=0)).all()
