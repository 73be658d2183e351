"""residual_dropout_layer_norm in MindSpore: value and gradient of the framework's own operators in float64."""

from __future__ import annotations

import numpy as np
import pytest
from framework import assert_same
from mindspore import Tensor, ops

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm

EPS, SEED, SITE = 1e-6, np.array([1, -2, 3, 1], np.int32), np.int32([4])


def ours(
    x: Tensor,
    bias: Tensor,
    residual: Tensor,
    gamma: Tensor,
    beta: Tensor,
    scalars: Tensor,
    seed: Tensor,
    site: Tensor,
) -> Tensor:
    return residual_dropout_layer_norm(x, bias, residual, gamma, beta, scalars, seed, site)[0]


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("shape", [(9, 33), (2, 3, 64)])
def test_value_and_gradient(mode: int, shape: tuple[int, ...], probability: float) -> None:
    scale = Tensor(dropout_scale(shape, probability, SEED, 4).astype(np.float64))

    def theirs(x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        total = residual + (x + bias) * scale
        centered = total - total.mean(-1, keep_dims=True)
        return centered / ops.sqrt((centered * centered).mean(-1, keep_dims=True) + EPS) * gamma + beta

    rng = np.random.default_rng(0)
    vector = shape[-1:]
    inputs = [rng.standard_normal(size) for size in (shape, vector, shape, vector, vector)]
    rest = [np.float32([EPS, probability]), SEED, SITE]
    assert_same(ours, theirs, inputs, shape, 64, rest=rest)
