"""layer_norm and layer_norm_grad: two-pass statistics, dgamma and dbeta in the same pass as dx."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import (
    BF16_UNIT,
    UNIT,
    assert_within,
    call_guarded,
    column_sum_bound,
    from_bf16,
    lane_sum_units,
    to_bf16,
)

from bert_thor.kernels.layer_norm import native, reference
from bert_thor.kernels.layer_norm.cases import SIZES
from bert_thor.kernels.status import KernelError, Status

EPS = 1e-6
LADDER = [0.0, 1.0, 10.0, 100.0, 1000.0, 4000.0]
F32 = np.float32


def forward_problem(rows: int, features: int, ratio: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows * 1000 + features)
    x = (rng.standard_normal((rows, features)) + ratio).astype(F32)
    return x, rng.standard_normal(features).astype(F32), rng.standard_normal(features).astype(F32)


def backward_problem(rows: int, features: int, ratio: float = 0.5) -> list[np.ndarray]:
    x, gamma, beta = forward_problem(rows, features, ratio)
    dy = np.random.default_rng(rows + features).standard_normal((rows, features)).astype(F32)
    _, mean, rstd = reference.layer_norm(x, gamma, beta, EPS)
    return [dy, x, gamma, mean, rstd]


def assert_forward(outputs: list[np.ndarray], x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> None:
    """Errors of the statistics are relative to the largest |x| of the row: the two passes cannot do better."""
    y, mean, rstd = (value.astype(np.float64) for value in reference.layer_norm(x, gamma, beta, EPS))
    unit = UNIT * lane_sum_units(x.shape[1])
    size = np.abs(x).max(axis=1, initial=0)
    assert_within(outputs[1], mean, unit * size)
    assert_within(outputs[2], rstd, unit * rstd * (1 + size * rstd))
    xhat = (x - mean[:, None]) * rstd[:, None]
    scale = (size * rstd)[:, None] * (1 + np.abs(xhat)) + np.abs(xhat)
    assert_within(outputs[0], y, unit * (scale * np.abs(gamma) + np.abs(beta)))


def assert_backward(outputs: list[np.ndarray], *inputs: np.ndarray) -> None:
    dy, x, gamma, mean, rstd = (value.astype(np.float64) for value in inputs)
    dx, dgamma, dbeta = reference.layer_norm_grad(*inputs)
    xhat = (x - mean[:, None]) * rstd[:, None]
    g = np.abs(dy * gamma)
    size = g + g.mean(axis=1, keepdims=True) + np.abs(xhat) * (g * np.abs(xhat)).mean(axis=1, keepdims=True)
    assert_within(outputs[0], dx, UNIT * lane_sum_units(x.shape[1]) * rstd[:, None] * size)
    assert_within(outputs[1], dgamma, column_sum_bound(dy * (np.abs(x) + np.abs(mean[:, None])) * rstd[:, None]))
    assert_within(outputs[2], dbeta, column_sum_bound(dy))


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for rows, features in SIZES:
        x, gamma, beta = forward_problem(rows, features)
        sizes = [(rows, features), (rows,), (rows,)]
        assert_forward(call_guarded(native.layer_norm, (x, gamma, beta, EPS), sizes, [F32] * 3, offset), x, gamma, beta)
        inputs = backward_problem(rows, features)
        sizes = [(rows, features), (features,), (features,)]
        assert_backward(call_guarded(native.layer_norm_grad, inputs, sizes, [F32] * 3, offset), *inputs)


@pytest.mark.parametrize("ratio", LADDER)
def test_mean_to_deviation_ladder(instruction_set: int, ratio: float) -> None:
    """One-pass statistics are 5e-5 wrong at 10, 0.5 % at 100, and have negative variances at 4000."""
    x, gamma, beta = forward_problem(256, 1024, ratio)
    y, mean, rstd = native.layer_norm(x, gamma, beta, EPS)
    assert_forward([y, mean, rstd], x, gamma, beta)
    expected = reference.layer_norm(x, gamma, beta, EPS)[0]
    assert np.linalg.norm(y - expected) <= 1e-6 * max(1.0, ratio) * np.linalg.norm(expected)
    inputs = backward_problem(256, 1024, ratio)
    assert_backward(list(native.layer_norm_grad(*inputs)), *inputs)


def test_error_in_norm(instruction_set: int) -> None:
    """The figures of oneDNN's own test, in the norm: 1e-6 for y and dx, 5e-6 for dgamma and dbeta."""
    x, gamma, beta = forward_problem(512, 768)
    inputs = backward_problem(512, 768)
    pairs = zip(
        (native.layer_norm(x, gamma, beta, EPS)[0], *native.layer_norm_grad(*inputs)),
        (reference.layer_norm(x, gamma, beta, EPS)[0], *reference.layer_norm_grad(*inputs)),
    )
    for (actual, expected), limit in zip(pairs, (1e-6, 1e-6, 5e-6, 5e-6)):
        assert np.linalg.norm(actual - expected) <= limit * np.linalg.norm(expected)


