"""linear in MindSpore: value and gradients of the framework's own product in float64, and in 16 bits."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, ops

from bert_thor.kernels.status import KernelError
from bert_thor.ops._custom import kernel_errors
from bert_thor.ops.linear import linear

SHAPES = [(9, 33, 17), (64, 48, 130)]


def theirs(x: Tensor, weight: Tensor) -> Tensor:
    return ops.matmul(x, weight.T)


def samples(rows: int, inputs: int, outputs: int) -> list[np.ndarray]:
    """x and weight."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((rows, inputs)), rng.standard_normal((outputs, inputs))]


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_value_and_gradient(mode: int, backend: str, sizes: tuple[int, int, int]) -> None:
    assert_same(linear(), theirs, samples(*sizes), (sizes[0], sizes[2]), 64)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_value_and_gradient_in_bfloat16(mode: int, sizes: tuple[int, int, int]) -> None:
    """The weight too is rounded where it is multiplied: one rounding of an operand and one of the result."""
    assert_same_in_bfloat16(linear(), theirs, samples(*sizes), (0,), (sizes[0], sizes[2]), 4)


def test_float16_by_the_frameworks_product(mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_BACKEND", "mindspore")
    x, weight = (Tensor(value.astype(np.float32)) for value in samples(9, 33, 17))
    product = linear()

    def total(x: Tensor, weight: Tensor) -> Tensor:
        return product(x, weight).astype(ms.float32).sum()

    dx, dw = ms.grad(total, (0, 1))(x.astype(ms.float16), weight)
    assert product(x.astype(ms.float16), weight).dtype == dx.dtype == ms.float16 and dw.dtype == ms.float32
    expected = np.broadcast_to(x.asnumpy().sum(0), weight.shape)
    assert np.abs(dw.asnumpy() - expected).max() <= 2.0**-8 * np.abs(x.asnumpy()).sum(0).max()


def test_bad_arguments_get_a_sentence(mode: int) -> None:
    x, weight = (Tensor(value.astype(np.float32)) for value in samples(4, 6, 3))
    with pytest.raises(KernelError, match="do not fit together"), kernel_errors():
        linear()(x, Tensor(np.ones((3, 5), np.float32))).asnumpy()
    with pytest.raises(TypeError, match=r"linear: .* not float16; .* THOR_BACKEND=mindspore"):
        linear()(x.astype(ms.float16), weight).asnumpy()
