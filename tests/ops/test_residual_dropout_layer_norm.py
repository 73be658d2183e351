"""residual_dropout_layer_norm in MindSpore: value and gradient of the framework's own operators in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, nn, ops

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm

EPS, SEED, SITE = 1e-6, np.array([1, -2, 3, 1], np.int32), 4


class Ours(nn.Cell):
    """y alone."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.operator = residual_dropout_layer_norm(EPS, probability, SITE)

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, seed: Tensor) -> Tensor:
        return self.operator(x, bias, residual, gamma, beta, seed)[0]


def in_float64(scale: Tensor) -> Callable[..., Tensor]:
    """The definition, by the framework's own operators."""

    def theirs(x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        total = residual + (x + bias) * scale
        centered = total - total.mean(-1, keep_dims=True)
        return centered / ops.sqrt((centered * centered).mean(-1, keep_dims=True) + EPS) * gamma + beta

    return theirs


def problem(shape: tuple[int, ...], probability: float) -> tuple[list[np.ndarray], Tensor]:
    """x, bias, residual, gamma, beta; what the dropout multiplies with."""
    rng, vector = np.random.default_rng(0), shape[-1:]
    inputs = [rng.standard_normal(size) for size in (shape, vector, shape, vector, vector)]
    return inputs, Tensor(dropout_scale(shape, probability, SEED, SITE).astype(np.float64))


@pytest.mark.parametrize(
    ("backend", "probability"), [("cpu", 0.0), ("cpu", 0.1), ("cpu", 0.6), ("mindspore", 0.0)], indirect=["backend"]
)
@pytest.mark.parametrize("shape", [(9, 33), (2, 3, 64)])
def test_value_and_gradient(mode: int, backend: str, shape: tuple[int, ...], probability: float) -> None:
    inputs, scale = problem(shape, probability)
    assert_same(Ours(probability), in_float64(scale), inputs, shape, 64, rest=[SEED])


@pytest.mark.parametrize("probability", [0.0, 0.1])
def test_value_and_gradient_in_bfloat16(mode: int, probability: float) -> None:
    """The sum is rounded before it is normalised."""
    inputs, scale = problem((9, 33), probability)
    assert_same_in_bfloat16(Ours(probability), in_float64(scale), inputs, (0, 2), (9, 33), 4, rest=[SEED])


def test_float16_gets_a_sentence(mode: int) -> None:
    inputs, _ = problem((9, 33), 0.0)
    tensors = [Tensor(value.astype(np.float16 if value.ndim == 2 else np.float32)) for value in inputs]
    with pytest.raises(TypeError, match=r"residual_dropout_layer_norm: .* not float16; .* THOR_BACKEND=mindspore"):
        Ours(0.0)(*tensors, Tensor(SEED))