@pytest.mark.parametrize("offset", OFFSETS)
def test_bfloat16_storage(instruction_set: int, offset: int) -> None:
    """As precise as rounding the float32 result: one rounding of the stored type on top of the float32 bounds."""
    for rows, features in SIZES[1:]:
        x, gamma, beta = forward_problem(rows, features)
        bits = to_bf16(x)
        dtypes = [np.uint16, F32, F32]
        outputs = call_guarded(native.layer_norm, (bits, gamma, beta, EPS), [x.shape, (rows,), (rows,)], dtypes, offset)
        expected = native.layer_norm(from_bf16(bits), gamma, beta, EPS)
        assert (outputs[0] == to_bf16(expected[0])).all()
        assert (outputs[1] == expected[1]).all() and (outputs[2] == expected[2]).all()
        dy, x, gamma, mean, rstd = backward_problem(rows, features)
        inputs = (to_bf16(dy), to_bf16(x), gamma, mean, rstd)
        sizes = [x.shape, (features,), (features,)]
        outputs = call_guarded(native.layer_norm_grad, inputs, sizes, dtypes, offset)
        expected = native.layer_norm_grad(from_bf16(inputs[0]), from_bf16(inputs[1]), gamma, mean, rstd)
        assert (outputs[0] == to_bf16(expected[0])).all()
        assert (outputs[1] == expected[1]).all() and (outputs[2] == expected[2]).all()


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype, rows, features", [(F32, 2048, 1024), (F32, 2100, 1030), (np.uint16, 4200, 1030)])
def test_large_outputs_have_the_bits_of_small_ones(
    instruction_set: int, dtype: Any, rows: int, features: int, offset: int
) -> None:
    """From 8 MiB on they are stored past the caches; rows of 1030 elements start at every alignment."""
    x, gamma, beta = forward_problem(rows, features)
    dy = x[::-1].copy()
    if dtype is np.uint16:
        dy, x = to_bf16(dy), to_bf16(x)
    assert x.nbytes >= 8 << 20
    y, mean, rstd = call_guarded(
        native.layer_norm, (x, gamma, beta, EPS), [x.shape, (rows,), (rows,)], [dtype, F32, F32], offset
    )
    inputs = (dy, x, gamma, mean, rstd)
    dx = call_guarded(native.layer_norm_grad, inputs, [x.shape, (features,), (features,)], [dtype, F32, F32], offset)[0]
    for begin in range(0, rows, 700):
        part = slice(begin, begin + 700)
        small = native.layer_norm(x[part], gamma, beta, EPS)
        assert (y[part] == small[0]).all() and (mean[part] == small[1]).all() and (rstd[part] == small[2]).all()
        assert (dx[part] == native.layer_norm_grad(dy[part], x[part], gamma, mean[part], rstd[part])[0]).all()


def test_bfloat16_rounds_to_nearest_even(instruction_set: int) -> None:
    """One feature makes y = beta: every kind of number goes through the store."""
    patterns = np.array([0x3F800000, 0x3F808000, 0x3F818000, 0x3F80FFFF, 0x7F7FFFFF, 0x00000001, 0xBF808001], np.uint32)
    beta = np.concatenate([patterns.view(F32), F32([np.nan, np.inf, -np.inf, 0.0, -0.0])])
    x = np.zeros((1, beta.size), np.uint16)
    y = native.layer_norm(x, np.zeros_like(beta), beta, 1.0)[0][0]
    number = ~np.isnan(beta)
    assert (y[number] == to_bf16(beta + F32(0))[number]).all()
    assert np.isnan(from_bf16(y[~number])).all()


