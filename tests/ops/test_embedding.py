"""embedding in MindSpore: value and gradient of the framework's own gather in float64."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, ops
from precisions import needs_bfloat16

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


@needs_bfloat16
@pytest.mark.parametrize("activations", [(), (0,)], ids=["float32 table", "bfloat16 source"])
def test_value_and_gradient_of_bfloat16_rows(mode: int, activations: tuple[int, ...]) -> None:
    """The gradient of a table is float32, that of activations bfloat16, summed in float32: ids occur five times on average."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, 50).astype(np.int32)
    ids_tensor = Tensor(ids)

    def theirs(table: Tensor) -> Tensor:
        return ops.gather(table, ids_tensor, 0)

    rows = embedding(ms.bfloat16)
    assert rows(Tensor(np.ones((10, 12), np.float32)), ids_tensor).dtype == ms.bfloat16
    assert_same_in_bfloat16(rows, theirs, [rng.standard_normal((10, 12))], activations, (50, 12), 1, rest=[ids])


@needs_bfloat16
def test_operators_of_two_dtypes_do_not_mix(mode: int) -> None:
    table, ids = Tensor(np.ones((4, 3), np.float32)), Tensor(np.zeros(2, np.int32))
    assert [embedding(dtype)(table, ids).dtype for dtype in (ms.float32, ms.bfloat16)] == [ms.float32, ms.bfloat16]


def test_float16_gets_a_sentence() -> None:
    with pytest.raises(TypeError, match=r"embedding: .* not float16; .* THOR_BACKEND=mindspore"):
        embedding(ms.float16)
