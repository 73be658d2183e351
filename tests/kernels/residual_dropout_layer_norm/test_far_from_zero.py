"""residual_dropout_layer_norm and its gradient where the mean is many deviations: layer norm's errors at the stored sum."""

from __future__ import annotations

import numpy as np
import pytest
from comparison import assert_within, column_sum_bound
from norm_errors import EPSILONS, RATIOS, rows_of_ratio, stored, tolerances, tolerances_of_gradient, widened

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.kernels.layer_norm import reference
from bert_thor.kernels.residual_dropout_layer_norm import native

F32 = np.float32
STORAGE = ("fp32", "bf16")
SEED, SITE = np.array([1, -2, 3, 5], np.int32), 4


def assert_both_directions(residual: np.ndarray, x: np.ndarray, eps: float, probability: float) -> None:
    features = x.shape[1]
    gamma, beta, bias = np.random.default_rng(features).standard_normal((3, features)).astype(F32)
    dropout = (probability, SEED, SITE)
    y, total, mean, rstd = native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, eps, *dropout)
    exact = reference.layer_norm(widened(total), gamma, beta, eps)
    for ours, expected, allowed in zip((y, mean, rstd), exact, tolerances(total, gamma, beta, eps)):
        assert_within(widened(ours), expected, allowed)
    dy = stored(np.random.default_rng(x.size).standard_normal(x.shape).astype(F32), x)
    inputs = (dy, total, gamma, mean, rstd)
    dx, dbias, dresidual, dgamma, dbeta = native.residual_dropout_layer_norm_grad(*inputs, *dropout)
    gradients = reference.layer_norm_grad(widened(dy), widened(total), *inputs[2:])
    for ours, expected, allowed in zip((dresidual, dgamma, dbeta), gradients, tolerances_of_gradient(*inputs)):
        assert_within(widened(ours), expected, allowed)
    kept = widened(dresidual) * dropout_scale(x.shape, *dropout)
    assert (dx == stored(kept, x)).all()
    assert_within(dbias, kept.sum(axis=0, dtype=np.float64), column_sum_bound(kept))


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("ratio", RATIOS)
def test_ladder_of_means(instruction_set: int, ratio: float, storage: str) -> None:
    for rows, features in ((5, 16), (7, 100), (4, 768)):
        residual = rows_of_ratio(rows, features, ratio, 1.0, storage)
        x = rows_of_ratio(rows, features, 0.0, 0.1, storage)
        for eps in EPSILONS:
            for probability in (0.0, 0.1):
                assert_both_directions(residual, x, eps, probability)


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("value", [0.0, -100.1, 1e7])
def test_constant_rows(instruction_set: int, value: float, storage: str) -> None:
    """Of bias 0 and dropout 0, the sum is the residual."""
    for features in (16, 100, 768):
        x, one, zero = np.zeros((3, features), F32), np.ones(features, F32), np.zeros(features, F32)
        residual = stored(np.full((3, features), value, F32), storage)
        for eps in EPSILONS:
            y, total, mean, rstd = native.residual_dropout_layer_norm(
                stored(x, storage), zero, residual, one, zero, eps, 0.0, SEED, SITE
            )
            assert (total == residual).all() and (mean == widened(residual)[:, 0]).all()
            assert_within(widened(y), np.zeros_like(x), tolerances(total, one, zero, eps)[0])
            dy = stored(np.ones_like(x), storage)
            inputs = (dy, total, one, mean, rstd)
            dresidual = native.residual_dropout_layer_norm_grad(*inputs, 0.0, SEED, SITE)[2]
            assert_within(widened(dresidual), np.zeros_like(x), tolerances_of_gradient(*inputs)[0])


def test_squares_that_are_no_float_make_their_row_nan(instruction_set: int) -> None:
    rng = np.random.default_rng(0)
    x, residual = rng.standard_normal((2, 5, 40)).astype(F32)
    bias, gamma, beta = rng.standard_normal((3, 40)).astype(F32)
    residual[2, 7] = 1e20
    y, total, _, rstd = native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, 1e-6, 0.0, SEED, SITE)
    assert total[2, 7] == F32(1e20) and np.isnan(y[2]).all() and np.isnan(rstd[2])
    assert np.isfinite(np.delete(y, 2, axis=0)).all()
