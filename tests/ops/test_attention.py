"""attention in MindSpore: value and gradient of the framework's own products and softmax in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from framework import assert_same
from mindspore import Tensor, ops

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops.attention import attention

SEED, SITE = np.array([1, -2, 3, 1], np.int32), 4


@pytest.mark.parametrize(
    ("backend", "probability"), [("cpu", 0.0), ("cpu", 0.1), ("mindspore", 0.0)], indirect=["backend"]
)
@pytest.mark.parametrize(("batch", "heads", "length", "size"), [(2, 3, 5, 8), (1, 2, 33, 16)])
def test_value_and_gradient(
    mode: int, backend: str, batch: int, heads: int, length: int, size: int, probability: float
) -> None:
    rng = np.random.default_rng(0)
    rows, hidden = batch * length, heads * size
    mask = np.where(rng.random((batch, length)) < 0.3, -10000.0, 0.0)
    mask_64 = Tensor(mask.reshape(batch, 1, 1, length))
    scale = Tensor(dropout_scale((batch, heads, length, length), probability, SEED, SITE).astype(np.float64))
    operator = attention(heads, probability, SITE)
    root = math.sqrt(size)  # graph mode of MindSpore 2.0 cannot call math

    def theirs(qkv: Tensor, bias: Tensor) -> Tensor:
        split = (qkv + bias).reshape(batch, length, 3, heads, size).transpose(2, 0, 3, 1, 4)
        q, k, v = split[0], split[1], split[2]
        weights = ops.softmax(ops.matmul(q, k.transpose(0, 1, 3, 2)) / root + mask_64, -1)
        return ops.matmul(weights * scale, v).transpose(0, 2, 1, 3).reshape(rows, hidden)

    inputs = [rng.standard_normal((rows, 3 * hidden)), rng.standard_normal(3 * hidden)]
    rest = [mask.astype(np.float32), SEED]
    assert_same(operator, theirs, inputs, (rows, hidden), 2 * (length + size + 24), rest=rest)
