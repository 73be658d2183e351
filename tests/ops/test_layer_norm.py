"""layer_norm in MindSpore: value and gradient of the framework's own operators in float64."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, nn, ops

from bert_thor.kernels.status import KernelError
from bert_thor.ops.layer_norm import layer_norm

EPS = 1e-6


class Ours(nn.Cell):
    """y alone."""

    def __init__(self) -> None:
        super().__init__()
        self.operator = layer_norm(EPS)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return self.operator(x, gamma, beta)[0]


def theirs(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    centered = x - x.mean(-1, keep_dims=True)
    return centered / ops.sqrt((centered * centered).mean(-1, keep_dims=True) + EPS) * gamma + beta


@pytest.mark.parametrize("shape", [(7, 33), (2, 5, 64), (50,), (2, 2, 3, 16)])
def test_value_and_gradient(mode: int, backend: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(size) for size in (shape, shape[-1:], shape[-1:])]
    assert_same(Ours(), theirs, inputs, shape, 64)


@pytest.mark.parametrize("shape", [(7, 33), (2, 5, 64)])
def test_value_and_gradient_in_bfloat16(mode: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(size) for size in (shape, shape[-1:], shape[-1:])]
    assert_same_in_bfloat16(Ours(), theirs, inputs, (0,), shape, 1)


def test_statistics_are_flat_over_rows(mode: int, backend: str) -> None:
    x = Tensor(np.ones((2, 3, 4), np.float32))
    vector = Tensor(np.ones(4, np.float32))
    _, mean, rstd = layer_norm(1.0)(x, vector, vector)
    assert (mean.asnumpy() == np.ones(6)).all() and (rstd.asnumpy() == np.ones(6)).all()


def test_bad_arguments_get_a_sentence(mode: int) -> None:
    x, vector = Tensor(np.ones((3, 4), np.float32)), Tensor(np.ones(4, np.float32))
    with pytest.raises(KernelError, match="do not fit together"):
        layer_norm(1.0)(x, Tensor(np.ones(5, np.float32)), vector)[0].asnumpy()
    with pytest.raises(KernelError, match="cast it to float32"):
        layer_norm(1.0)(x, vector.astype(ms.float16), vector)[0].asnumpy()
    with pytest.raises(TypeError, match=r"layer_norm: .* not float16; .* THOR_BACKEND=mindspore"):
        layer_norm(1.0)(x.astype(ms.float16), vector, vector)
