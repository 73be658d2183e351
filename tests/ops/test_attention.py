"""attention in MindSpore: value and gradient of the framework's own products and softmax in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import mindspore as ms
import numpy as np
import pytest
from framework import UNIT, assert_same, assert_same_in_bfloat16
from mindspore import Tensor, ops

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops.attention import attention

SEED, SITE = np.array([1, -2, 3, 1], np.int32), 4


def problem(
    batch: int, heads: int, length: int, size: int, probability: float
) -> tuple[list[np.ndarray], np.ndarray, Callable[..., Tensor]]:
    """qkv and bias; the mask; the framework's own attention."""
    rng = np.random.default_rng(0)
    rows, hidden = batch * length, heads * size
    mask = np.where(rng.random((batch, length)) < 0.3, -10000.0, 0.0)
    mask_64 = Tensor(mask.reshape(batch, 1, 1, length))
    scale = Tensor(dropout_scale((batch, heads, length, length), probability, SEED, SITE).astype(np.float64))
    root = math.sqrt(size)  # graph mode of MindSpore 2.0 cannot call math

    def theirs(qkv: Tensor, bias: Tensor) -> Tensor:
        split = (qkv + bias).reshape(batch, length, 3, heads, size).transpose(2, 0, 3, 1, 4)
        q, k, v = split[0], split[1], split[2]
        weights = ops.softmax(ops.matmul(q, k.transpose(0, 1, 3, 2)) / root + mask_64, -1)
        return ops.matmul(weights * scale, v).transpose(0, 2, 1, 3).reshape(rows, hidden)

    return [rng.standard_normal((rows, 3 * hidden)), rng.standard_normal(3 * hidden)], mask.astype(np.float32), theirs


@pytest.mark.parametrize(
    ("backend", "probability"), [("cpu", 0.0), ("cpu", 0.1), ("mindspore", 0.0)], indirect=["backend"]
)
@pytest.mark.parametrize(("batch", "heads", "length", "size"), [(2, 3, 5, 8), (1, 2, 33, 16)])
def test_value_and_gradient(
    mode: int, backend: str, batch: int, heads: int, length: int, size: int, probability: float
) -> None:
    inputs, mask, theirs = problem(batch, heads, length, size, probability)
    shape = (batch * length, heads * size)
    operator = attention(heads, probability, SITE)
    assert_same(operator, theirs, inputs, shape, 2 * (length + size + 24), rest=[mask, SEED])


@pytest.mark.parametrize("probability", [0.0, 0.1])
def test_value_and_gradient_in_bfloat16(mode: int, probability: float) -> None:
    """The weights and the scores' gradient are rounded inside as well."""
    inputs, mask, theirs = problem(1, 2, 33, 16, probability)
    assert_same_in_bfloat16(attention(2, probability, SITE), theirs, inputs, (0,), (33, 32), 2, rest=[mask, SEED])


@pytest.mark.parametrize("masked", [-np.inf, np.finfo(np.float32).min, -10000.0])
def test_a_sequence_that_is_masked_everywhere_gives_zeros(mode: int, backend: str, masked: float) -> None:
    """And leaves the others alone, the gradient of the bias included."""
    inputs, mask, _ = problem(2, 2, 5, 8, 0.0)
    mask = np.where(mask < 0, masked, 0).astype(np.float32)
    operator = attention(2, 0.0, SITE)

    def run(mask: np.ndarray, rows: slice) -> list[np.ndarray]:
        qkv, bias = (Tensor(value.astype(np.float32)) for value in (inputs[0][rows], inputs[1]))

        def loss(qkv: Tensor, bias: Tensor) -> Tensor:
            out = operator(qkv, bias, Tensor(mask), Tensor(SEED))
            return (out * out).sum(), out

        (_, out), gradients = ms.value_and_grad(loss, (0, 1), has_aux=True)(qkv, bias)
        return [value.asnumpy() for value in (out, *gradients)]

    alone = run(mask[1:], slice(5, 10))
    mask[0] = masked
    out, dqkv, dbias = run(mask, slice(0, 10))
    assert (out[:5] == 0).all() and (dqkv[:5] == 0).all()
    for ours, expected in zip((out[5:], dqkv[5:], dbias), alone):
        assert (np.abs(ours - expected) <= 64 * UNIT * np.abs(expected).max()).all()
