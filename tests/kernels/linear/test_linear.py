"""linear: x Wᵀ, dy W and dyᵀ x, each element summed in one order, in float32 and with bfloat16 activations."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS
from comparison import (
    BF16_UNIT,
    UNIT,
    assert_entry_point,
    assert_entry_point_refuses,
    assert_within,
    call_guarded,
    from_bf16,
    to_bf16,
)

from bert_thor.kernels.linear import native, reference
from bert_thor.kernels.linear.cases import SIZES
from bert_thor.kernels.status import Status

F32, BF16 = np.float32, np.uint16
DTYPES = (F32, BF16)
Layer = tuple[np.ndarray, np.ndarray, np.ndarray]


def layer(rows: int, inputs: int, outputs: int, dtype: type) -> Layer:
    """dy, x, weight."""
    rng = np.random.default_rng((rows, inputs, outputs))
    dy, x = (rng.standard_normal(shape).astype(F32) for shape in ((rows, outputs), (rows, inputs)))
    weight = rng.standard_normal((outputs, inputs)).astype(F32)
    return (to_bf16(dy), to_bf16(x), weight) if dtype == BF16 else (dy, x, weight)


def wide(x: np.ndarray) -> np.ndarray:
    return (from_bf16(x) if x.dtype == BF16 else x).astype(np.float64)


def multiplied(weight: np.ndarray, dtype: type) -> np.ndarray:
    """The weight that enters the product."""
    return wide(to_bf16(weight)) if dtype == BF16 else weight.astype(np.float64)


def assert_product(result: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """result = left right within the header's bound; empty sums are exact."""
    exact = left @ right
    unit = BF16_UNIT if result.dtype == BF16 else UNIT
    terms = UNIT * (left.shape[1] + 1) * (np.abs(left) @ np.abs(right))
    assert_within(wide(result), exact, terms + unit * np.abs(exact))


def assert_products(y: np.ndarray, dx: np.ndarray, dw: np.ndarray, problem: Layer) -> None:
    dy, x, weight = problem
    w = multiplied(weight, x.dtype.type)
    assert y.dtype == dx.dtype == x.dtype and dw.dtype == F32
    assert_product(y, wide(x), w.T)
    assert_product(dx, wide(dy), w)
    assert_product(dw, wide(dy).T, wide(x))


def computed(problem: Layer, threads: int = 1) -> tuple[np.ndarray, ...]:
    """y, dx, dw."""
    dy, x, weight = problem
    return (native.linear(x, weight, threads=threads), *native.linear_grad(dy, x, weight, threads=threads))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_reference_is_the_definition(sizes: tuple[int, int, int], dtype: type) -> None:
    dy, x, weight = layer(*sizes, dtype)
    w = multiplied(weight, dtype)
    dx, dw = reference.linear_grad(dy, x, weight)
    pairs = ((reference.linear(x, weight), wide(x), w.T), (dx, wide(dy), w), (dw, wide(dy).T, wide(x)))
    for result, left, right in pairs:
        assert_within(result, np.einsum("ik,kj->ij", left, right), UNIT * np.abs(left) @ np.abs(right))


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_size_and_alignment(instruction_set: int, dtype: type, offset: int) -> None:
    for sizes in SIZES:
        dy, x, weight = problem = layer(*sizes, dtype)
        (y,) = call_guarded(native.linear, (x, weight), [dy.shape], [dtype], offset, single=True)
        dx, dw = call_guarded(native.linear_grad, (dy, x, weight), [x.shape, weight.shape], [dtype, F32], offset)
        assert_products(y, dx, dw, problem)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(instruction_set: int, dtype: type) -> None:
    for sizes in [(300, 70, 530), (40, 1100, 33), (9, 20, 4), (1100, 3, 260)]:
        problem = layer(*sizes, dtype)
        alone = computed(problem)
        for threads in (2, 3, 7):
            for one, other in zip(alone, computed(problem, threads)):
                assert (one == other).all()


def test_error_is_that_of_numpy(instruction_set: int) -> None:
    """At most twice the error of a float32 product in NumPy, of the same operands, rounded once."""
    for sizes in [(256, 768, 96), (96, 128, 1024), (768, 64, 128), (1024, 64, 128)]:
        for dtype in DTYPES:
            dy, x, weight = problem = layer(*sizes, dtype)
            w = multiplied(weight, dtype)
            for result, left, right in zip(computed(problem), (x, dy, dy.T), (w.T, w, x)):
                left, right = wide(left), wide(right)
                theirs = left.astype(F32) @ right.astype(F32)
                theirs = from_bf16(to_bf16(theirs)) if result.dtype == BF16 else theirs
                error, allowed = (np.sqrt(np.square(value - left @ right).mean()) for value in (wide(result), theirs))
                assert error <= 2 * allowed, (sizes, dtype)


def test_integers_are_exact(instruction_set: int) -> None:
    """Sums below 2^24 of products of small integers; below 2^8 bfloat16 has them too."""
    rng = np.random.default_rng(1)
    dy, x, weight = (rng.integers(-8, 9, shape).astype(F32) for shape in ((1500, 70), (1500, 40), (70, 40)))
    exact = (x @ weight.T, dy @ weight, dy.T @ x)
    for one, other in zip(computed((dy, x, weight)), exact):
        assert (one == other).all()
    y, dx, dw = computed((to_bf16(dy), to_bf16(x), weight))
    assert (y == to_bf16(exact[0])).all() and (dx == to_bf16(exact[1])).all() and (dw == exact[2]).all()