def test_bfloat16_error_is_twice_the_units_at_most(instruction_set: int) -> None:
    x, gamma, beta = forward_problem(64, 256)
    y = from_bf16(native.layer_norm(to_bf16(x), gamma, beta, EPS)[0])
    expected = reference.layer_norm(from_bf16(to_bf16(x)), gamma, beta, EPS)[0]
    assert_within(y, expected, BF16_UNIT * np.abs(expected) + 1e-5)


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    for rows, features in [(1000, 256), (333, 1000), (5000, 20)]:
        inputs, problem = backward_problem(rows, features), forward_problem(rows, features)
        alone = (*native.layer_norm(*problem, EPS, threads=1), *native.layer_norm_grad(*inputs, threads=1))
        for threads in (2, 3, 7):
            more = (
                *native.layer_norm(*problem, EPS, threads=threads),
                *native.layer_norm_grad(*inputs, threads=threads),
            )
            for one, other in zip(alone, more):
                assert (one == other).all()


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    x, gamma, beta = forward_problem(33, 70)
    outputs = [Guarded(shape, F32, 1) for shape in ((3, 11, 70), (33,), (33,))]
    inputs = (x.reshape(3, 11, 70), gamma, beta, F32([EPS]))
    assert aot.call("layer_norm", *inputs, *(output.array for output in outputs)) == Status.OK
    for output, expected in zip(outputs, native.layer_norm(x, gamma, beta, EPS)):
        output.assert_intact()
        assert (output.array.ravel() == expected.ravel()).all()
    gradient_inputs = backward_problem(33, 70)
    outputs = [Guarded(shape, F32, 1) for shape in ((33, 70), (70,), (70,))]
    assert aot.call("layer_norm_grad", *gradient_inputs, *(output.array for output in outputs)) == Status.OK
    for output, expected in zip(outputs, native.layer_norm_grad(*gradient_inputs)):
        output.assert_intact()
        assert (output.array == expected).all()


def test_output_may_replace_input(instruction_set: int) -> None:
    x, gamma, beta = forward_problem(9, 50)
    expected = native.layer_norm(x, gamma, beta, EPS)[0]
    y, mean, rstd = x.copy(), np.empty(9, F32), np.empty(9, F32)
    native.layer_norm(y, gamma, beta, EPS, out=(y, mean, rstd))
    assert (y == expected).all()
    dy, *rest = backward_problem(9, 50)
    expected = native.layer_norm_grad(dy, *rest)[0]
    native.layer_norm_grad(dy, *rest, out=(dy, np.empty(50, F32), np.empty(50, F32)))
    assert (dy == expected).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_bad_row_stays_in_its_row(instruction_set: int, poison: float) -> None:
    x, gamma, beta = forward_problem(9, 40)
    clean = native.layer_norm(x, gamma, beta, EPS)[0]
    x[4, 39] = poison
    y = native.layer_norm(x, gamma, beta, EPS)[0]
    assert np.isnan(y[4]).all()
    assert (np.delete(y, 4, axis=0) == np.delete(clean, 4, axis=0)).all()


def test_constant_row_gives_beta(instruction_set: int) -> None:
    x = np.full((3, 40), 0.1, F32)
    beta = np.arange(40, dtype=F32)
    y, mean, rstd = native.layer_norm(x, np.ones(40, F32), beta, 1.0)
    assert_within(mean, np.full(3, 0.1), UNIT * lane_sum_units(40))
    assert_within(y, np.broadcast_to(beta, y.shape), UNIT * (2 * beta + lane_sum_units(40)))
    assert_within(rstd, np.ones(3), UNIT)


def test_no_rows_give_zero_sums(instruction_set: int) -> None:
    dx, dgamma, dbeta = native.layer_norm_grad(*backward_problem(0, 7))
    assert dx.shape == (0, 7) and (dgamma == 0).all() and (dbeta == 0).all()


def test_bad_arguments_get_a_sentence() -> None:
    x, gamma, beta = forward_problem(4, 6)
    with pytest.raises(ValueError, match=r"gamma has shape \(5,\); pass shape \(6,\)"):
        native.layer_norm(x, gamma[:5], beta, EPS)
    with pytest.raises(TypeError, match="x has element type float64; cast it to float32"):
        native.layer_norm(x.astype(np.float64), gamma, beta, EPS)
    with pytest.raises(ValueError, match="x is not C-contiguous"):
        native.layer_norm(np.asfortranarray(x), gamma, beta, EPS)
    with pytest.raises(ValueError, match="at least one feature"):
        native.layer_norm(np.empty((3, 0), F32), np.empty(0, F32), np.empty(0, F32), EPS)
    for eps in (-1e-12, float("nan")):
        with pytest.raises(KernelError, match="eps >= 0"):
            native.layer_norm(x, gamma, beta, eps)
    with pytest.raises(ValueError, match=r"out\[0\] has shape"):
        native.layer_norm(x, gamma, beta, EPS, out=(np.empty((4, 5), F32), np.empty(4, F32), np.empty(4, F32)))
    with pytest.raises(ValueError, match=r"mean has shape \(3,\); pass shape \(4,\)"):
        native.layer_norm_grad(x, x, gamma, np.zeros(3, F32), np.zeros(4, F32))


