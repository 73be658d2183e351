"""attention in bfloat16: as precise as float32 arithmetic that is rounded once, allowing twice its error."""

from __future__ import annotations

import numpy as np
import pytest
from comparison import assert_entry_point, assert_entry_point_refuses, from_bf16, to_bf16

from bert_thor.kernels.attention import native, reference

F32 = np.float32
SEED, SITE = np.array([1, -2, 3, 5], np.int32), 7


def problem(batch: int, heads: int, length: int, size: int) -> list[np.ndarray]:
    """dout and qkv in bfloat16, bias, mask with a quarter of the keys padded, never the first."""
    rng = np.random.default_rng(1000 * length + size)
    rows, hidden = batch * length, heads * size
    dout, qkv, bias = (rng.standard_normal(s).astype(F32) for s in ((rows, hidden), (rows, 3 * hidden), 3 * hidden))
    mask = np.where(rng.random((batch, length)) < 0.25, -10000, 0).astype(F32)
    mask[:, 0] = 0
    return [to_bf16(dout), to_bf16(qkv), bias, mask]


def rounded_once(x: np.ndarray) -> np.ndarray:
    return from_bf16(to_bf16(x))


def assert_twice_the_error(ours: np.ndarray, float32: np.ndarray, exact: np.ndarray) -> None:
    """The largest error and the root mean square of ours are at most twice those of float32 arithmetic, rounded once."""
    error, theirs = (np.abs(x.astype(np.float64) - exact) for x in (from_bf16(ours), rounded_once(float32)))
    assert error.max() <= 2 * theirs.max()
    assert np.sqrt(np.square(error).mean()) <= 2 * np.sqrt(np.square(theirs).mean())


@pytest.mark.parametrize("probability", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 3, 128, 64), (1, 2, 77, 33), (1, 2, 300, 64), (4, 2, 20, 16)], ids=str)
def test_error_is_at_most_twice_that_of_one_rounding(
    instruction_set: int, shape: tuple[int, ...], probability: float
) -> None:
    """Beside NumPy in float32 on the same numbers, against float64: out, dqkv; log_sum_exp and dbias have float32's own error."""
    dout, qkv, bias, mask = problem(*shape)
    wide = (from_bf16(qkv), bias, mask, shape[1], probability, SEED, SITE)
    out, log_sum_exp = native.attention(qkv, *wide[1:])
    exact, exact_log_sum_exp = reference.attention(*wide)
    assert_twice_the_error(out, native.attention(*wide)[0], exact)
    assert np.abs(log_sum_exp - exact_log_sum_exp).max() <= 2.0**-24 * 4 * (shape[3] + 24) * np.abs(log_sum_exp).max()
    gradient = (dout, qkv, bias, mask, log_sum_exp, probability, SEED, SITE)
    dqkv, dbias = native.attention_grad(*gradient)
    exact_dqkv, exact_dbias = reference.attention_grad(from_bf16(dout), *wide)
    float32 = native.attention_grad(from_bf16(dout), *wide[:3], log_sum_exp, probability, SEED, SITE)
    assert_twice_the_error(dqkv, float32[0], exact_dqkv)
    rounded_sum = np.abs(rounded_once(float32[0]).sum(axis=0, dtype=np.float64) - exact_dbias)
    assert np.abs(dbias - exact_dbias).max() <= 2 * rounded_sum.max()


def test_biases_are_not_rounded(instruction_set: int) -> None:
    """Biases that bfloat16 cannot hold, on values that it can."""
    _, qkv, bias, mask = problem(1, 1, 40, 32)
    bias += F32(100) * np.sign(bias)
    wide = (from_bf16(qkv), bias, mask, 1, 0.0, SEED, SITE)
    exact = reference.attention(*wide)[0]
    assert_twice_the_error(native.attention(qkv, *wide[1:])[0], native.attention(*wide)[0], exact)


@pytest.mark.parametrize("length", [1, 3, 15])
def test_what_lies_in_scratch_memory_is_not_used(instruction_set: int, length: int) -> None:
    """It is NaN where the allocator hands out what was freed last; an odd last query and key have no partner."""
    dout, qkv, bias, mask = problem(1, 1, length, 24)
    log_sum_exp = native.attention(qkv, bias, mask, 1, 0.0, SEED, SITE, threads=1)[1]
    for floats in range(1000, 30000, 1000):
        spoiled = [np.full(floats, 0xFFFFFFFF, np.uint32) for _ in range(4)]  # NaN in both types
        del spoiled
        results = native.attention_grad(dout, qkv, bias, mask, log_sum_exp, 0.0, SEED, SITE, threads=1)
        assert np.isfinite(from_bf16(results[0])).all() and np.isfinite(results[1]).all()


@pytest.mark.parametrize("spoiled", [0, 1])
def test_what_is_not_finite_stays_in_its_head(instruction_set: int, spoiled: int) -> None:
    """A head of an odd size ends in the middle of a pair, whose other half is the next head's."""
    length, size, other = 5, 15, 1 - spoiled
    dout, qkv, bias, mask = problem(1, 2, length, size)

    def of_other_head() -> list[np.ndarray]:
        out, log_sum_exp = native.attention(qkv, bias, mask, 2, 0.0, SEED, SITE)
        dqkv, dbias = native.attention_grad(dout, qkv, bias, mask, log_sum_exp, 0.0, SEED, SITE)
        shapes = ((length, 2, size), (length, 3, 2, size), (3, 2, size))
        return [array.reshape(shape)[..., other, :] for array, shape in zip((out, dqkv, dbias), shapes)]

    clean = of_other_head()
    qkv.reshape(length, 3, 2, size)[:, :, spoiled] = to_bf16(np.full(1, np.nan, F32))
    for found, expected in zip(of_other_head(), clean):
        np.testing.assert_array_equal(found, expected)


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    dout, qkv, bias, mask = problem(2, 3, 5, 7)
    tail = [F32([0.1]), SEED, np.int32([SITE])]
    out = native.attention(qkv, bias, mask, 3, 0.1, SEED, SITE)
    gradients = native.attention_grad(dout, qkv, bias, mask, out[1], 0.1, SEED, SITE)
    assert_entry_point("attention", [qkv, bias, mask, *tail], out)
    assert_entry_point("attention_grad", [dout, qkv, bias, mask, out[1], *tail], gradients)
    assert_entry_point_refuses("attention", [qkv, bias, mask, *tail], out)
    assert_entry_point_refuses("attention_grad", [dout, qkv, bias, mask, out[1], *tail], gradients)
