"""cholesky_inverse: (C + damping I)^-1 per block, a status per block, never a NaN without notice."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded, misaligned

from bert_thor.kernels.cholesky_inverse import native, reference
from bert_thor.kernels.cholesky_inverse.cases import EDGES
from bert_thor.kernels.status import KernelError, Status

UNIT = 2.0**-24  # unit roundoff of fp32, LAPACK's epsilon


def covariance(blocks: int, edge: int, seed: int = 0) -> np.ndarray:
    """Sample covariances of 2 edge + 8 standard normal rows: condition about 40, exactly symmetric."""
    x = np.random.default_rng(seed).standard_normal((blocks, 2 * edge + 8, edge))
    return (x.transpose(0, 2, 1) @ x / x.shape[1]).astype(np.float32)


def residual(c: np.ndarray, damping: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """|| I - A A^-1 ||_1 / (|| A ||_1 || A^-1 ||_1 unit) per block with A = C + damping I: LAPACK's spot03 times n."""
    identity = np.eye(c.shape[1])
    a = c.astype(np.float64) + np.asarray(damping, np.float64).reshape(-1, 1, 1) * identity
    norms = np.abs(a).sum(1).max(1) * np.abs(inverse.astype(np.float64)).sum(1).max(1)
    return np.abs(identity - a @ inverse).sum(1).max(1) / (norms * UNIT)


def assert_inverse(c: np.ndarray, damping: np.ndarray, inverse: np.ndarray, status: np.ndarray) -> None:
    assert (status == 0).all()
    assert (inverse == inverse.transpose(0, 2, 1)).all(), "not exactly symmetric"
    # 4 for the roundings that every element has whatever the size: damping, pivot, scale, product
    assert (residual(c, damping, inverse) <= 4 + 0.3 * c.shape[1]).all()


def test_reference_is_the_definition() -> None:
    c, damping = covariance(4, 33), np.array([0.0, 0.1, 0.2, 3.0], np.float32)
    inverse, status = reference.cholesky_inverse(c, damping)
    exact = np.linalg.inv(c.astype(np.float64) + damping[:, None, None] * np.eye(33))
    assert (status == 0).all()
    assert (np.abs(inverse - exact) <= UNIT * np.abs(exact) + 1e-12).all()


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for edge in EDGES:
        c = misaligned(covariance(3, edge), offset)
        damping = misaligned(np.array([0.0, 0.01, 2.0], np.float32), offset)
        inverse, status = Guarded(c.shape, np.float32, offset), Guarded((3,), np.int32, offset)
        native.cholesky_inverse(c, damping, out=(inverse.array, status.array))
        inverse.assert_intact()
        status.assert_intact()
        assert_inverse(c, damping, inverse.array, status.array)


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    c = covariance(7, 40)
    alone, _ = native.cholesky_inverse(c, 0.01, threads=1)
    for threads in (2, 3, 7):
        assert (native.cholesky_inverse(c, 0.01, threads=threads)[0] == alone).all()
    one_by_one = [native.cholesky_inverse(c[q : q + 1], 0.01)[0][0] for q in range(7)]
    assert (alone == np.stack(one_by_one)).all(), "a block depends on its neighbours"


def test_entry_point_of_the_framework(instruction_set: int) -> None:
    c, damping = covariance(3, 20), np.array([0.1, 0.2, 0.3], np.float32)
    inverse, status = Guarded(c.shape, np.float32, 1), Guarded((3,), np.int32, 1)
    assert aot.call("cholesky_inverse", c, damping, inverse.array, status.array) == Status.OK
    inverse.assert_intact()
    status.assert_intact()
    assert (inverse.array == native.cholesky_inverse(c, damping)[0]).all()


def test_only_the_upper_triangle_is_read(instruction_set: int) -> None:
    """By blocks that fail too: their pivot is named, whatever is below the diagonal."""
    c = covariance(2, 37)
    c[1, 20, 20] = -1
    upper = np.where(np.triu(np.ones((37, 37), bool)), c, np.float32(np.nan))
    inverse, status = native.cholesky_inverse(upper, 0.1)
    assert status.tolist() == [0, 21]
    assert (inverse == native.cholesky_inverse(c, 0.1)[0]).all()