def test_bad_entry_arguments_get_a_status_and_write_nothing() -> None:
    x, gamma, beta = forward_problem(4, 6)
    y, mean, rstd, eps = np.full((4, 6), np.nan, F32), np.full(4, np.nan, F32), np.full(4, np.nan, F32), F32([EPS])
    outputs = (y, mean, rstd)
    cases = [
        ((x, gamma, beta, eps, y, mean), Status.BAD_ARGUMENT_COUNT),
        ((x.astype(np.float64), gamma, beta, eps, *outputs), Status.BAD_DTYPE),
        ((x, gamma[:5], beta, eps, *outputs), Status.BAD_SHAPE),
        ((x, gamma, beta[:5], eps, *outputs), Status.BAD_SHAPE),
        ((x, gamma, beta, F32([1, 1]), *outputs), Status.BAD_SHAPE),
        ((x, gamma, beta, eps, y[:3], mean, rstd), Status.BAD_SHAPE),
        ((x, gamma, beta, eps, y, mean[:3], rstd), Status.BAD_SHAPE),
        ((x, gamma, beta, eps, y, mean, rstd[:3]), Status.BAD_SHAPE),
        ((x, gamma, beta, F32([-1]), *outputs), Status.BAD_VALUE),
        ((x[:, :0].copy(), gamma[:0], beta[:0], eps, y[:, :0].copy(), mean[:0], rstd[:0]), Status.BAD_SIZE),
    ]
    for tensors, status in cases:
        assert aot.call("layer_norm", *tensors) == status
    dy, x, gamma, mean, rstd = backward_problem(4, 6)
    dx, dgamma, dbeta = np.full((4, 6), np.nan, F32), np.full(6, np.nan, F32), np.full(6, np.nan, F32)
    outputs = (dx, dgamma, dbeta)
    cases = [
        ((dy, x, gamma, mean, rstd, dx, dgamma), Status.BAD_ARGUMENT_COUNT),
        ((dy[:3], x, gamma, mean, rstd, *outputs), Status.BAD_SHAPE),
        ((dy, x, gamma[:5], mean, rstd, *outputs), Status.BAD_SHAPE),
        ((dy, x, gamma, mean[:3], rstd, *outputs), Status.BAD_SHAPE),
        ((dy, x, gamma, mean, rstd[:3], *outputs), Status.BAD_SHAPE),
        ((dy, x, gamma, mean, rstd, dx[:3], dgamma, dbeta), Status.BAD_SHAPE),
        ((dy, x, gamma, mean, rstd, dx, dgamma[:5], dbeta), Status.BAD_SHAPE),
        ((dy, x, gamma, mean, rstd, dx, dgamma, dbeta[:5]), Status.BAD_SHAPE),
    ]
    for tensors, status in cases:
        assert aot.call("layer_norm_grad", *tensors) == status
    for untouched in (y, dx, dgamma, dbeta):
        assert np.isnan(untouched).all()


def test_reference_gradient_is_the_derivative() -> None:
    """Central differences of the definition, written out again in float64."""
    dy, x, gamma, _, _ = (value.astype(np.float64) for value in backward_problem(3, 8))
    beta = np.zeros(8)

    def loss(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> float:
        deviation = np.sqrt(x.var(axis=1, keepdims=True) + EPS)
        return float((dy * ((x - x.mean(axis=1, keepdims=True)) / deviation * gamma + beta)).sum())

    _, mean, rstd = reference.layer_norm(x, gamma, beta, EPS)
    gradients = reference.layer_norm_grad(dy, x, gamma, mean, rstd)
    arguments = [x, gamma, beta]
    for k, gradient in enumerate(gradients):
        for index in np.ndindex(arguments[k].shape):
            shifted = [[a.copy() for a in arguments] for _ in range(2)]
            shifted[0][k][index] += 1e-5
            shifted[1][k][index] -= 1e-5
            difference = (loss(*shifted[0]) - loss(*shifted[1])) / 2e-5
            assert abs(gradient[index] - difference) <= 1e-5 * (1 + abs(difference))
