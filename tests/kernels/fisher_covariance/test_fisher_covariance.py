"""fisher_covariance: diagonal blocks of x^T diag(w) x / N, packed, exactly symmetric, the same bits for any threads."""

from __future__ import annotations

from typing import Optional

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded, misaligned

from bert_thor.kernels.fisher_covariance import native, reference
from bert_thor.kernels.fisher_covariance.cases import SIZES, weights
from bert_thor.kernels.library import InstructionSet
from bert_thor.kernels.status import Status

UNIT = 2.0**-24  # unit roundoff of fp32
DTYPES = (np.float32, np.uint16)


def samples(rows: int, features: int, dtype: type, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, features)).astype(np.float32)
    return x if dtype == np.float32 else (x.view(np.uint32) >> 16).astype(np.uint16)


def widened(x: np.ndarray) -> np.ndarray:
    return x if x.dtype != np.uint16 else (x.astype(np.uint32) << 16).view(np.float32)


def brute_force(x: np.ndarray, block: int, w: Optional[np.ndarray] = None) -> np.ndarray:
    """The blocks cut out of the whole matrix."""
    rows, features = x.shape
    blocks = -(-features // block)
    whole = np.zeros((blocks * block, blocks * block))
    wide = widened(x).astype(np.float64)
    whole[:features, :features] = wide.T @ (wide if w is None else w.astype(np.float64)[:, None] * wide) / rows
    return np.stack([whole[q * block : (q + 1) * block, q * block : (q + 1) * block] for q in range(blocks)])


def assert_covariance(out: np.ndarray, x: np.ndarray, block: int) -> None:
    tolerance = 2 * UNIT * (len(x) + 1) * np.abs(widened(x)).max() ** 2
    assert (np.abs(out - brute_force(x, block)) <= tolerance).all()
    assert (out == out.transpose(0, 2, 1)).all(), "not exactly symmetric"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_reference_is_the_definition(shape: tuple[int, int, int], dtype: type) -> None:
    rows, features, block = shape
    x = samples(rows, features, dtype)
    exact = brute_force(x, block)
    assert (np.abs(reference.fisher_covariance(x, block) - exact) <= UNIT * np.abs(exact) + 1e-15).all()


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_size_and_alignment(instruction_set: int, dtype: type, offset: int) -> None:
    for rows, features, block in SIZES:
        x = misaligned(samples(rows, features, dtype), offset)
        out = Guarded((-(-features // block), block, block), np.float32, offset)
        assert native.fisher_covariance(x, block, out=(out.array,)) is out.array
        out.assert_intact()
        assert_covariance(out.array, x, block)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(instruction_set: int, dtype: type) -> None:
    for rows, features, block in [(300, 1100, 128), (130, 700, 700), (257, 530, 300)]:
        x = samples(rows, features, dtype)
        alone = native.fisher_covariance(x, block, threads=1)
        for threads in (2, 3, 7):
            assert (native.fisher_covariance(x, block, threads=threads) == alone).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_entry_point_of_the_framework(instruction_set: int, dtype: type) -> None:
    x = samples(2 * 3 * 50, 40, dtype)
    for view in (x, x.reshape(2, 150, 40), x.reshape(2, 3, 50, 40)):
        out = Guarded((3, 16, 16), np.float32, 1)
        assert aot.call("fisher_covariance", view, out.array) == Status.OK
        out.assert_intact()
        assert (out.array == native.fisher_covariance(x, 16)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_is_that_of_numpy(instruction_set: int, dtype: type) -> None:
    """At most twice the error of a float32 product in NumPy, of the same operands."""
    for rows, features, block in [(1024, 96, 96), (300, 200, 64), (64, 300, 300)]:
        x = samples(rows, features, dtype)
        wide, exact = widened(x), brute_force(x, block)
        theirs = np.zeros_like(exact, np.float32)
        for q in range(len(theirs)):
            part = wide[:, q * block : (q + 1) * block]
            theirs[q, : part.shape[1], : part.shape[1]] = part.T @ part / np.float32(rows)
        ours = native.fisher_covariance(x, block)
        error, allowed = (np.sqrt(np.square(value - exact).mean()) for value in (ours, theirs))
        assert error <= 2 * allowed, (rows, features, block)


def test_integers_are_exact(instruction_set: int) -> None:
    x = np.random.default_rng(1).integers(-8, 9, (1024, 70)).astype(np.float32)
    for array in (x, (x.view(np.uint32) >> 16).astype(np.uint16)):
        assert (native.fisher_covariance(array, 32) == brute_force(x, 32)).all()


def test_padding_is_zero(instruction_set: int) -> None:
    out = native.fisher_covariance(np.ones((4, 21), np.float32), 16)
    assert (out[1, :5, :5] == 1).all()
    assert (out[1, 5:] == 0).all() and (out[1, :, 5:] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows_give_zeros_and_no_features_no_blocks(instruction_set: int, dtype: type) -> None:
    assert (native.fisher_covariance(np.empty((0, 40), dtype), 16) == np.zeros((3, 16, 16))).all()
    assert native.fisher_covariance(np.empty((5, 0), dtype), 16).shape == (0, 16, 16)


def test_nan_and_infinity_stay_where_they_belong(instruction_set: int) -> None:
    x = np.ones((5, 40), np.float32)
    x[2, 3], x[1, 20] = np.nan, np.inf
    out = native.fisher_covariance(x, 16)
    assert np.isnan(out[0, 3]).all() and np.isnan(out[0, :, 3]).all()
    assert np.isinf(out[1, 4]).all() and np.isinf(out[1, :, 4]).all()
    rest = np.delete(np.delete(out[0], 3, 0), 3, 1)
    assert (rest == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "features", "block"), [(40, 33, 33), (300, 70, 64), (9, 300, 300), (131, 280, 140)])
def test_a_mean_that_fits_is_right_though_its_sum_or_a_product_is_no_float(
    instruction_set: int, dtype: type, rows: int, features: int, block: int
) -> None:
    x = samples(rows, features, dtype)
    large = widened(x) * np.float32(4e18)
    large[rows // 2, features // 2] = 1e19 * np.sqrt(rows)
    large[:, 5] = widened(x)[:, 5]  # small beside it
    x = large if dtype == np.float32 else (large.view(np.uint32) >> 16).astype(np.uint16)
    exact = brute_force(x, block)
    with np.errstate(over="ignore"):
        assert not np.isfinite(np.float32(widened(x)[:, features // 2] ** 2).sum())
    assert np.abs(exact).max() < 3.4e38
    out = native.fisher_covariance(x, block)
    columns = np.abs(widened(x).astype(np.float64))
    terms = brute_force(columns, block)
    assert (np.abs(out - exact) <= 2 * UNIT * (rows + 2) * terms).all()
    assert (out == out.transpose(0, 2, 1)).all()


def test_a_mean_that_is_no_float_is_infinite(instruction_set: int) -> None:
    x = np.full((3, 20), 1.0, np.float32)
    x[:, 4] = 2e19
    out = native.fisher_covariance(x, 20)[0]
    assert np.isposinf(out[4, 4]) and np.isinf(out).sum() == 1
    assert (np.delete(out[4], 4) == np.float32(2e19)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_reference_of_weighted_rows_is_the_definition(shape: tuple[int, int, int], dtype: type) -> None:
    rows, features, block = shape
    x, w = samples(rows, features, dtype), weights(rows)
    exact, terms = brute_force(x, block, w), brute_force(np.abs(widened(x)), block, w)
    assert (np.abs(reference.fisher_covariance(x, block, w) - exact) <= UNIT * np.abs(exact) + 1e-12 * terms).all()


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_weighted_rows_in_every_size_and_alignment(instruction_set: int, dtype: type, offset: int) -> None:
    for rows, features, block in SIZES:
        x, w = misaligned(samples(rows, features, dtype), offset), misaligned(weights(rows), offset)
        out = Guarded((-(-features // block), block, block), np.float32, offset)
        assert native.fisher_covariance(x, block, w, out=(out.array,)) is out.array
        out.assert_intact()
        largest = (np.sqrt(w.astype(np.float64))[:, None] * np.abs(widened(x))).max()
        error = np.abs(out.array - brute_force(x, block, w))
        assert (error <= 2 * UNIT * (rows + 4) * largest**2).all()
        assert (out.array == out.array.transpose(0, 2, 1)).all(), "not exactly symmetric"


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_one_give_the_bits_of_none(instruction_set: int, dtype: type) -> None:
    """Except where bfloat16 has products in hardware, which sum pairs of rows."""
    if (dtype, instruction_set) == (np.uint16, InstructionSet.AVX512_BF16):
        return
    for rows, features, block in SIZES:
        x = samples(rows, features, dtype)
        ones = native.fisher_covariance(x, block, np.ones(rows, np.float32))
        assert (ones == native.fisher_covariance(x, block)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_weight_zero_have_no_part(instruction_set: int, dtype: type) -> None:
    """The bits are those of the other rows alone, times their share of the rows, whatever stands in them."""
    for rows, features, block in [(64, 40, 16), (512, 33, 33), (1024, 300, 300)]:
        x, kept = samples(rows, features, dtype), np.arange(rows) % 4 == 3
        w = np.where(kept, np.float32(2.25), np.float32(-0.0))
        w[0] = 0.0
        x[0], x[1] = (np.nan, np.inf) if dtype == np.float32 else (0x7FC0, 0x7F80)
        alone = native.fisher_covariance(np.ascontiguousarray(x[kept]), block, w[kept])
        assert (native.fisher_covariance(x, block, w) == alone / 4).all()
        assert (native.fisher_covariance(x, block, np.zeros(rows, np.float32)) == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_weighted_rows_give_the_same_bits_for_any_number_of_threads(instruction_set: int, dtype: type) -> None:
    for rows, features, block in [(300, 1100, 128), (130, 700, 700), (257, 530, 300)]:
        x, w = samples(rows, features, dtype), weights(rows)
        alone = native.fisher_covariance(x, block, w, threads=1)
        for threads in (2, 3, 7):
            assert (native.fisher_covariance(x, block, w, threads=threads) == alone).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_entry_point_of_the_framework_with_weights(instruction_set: int, dtype: type) -> None:
    x, w = samples(2 * 3 * 50, 40, dtype), weights(300)
    exact = native.fisher_covariance(x, 16, w)
    for shape in ((300,), (2, 150), (2, 3, 50)):
        out = Guarded((3, 16, 16), np.float32, 1)
        assert aot.call("fisher_covariance", x.reshape(*shape, 40), w.reshape(shape), out.array) == Status.OK
        out.assert_intact()
        assert (out.array == exact).all()
        assert (native.fisher_covariance(x.reshape(*shape, 40), 16, w.reshape(shape)) == exact).all()
    tensors = [x, w, np.full_like(exact, np.nan)]
    for missing in range(3):
        given = [None if number == missing else tensor for number, tensor in enumerate(tensors)]
        shapes = [tensor.shape for tensor in tensors]
        assert aot.call("fisher_covariance", *given, shapes=shapes) == Status.NULL_POINTER
    assert np.isnan(tensors[2]).all()


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_shows(instruction_set: int, weight: float) -> None:
    x, w = np.ones((5, 40), np.float32), np.ones(5, np.float32)
    w[3] = weight
    for dtype in DTYPES:
        rows = x if dtype == np.float32 else (x.view(np.uint32) >> 16).astype(np.uint16)
        out = native.fisher_covariance(rows, 16, w)
        expected = np.isposinf if weight > 0 else np.isnan
        assert expected(out[:2]).all() and expected(out[2, :8, :8]).all()
        assert (out[2, 8:] == 0).all() and (out[2, :, 8:] == 0).all(), "padding"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weighted_mean_that_fits_is_right_though_its_sum_is_no_float(instruction_set: int, dtype: type) -> None:
    """Also where weights are far from one: 2^-60 and, of small rows, 2^100."""
    x, w = widened(samples(300, 70, dtype)).copy(), np.full(300, 2.0**-60, np.float32)
    x *= np.float32(2e27)
    x[::3] *= np.float32(2.0**-80)
    w[::3] = 2.0**100
    w[::7] = 0.0
    given = x if dtype == np.float32 else (x.view(np.uint32) >> 16).astype(np.uint16)
    exact = brute_force(given, 64, w)
    assert np.abs(exact).max() < 3.4e38 < np.abs(exact).max() * 200, "no sum would overflow"
    terms = brute_force(np.abs(widened(given)), 64, w)
    out = native.fisher_covariance(given, 64, w)
    assert (np.abs(out - exact) <= 2 * UNIT * (300 + 5) * terms).all()
    assert (out == out.transpose(0, 2, 1)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_that_are_no_floats_cancel(instruction_set: int, dtype: type, weighted: bool) -> None:
    """The mean of 2^240 and -2^240 is 0, beside means of squares that are infinite."""
    x = np.array([[1, 1], [1, -1]], np.float32) * np.float32(2.0**120)
    given = x if dtype == np.float32 else (x.view(np.uint32) >> 16).astype(np.uint16)
    out = native.fisher_covariance(given, 2, *([np.ones(2, np.float32)] if weighted else []))
    assert (out == [[[np.inf, 0], [0, np.inf]]]).all()


@pytest.mark.parametrize(
    ("w", "error", "sentence"),
    [
        (np.ones(4), TypeError, "weights has element type float64"),
        (np.ones(3, np.float32), ValueError, r"weights has shape \(3,\); pass shape \(4,\)"),
        (np.ones((4, 1), np.float32), ValueError, r"pass shape \(4,\)"),
        ([1.0] * 4, TypeError, "weights is a list"),
    ],
)
def test_weights_that_do_not_fit_get_a_sentence(w: np.ndarray, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        native.fisher_covariance(np.ones((4, 6), np.float32), 2, w)


@pytest.mark.parametrize(
    ("x", "block", "error", "sentence"),
    [
        (np.zeros((4, 4)), 2, TypeError, "float64"),
        (np.zeros((4, 4), np.float32).T[:, ::2], 2, ValueError, "C-contiguous"),
        (np.zeros((), np.float32), 2, ValueError, "scalar"),
        (np.zeros((4, 4), np.float32), 0, ValueError, "block is 0"),
        ([[1.0]], 1, TypeError, "list"),
    ],
)
def test_bad_arguments_get_a_sentence(x: np.ndarray, block: int, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        native.fisher_covariance(x, block)


def test_bad_entry_arguments_get_a_status() -> None:
    x, out = np.zeros((4, 6), np.float32), np.full((3, 2, 2), np.nan, np.float32)
    cases = [
        ((x,), Status.BAD_ARGUMENT_COUNT),
        ((x.astype(np.float64), out), Status.BAD_DTYPE),
        ((x, out.astype(np.float64)), Status.BAD_DTYPE),
        ((x, np.zeros((2, 2, 2), np.float32)), Status.BAD_BLOCK),
        ((x, np.zeros((3, 2, 3), np.float32)), Status.BAD_BLOCK),
        ((x, np.zeros((3, 2), np.float32)), Status.BAD_SHAPE),
        ((x, np.ones(4), out), Status.BAD_DTYPE),
        ((x, np.ones(3, np.float32), out), Status.BAD_SHAPE),
        ((x, np.ones(4, np.float32), np.zeros((2, 2, 2), np.float32)), Status.BAD_BLOCK),
        ((x, np.ones(4, np.float32), out, out), Status.BAD_ARGUMENT_COUNT),
    ]
    for tensors, status in cases:
        assert aot.call("fisher_covariance", *tensors) == status
    assert aot.call("fisher_covariance", None, out, shapes=[(4, 6), (3, 2, 2)]) == Status.NULL_POINTER
    assert np.isnan(out).all(), "written before the arguments were checked"