def test_in_place(instruction_set: int) -> None:
    c = covariance(3, 37)
    expected, _ = native.cholesky_inverse(c, 0.1)
    inverse, _ = native.cholesky_inverse(c, 0.1, out=(c, np.empty(3, np.int32)))
    assert inverse is c and (c == expected).all()


def test_the_failing_pivot_is_named_and_the_inverse_is_zero(instruction_set: int) -> None:
    for edge in (1, 2, 16, 17, 40):
        for pivot in {1, 2, edge // 2, edge - 1, edge} & set(range(1, edge + 1)):
            for diagonal in (0.0, -1.0):
                c = covariance(3, edge)
                c[1, pivot - 1, :] = c[1, :, pivot - 1] = 0
                c[1, pivot - 1, pivot - 1] = diagonal
                inverse, status = native.cholesky_inverse(c, 0.0)
                assert status.tolist() == [0, pivot, 0] == reference.cholesky_inverse(c, 0.0)[1].tolist()
                assert (inverse[1] == 0).all() and (inverse[0] != 0).any() and (inverse[2] != 0).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_reported(instruction_set: int, value: float) -> None:
    for row, column in ((0, 0), (3, 30), (20, 20), (0, 36)):
        c = covariance(3, 37)
        c[1, row, column] = c[1, column, row] = value
        inverse, status = native.cholesky_inverse(c, 0.1)
        assert status.tolist() == [0, -1, 0] and (inverse[1] == 0).all()
    inverse, status = native.cholesky_inverse(covariance(3, 37), np.array([0, value, 0], np.float32))
    assert status.tolist() == [0, -1, 0] and (inverse[1] == 0).all()


def test_an_inverse_that_overflows_is_reported(instruction_set: int) -> None:
    inverse, status = native.cholesky_inverse(np.full((1, 1, 1), 1e-39, np.float32), 0.0)
    assert status.tolist() == [-1] == reference.cholesky_inverse([[[1e-39]]], 0.0)[1].tolist()
    assert (inverse == 0).all()


def test_damping_is_added_to_each_block(instruction_set: int) -> None:
    inverse, _ = native.cholesky_inverse(np.zeros((3, 20, 20), np.float32), np.array([1, 4, 16], np.float32))
    assert (inverse == np.eye(20) / np.array([1, 4, 16]).reshape(3, 1, 1)).all()


def test_no_blocks() -> None:
    inverse, status = native.cholesky_inverse(np.empty((0, 8, 8), np.float32), 0.1)
    assert inverse.shape == (0, 8, 8) and status.shape == (0,)


@pytest.mark.parametrize(
    ("shape", "damping", "error", "sentence"),
    [
        ((4, 4), 0.1, ValueError, "blocks, edge, edge"),
        ((2, 4, 3), 0.1, ValueError, "blocks, edge, edge"),
        ((2, 0, 0), 0.1, ValueError, "edge >= 1"),
        ((2, 4, 4), np.zeros(3, np.float32), ValueError, "damping has shape"),
        ((2, 4, 4), np.zeros(2), TypeError, "damping has element type float64"),
    ],
)
def test_bad_arguments_get_a_sentence(shape: tuple[int, ...], damping: object, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        native.cholesky_inverse(np.zeros(shape, np.float32), damping)


def test_bad_entry_arguments_get_a_status() -> None:
    c, damping, status = covariance(2, 4), np.zeros(2, np.float32), np.zeros(2, np.int32)
    inverse = np.full(c.shape, np.nan, np.float32)
    cases = [
        ((c, damping, inverse), Status.BAD_ARGUMENT_COUNT),
        ((c, damping, inverse, damping), Status.BAD_DTYPE),
        ((c, damping[:1], inverse, status), Status.BAD_SHAPE),
        ((c, damping, inverse[:1], status), Status.BAD_SHAPE),
        ((c[:, :3], damping, inverse[:, :3], status), Status.BAD_BLOCK),
    ]
    for tensors, code in cases:
        assert aot.call("cholesky_inverse", *tensors) == code
    shapes = [c.shape, (2,), c.shape, (2,)]
    assert aot.call("cholesky_inverse", None, damping, inverse, status, shapes=shapes) == Status.NULL_POINTER
    assert np.isnan(inverse).all(), "written before the arguments were checked"
    assert str(KernelError("cholesky_inverse", Status.BAD_BLOCK)).startswith("cholesky_inverse: the block edge")
