"""bias_gelu: the exact GELU with relative accuracy in both tails; dbias in the same pass as dx."""

from __future__ import annotations

import numpy as np
import pytest
from buffers import OFFSETS
from comparison import (
    UNIT,
    assert_entry_point,
    assert_entry_point_refuses,
    assert_within,
    call_guarded,
    column_sum_bound,
    from_bf16,
    to_bf16,
)
from scipy.special import ndtr

from bert_thor.kernels.bias_gelu import native, reference
from bert_thor.kernels.bias_gelu.cases import SIZES

F32 = np.float32


def problem(rows: int, features: int) -> list[np.ndarray]:
    """dy, x, bias."""
    rng = np.random.default_rng(rows * 1000 + features)
    shapes = [(rows, features), (rows, features), (features,)]
    return [(2 * rng.standard_normal(shape)).astype(F32) for shape in shapes]


def sum_in_float64(x: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) + bias.astype(np.float64)


def density(u: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)


def assert_gelu(y: np.ndarray, x: np.ndarray, bias: np.ndarray) -> None:
    """The sum u is rounded once, which moves y by u y'(u) units; the rest is (3 + u^2 / 2) units of y, twice."""
    u = sum_in_float64(x, bias)
    slope = np.abs(ndtr(u) + u * density(u))
    assert_within(y, u * ndtr(u), UNIT * (2 * (3 + u * u / 2) * np.abs(u * ndtr(u)) + np.abs(u) * slope) + 1e-37)


def assert_gelu_gradient(dx: np.ndarray, dbias: np.ndarray, dy: np.ndarray, x: np.ndarray, bias: np.ndarray) -> None:
    u = sum_in_float64(x, bias)
    exact = dy * (ndtr(u) + u * density(u))
    size = np.abs(dy) * (ndtr(u) + np.abs(u) * density(u))
    bound = 2 * UNIT * (4 + u * u / 2) * size + UNIT * np.abs(dy * u) * density(u) * (2 + u * u)
    assert_within(dx, exact, bound + 1e-37)
    assert_within(dbias, exact.sum(axis=0), column_sum_bound(size) + bound.sum(axis=0))


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for rows, features in SIZES:
        dy, x, bias = problem(rows, features)
        assert_gelu(call_guarded(native.bias_gelu, (x, bias), [x.shape], [F32], offset, single=True)[0], x, bias)
        gradients = call_guarded(native.bias_gelu_grad, (dy, x, bias), [x.shape, bias.shape], [F32] * 2, offset)
        assert_gelu_gradient(*gradients, dy, x, bias)


def test_bfloat16_is_float32_rounded_once(instruction_set: int) -> None:
    for rows, features in SIZES[1:]:
        dy, x, bias = problem(rows, features)
        bits, dy_bits = to_bf16(x), to_bf16(dy)
        y = call_guarded(native.bias_gelu, (bits, bias), [x.shape], [np.uint16], 1, single=True)[0]
        assert (y == to_bf16(native.bias_gelu(from_bf16(bits), bias))).all()
        dtypes = [np.uint16, F32]
        ours = call_guarded(native.bias_gelu_grad, (dy_bits, bits, bias), [x.shape, bias.shape], dtypes, 1)
        dx, dbias = native.bias_gelu_grad(from_bf16(dy_bits), from_bf16(bits), bias)
        assert (ours[0] == to_bf16(dx)).all() and (ours[1] == dbias).all()


def test_entry_points_in_bfloat16(instruction_set: int) -> None:
    dy, x, bias = problem(9, 20)
    dy, x = to_bf16(dy), to_bf16(x)
    y, gradients = native.bias_gelu(x, bias), native.bias_gelu_grad(dy, x, bias)
    assert_entry_point("bias_gelu", (x, bias), (y,))
    assert_entry_point("bias_gelu_grad", (dy, x, bias), gradients)
    assert_entry_point_refuses("bias_gelu", (x, bias), (y,))
    assert_entry_point_refuses("bias_gelu_grad", (dy, x, bias), gradients)


