"""layer_norm and its gradient where the mean is many deviations: the errors that layer_norm.h promises, for any ratio and eps."""

from __future__ import annotations

import numpy as np
import pytest
from comparison import assert_within
from norm_errors import EPSILONS, RATIOS, rows_of_ratio, stored, tolerances, tolerances_of_gradient, widened

from bert_thor.kernels.layer_norm import native, reference

F32 = np.float32
STORAGE = ("fp32", "bf16")


def parameters(features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(features)
    return rng.standard_normal(features).astype(F32), rng.standard_normal(features).astype(F32)


def assert_both_directions(x: np.ndarray, eps: float) -> None:
    """x as it is stored."""
    gamma, beta = parameters(x.shape[1])
    outputs = native.layer_norm(x, gamma, beta, eps)
    exact = reference.layer_norm(widened(x), gamma, beta, eps)
    for ours, expected, allowed in zip(outputs, exact, tolerances(x, gamma, beta, eps)):
        assert_within(widened(ours), expected, allowed)
    dy = stored(np.random.default_rng(x.size).standard_normal(x.shape).astype(F32), x)
    inputs = (dy, x, gamma, outputs[1], outputs[2])
    gradients = native.layer_norm_grad(*inputs)
    exact = reference.layer_norm_grad(widened(dy), widened(x), *inputs[2:])
    for ours, expected, allowed in zip(gradients, exact, tolerances_of_gradient(*inputs)):
        assert_within(widened(ours), expected, allowed)


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("ratio", RATIOS)
def test_ladder_of_means(instruction_set: int, ratio: float, storage: str) -> None:
    for rows, features in ((5, 16), (7, 100), (6, 768), (3, 1030)):
        for deviation in (1e-3, 1.0, 300.0):
            for eps in EPSILONS:
                assert_both_directions(rows_of_ratio(rows, features, ratio, deviation, storage), eps)


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("value", [0.0, 0.1, 1.0, -100.1, 3.3e4, 1e7, 1e-30])
def test_constant_rows(instruction_set: int, value: float, storage: str) -> None:
    for features in (16, 100, 768, 1030):
        for eps in EPSILONS:
            x = stored(np.full((3, features), value, F32), storage)
            assert_both_directions(x, eps)


def test_a_constant_row_gives_beta_and_no_gradient(instruction_set: int) -> None:
    x, gamma, beta = np.full((4, 768), 100.1, F32), np.ones(768, F32), np.arange(768, dtype=F32)
    y, mean, rstd = native.layer_norm(x, gamma, beta, 1e-12)
    assert (y == beta).all() and (mean == x[:, 0]).all() and (rstd == F32(1e6)).all()
    dx, dgamma, _ = native.layer_norm_grad(np.ones_like(x), x, gamma, mean, rstd)
    assert (dx == 0).all() and (dgamma == 0).all()


def test_no_constant_row_has_a_negative_variance(instruction_set: int) -> None:
    """Whatever the roundings of its two sums, which only long rows have: the root of one would be NaN."""
    for features in (100_003, 300_007):
        ones = np.ones(features, F32)
        for value in np.random.default_rng(0).uniform(1e5, 3e7, 12):
            rstd = native.layer_norm(np.full((1, features), value, F32), ones, ones, 1e-12)[2]
            assert 0 < rstd[0] <= F32(1e6)


def test_a_ramp_of_a_thousandth_at_ten_thousand(instruction_set: int) -> None:
    x = (1e4 + 1e-3 * np.arange(16)).astype(F32)[None]
    y, _, _ = native.layer_norm(x, np.ones(16, F32), np.zeros(16, F32), 1e-5)
    exact = x.astype(np.float64) - x.astype(np.float64).mean()
    assert_within(y, exact / np.sqrt(np.square(exact).mean() + 1e-5), 1e-6)


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("value", [1e20, -3e19, 3e38])
def test_squares_that_are_no_float_make_their_row_nan(instruction_set: int, value: float, storage: str) -> None:
    x = np.random.default_rng(0).standard_normal((5, 40)).astype(F32)
    gamma, beta = parameters(40)
    clean = native.layer_norm(stored(x, storage), gamma, beta, 1e-6)
    x[2, 7] = value
    x[3] = (
        1.7e19 * np.sign(x[3]) if value < 1e38 else 3e38
    )  # whose squares sum to too much, and a sum that is too large
    outputs = native.layer_norm(stored(x, storage), gamma, beta, 1e-6)
    for ours, before in zip(outputs, clean):
        assert (np.delete(ours, (2, 3), axis=0) == np.delete(before, (2, 3), axis=0)).all()
    y, rstd = widened(outputs[0]), outputs[2]
    assert np.isnan(y[2:4]).all() and np.isnan(rstd[2:4]).all()
    dx, _, _ = native.layer_norm_grad(stored(x, storage), stored(x, storage), gamma, *outputs[1:])
    assert np.isnan(widened(dx)[2:4]).all() and np.isfinite(np.delete(widened(dx), (2, 3), axis=0)).all()


def test_distances_just_below_are_normalised(instruction_set: int) -> None:
    x = np.zeros((1, 64), F32)
    x[0, 0] = 1e19
    y, _, rstd = native.layer_norm(x, np.ones(64, F32), np.zeros(64, F32), 0.0)
    assert_within(y, reference.layer_norm(x, np.ones(64), np.zeros(64), 0.0)[0], 1e-5)
    assert rstd[0] > 0


def test_eps_zero_makes_nan_of_a_constant_row(instruction_set: int) -> None:
    y = native.layer_norm(np.full((1, 20), 3.0, F32), np.ones(20, F32), np.ones(20, F32), 0.0)[0]
    assert np.isnan(y).all()


def test_the_reference_centres_what_a_rounded_mean_leaves() -> None:
    """Central differences of the definition, at a ratio where the mean in float32 is a tenth of a deviation off."""
    rng = np.random.default_rng(3)
    x, dy, gamma = rng.standard_normal((2, 8)) + 2e6, rng.standard_normal((2, 8)), rng.standard_normal(8)
    _, mean, rstd = reference.layer_norm(x, gamma, np.zeros(8), 0.0)
    dx = reference.layer_norm_grad(dy, x, gamma, mean, rstd)[0]

    def loss(x: np.ndarray) -> float:
        centered = x - x.mean(axis=1, keepdims=True)
        return float((dy * centered / centered.std(axis=1, keepdims=True) * gamma).sum())

    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += 1e-3
        down[index] -= 1e-3
        assert abs(dx[index] - (loss(up) - loss(down)) / 2e-3) <= 1e-4
