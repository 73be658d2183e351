"""l2_norm: the norms of the parts of a tensor, in double over pieces."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS
from comparison import UNIT, assert_entry_point, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.l2_norm import native, reference
from bert_thor.kernels.l2_norm.cases import SIZES
from bert_thor.kernels.status import Status

F32 = np.float32


def problem(parts: int, elements: int) -> np.ndarray:
    """Every part has a size of its own."""
    rng = np.random.default_rng(parts * 100_003 + elements)
    return (rng.standard_normal((parts, elements)) * np.exp(rng.standard_normal((parts, 1)))).astype(F32)


def assert_norms(norms: np.ndarray, x: np.ndarray) -> None:
    exact = np.linalg.norm(x.astype(np.float64), axis=1)
    assert_within(norms, exact, 40 * UNIT * exact)


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for shape in SIZES:
        x = problem(*shape)
        assert_norms(call_guarded(native.l2_norm, (x, len(x)), [(len(x),)], [F32], offset, single=True)[0], x)


def test_reference_is_numpys() -> None:
    x = problem(3, 70)
    assert_within(
        reference.l2_norm(x, 3), np.linalg.norm(x.astype(np.float64), axis=1), UNIT * 2 * np.abs(x).max() * 70
    )


def test_many_elements_lose_nothing(instruction_set: int) -> None:
    """A million ones: a single float sum would stop growing only at 2^24, but a sum in lanes already rounds."""
    assert native.l2_norm(np.ones(2**20, F32))[0] == 2**10
    x = np.full(3_000_000, 0.1, F32)
    assert_norms(native.l2_norm(x), x[None])


def test_large_and_small_elements(instruction_set: int) -> None:
    """Squares of a whole piece fit into float up to 2.8e17, and their sum goes on in double."""
    x = np.full(100_000, 2e17, F32)
    assert_norms(native.l2_norm(x), x[None])
    x = np.full(100, 1e-18, F32)
    assert_norms(native.l2_norm(x), x[None])
    assert native.l2_norm(np.zeros(5, F32))[0] == 0
    assert native.l2_norm(F32([1e30, 0]))[0] == np.inf and np.isnan(native.l2_norm(F32([1, np.nan]))[0])


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    for shape in [(1, 200_001), (7, 30_000), (300, 5)]:
        x = problem(*shape)
        alone = native.l2_norm(x, len(x), threads=1)
        for threads in (2, 3, 7):
            assert (native.l2_norm(x, len(x), threads=threads) == alone).all()


def test_entry_point_of_the_framework(instruction_set: int) -> None:
    x = problem(3, 35)
    assert_entry_point("l2_norm", (x,), (native.l2_norm(x, 3),))
    assert_entry_point("l2_norm", (x,), (native.l2_norm(x),))
    assert_entry_point_refuses("l2_norm", (x,), (np.zeros(3, F32),))
    assert aot.call("l2_norm", x, np.zeros(0, F32)) == Status.BAD_SHAPE


def test_bad_arguments_get_a_sentence() -> None:
    with pytest.raises(ValueError, match="12 elements do not fall into 5 equal parts"):
        native.l2_norm(np.ones(12, F32), 5)
    with pytest.raises(ValueError, match="0 equal parts"):
        native.l2_norm(np.ones(12, F32), 0)
    with pytest.raises(TypeError, match="float64"):
        native.l2_norm(np.ones(12))