def test_the_weight_is_rounded_to_nearest(instruction_set: int) -> None:
    weight = F32([[1 + 2.0**-8], [1 + 3 * 2.0**-8], [1 + 2.0**-8 + 2.0**-20], [-1 - 2.0**-9]])  # ties, and beside them
    y = native.linear(to_bf16(np.ones((1, 1), F32)), weight)
    assert (from_bf16(y)[0] == F32([1, 1 + 2.0**-6, 1 + 2.0**-7, -1])).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_over_nothing_are_zero(instruction_set: int, dtype: type) -> None:
    y, dx, dw = computed(layer(3, 0, 4, dtype))
    assert y.shape == (3, 4) and (y == 0).all() and dx.size == dw.size == 0
    y, dx, dw = computed(layer(3, 4, 0, dtype))
    assert dx.shape == (3, 4) and (dx == 0).all() and y.size == dw.size == 0
    y, dx, dw = computed(layer(0, 4, 3, dtype))
    assert dw.shape == (3, 4) and (dw == 0).all() and y.size == dx.size == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_stay_where_they_belong(instruction_set: int, dtype: type) -> None:
    """An odd number of terms, so that a pair is filled up, and rows and columns beside the tile."""
    dy, x, weight = (np.ones(shape, F32) for shape in ((7, 35), (7, 19), (35, 19)))
    x[2, 18], weight[20, 3] = np.nan, np.inf
    stored = (to_bf16(dy), to_bf16(x)) if dtype == BF16 else (dy, x)
    y, dx, dw = map(wide, computed((*stored, weight)))
    assert np.isnan(y[2]).all() and (np.delete(y[:, 20], 2) == np.inf).all()
    assert (np.delete(np.delete(y, 2, 0), 20, 1) == 19).all()
    assert (dx[:, 3] == np.inf).all() and (np.delete(dx, 3, 1) == 35).all()
    assert np.isnan(dw[:, 18]).all() and (np.delete(dw, 18, 1) == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_entry_points_of_the_framework(instruction_set: int, dtype: type) -> None:
    dy, x, weight = problem = layer(2 * 3 * 5, 20, 12, dtype)
    y, dx, dw = computed(problem)
    for axes in ((30,), (2, 15), (2, 3, 5)):
        dy_view, x_view = dy.reshape(*axes, 12), x.reshape(*axes, 20)
        assert_entry_point("linear", (x_view, weight), (y.reshape(dy_view.shape),))
        assert_entry_point("linear_grad", (dy_view, x_view, weight), (dx.reshape(x_view.shape), dw))


def test_entry_points_refuse() -> None:
    dy, x, weight = problem = layer(9, 20, 12, F32)
    y, dx, dw = computed(problem)
    assert_entry_point_refuses("linear", (x, weight), (y,))
    assert_entry_point_refuses("linear_grad", (dy, x, weight), (dx, dw))
    for mixed in ((to_bf16(x), weight, y), (x, weight, to_bf16(y)), (to_bf16(x), to_bf16(weight), to_bf16(y))):
        assert aot.call("linear", *mixed) == Status.BAD_DTYPE
    assert aot.call("linear_grad", to_bf16(dy), x, weight, dx, dw) == Status.BAD_DTYPE
    assert aot.call("linear", x, weight[:, :-1].copy(), y) == Status.BAD_SHAPE
    assert aot.call("linear", x.reshape(3, 3, 20), weight, y) == Status.BAD_SHAPE
    assert aot.call("linear_grad", dy, x, weight[:, :-1].copy(), dx, dw[:, :-1].copy()) == Status.BAD_SHAPE


@pytest.mark.parametrize(
    ("x", "weight", "error", "sentence"),
    [
        (np.zeros((4, 3)), np.zeros((2, 3), F32), TypeError, "float64"),
        (np.zeros((4, 3), F32), np.zeros((2, 3), BF16), TypeError, "weight has element type uint16"),
        (np.zeros((4, 3), F32), np.zeros((3, 2), F32), ValueError, r"pass x \[..., inputs\] and weight \[outputs, inputs\]"),
        (np.zeros((), F32), np.zeros((3, 2), F32), ValueError, "pass x"),
        (np.zeros((4, 6), F32)[:, ::2], np.zeros((2, 3), F32), ValueError, "C-contiguous"),
    ],
)  # fmt: skip
def test_bad_arguments_get_a_sentence(x: np.ndarray, weight: np.ndarray, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        native.linear(x, weight)


def test_dy_has_to_fit() -> None:
    dy, x, weight = layer(4, 3, 2, F32)
    with pytest.raises(ValueError, match=r"dy has shape \(3, 2\)"):
        native.linear_grad(dy[:3], x, weight)
    with pytest.raises(TypeError, match="dy has element type uint16"):
        native.linear_grad(to_bf16(dy), x, weight)