def test_the_whole_line(instruction_set: int) -> None:
    """Both tails keep their relative accuracy, down to where Phi leaves the range of normal numbers."""
    x = np.linspace(-14, 14, 100_001, dtype=F32)[None]
    bias = np.zeros(x.shape[1], F32)
    assert_gelu(native.bias_gelu(x, bias), x, bias)
    dx, dbias = native.bias_gelu_grad(np.ones_like(x), x, bias)
    assert_gelu_gradient(dx, dbias, np.ones_like(x), x, bias)


def test_special_values(instruction_set: int) -> None:
    x = F32([[0.0, np.inf, np.nan, 1e30, -1e30, 1e-30]])
    y = native.bias_gelu(x, np.zeros(6, F32))[0]
    assert y[0] == 0 and y[1] == np.inf and np.isnan(y[2]) and y[3] == F32(1e30) and y[4] == 0 and y[5] == F32(5e-31)


def test_reference_is_scipys() -> None:
    dy, x, bias = problem(20, 30)
    u = sum_in_float64(x, bias)
    assert_within(reference.bias_gelu(x, bias), u * ndtr(u), UNIT * np.abs(u))
    dx, dbias = reference.bias_gelu_grad(dy, x, bias)
    exact = dy * (ndtr(u) + u * density(u))
    assert_within(dx, exact, UNIT * np.abs(dy) * 2)
    assert_within(dbias, exact.sum(axis=0), UNIT * np.abs(exact).sum(axis=0))


def test_reference_gradient_is_the_derivative() -> None:
    _, x, bias = problem(10, 10)
    u = sum_in_float64(x, bias)
    difference = ((u + 1e-5) * ndtr(u + 1e-5) - (u - 1e-5) * ndtr(u - 1e-5)) / 2e-5
    assert_within(reference.bias_gelu_grad(np.ones_like(x), x, bias)[0], difference, 1e-6)


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    dy, x, bias = problem(999, 130)
    alone = (native.bias_gelu(x, bias, threads=1), *native.bias_gelu_grad(dy, x, bias, threads=1))
    for threads in (2, 3, 7):
        more = (native.bias_gelu(x, bias, threads=threads), *native.bias_gelu_grad(dy, x, bias, threads=threads))
        for one, other in zip(alone, more):
            assert (one == other).all()


def test_output_may_replace_input(instruction_set: int) -> None:
    dy, x, bias = problem(40, 21)
    expected = (native.bias_gelu(x, bias), native.bias_gelu_grad(dy, x, bias)[0])
    y, dx = x.copy(), dy.copy()
    native.bias_gelu(y, bias, out=(y,))
    native.bias_gelu_grad(dx, x, bias, out=(dx, np.empty(21, F32)))
    assert (y == expected[0]).all() and (dx == expected[1]).all()


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    dy, x, bias = problem(9, 20)
    y, gradients = native.bias_gelu(x, bias), native.bias_gelu_grad(dy, x, bias)
    assert_entry_point("bias_gelu", (x, bias), (y,))
    assert_entry_point("bias_gelu_grad", (dy, x, bias), gradients)
    assert_entry_point_refuses("bias_gelu", (x, bias), (y,))
    assert_entry_point_refuses("bias_gelu_grad", (dy, x, bias), gradients)


def test_bad_arguments_get_a_sentence() -> None:
    dy, x, bias = problem(4, 6)
    with pytest.raises(ValueError, match=r"bias has shape \(5,\); pass shape \(6,\)"):
        native.bias_gelu(x, bias[:5])
    with pytest.raises(ValueError, match=r"dy has shape \(3, 6\)"):
        native.bias_gelu_grad(dy[:3], x, bias)
    with pytest.raises(ValueError, match="at least one feature"):
        native.bias_gelu(x[:, :0].copy(), bias[:0])
