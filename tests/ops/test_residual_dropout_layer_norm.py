"""residual_dropout_layer_norm in MindSpore: value and gradient of the framework's own operators in float64."""

from __future__ import annotations

import numpy as np
import pytest
from framework import assert_same
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


@pytest.mark.parametrize(
    ("backend", "probability"), [("cpu", 0.0), ("cpu", 0.1), ("cpu", 0.6), ("mindspore", 0.0)], indirect=["backend"]
)
@pytest.mark.parametrize("shape", [(9, 33), (2, 3, 64)])
def test_value_and_gradient(mode: int, backend: str, shape: tuple[int, ...], probability: float) -> None:
    scale = Tensor(dropout_scale(shape, probability, SEED, SITE).astype(np.float64))

    def theirs(x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        total = residual + (x + bias) * scale
        centered = total - total.mean(-1, keep_dims=True)
        return centered / ops.sqrt((centered * centered).mean(-1, keep_dims=True) + EPS) * gamma + beta

    rng = np.random.default_rng(0)
    vector = shape[-1:]
    inputs = [rng.standard_normal(size) for size in (shape, vector, shape, vector, vector)]
    assert_same(Ours(probability), theirs, inputs, shape, 64, rest=[SEED])
