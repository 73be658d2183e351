"""attention whose keys are masked, some or all: -10000 and everything below it count for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from comparison import from_bf16, to_bf16

from bert_thor.kernels.attention import native, reference

F32 = np.float32
HEADS, LENGTH, SIZE = 2, 21, 9
DROPOUT = (0.1, np.array([1, -2, 3, 0], np.int32), 7)
MASKED = [-np.inf, np.finfo(F32).min, -1e4]


def problem(batch: int, dtype: type) -> list[np.ndarray]:
    """dout, qkv, bias, mask: 0 or 1, for a key that counts or not."""
    rng = np.random.default_rng(batch)
    rows, hidden = batch * LENGTH, HEADS * SIZE
    arrays = [rng.standard_normal(s).astype(F32) for s in ((rows, hidden), (rows, 3 * hidden), 3 * hidden)]
    counts = (rng.random((batch, LENGTH)) < 0.7).astype(F32)
    counts[:, 3] = 1
    if dtype is np.uint16:
        arrays[:2] = map(to_bf16, arrays[:2])
    return [*arrays, counts]


def run(dout: np.ndarray, qkv: np.ndarray, bias: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """out, log_sum_exp, dqkv, dbias."""
    out, log_sum_exp = native.attention(qkv, bias, mask, HEADS, *DROPOUT)
    return [out, log_sum_exp, *native.attention_grad(dout, qkv, bias, mask, log_sum_exp, *DROPOUT)]


@pytest.mark.parametrize("dtype", [F32, np.uint16])
def test_all_masking_values_give_the_same_bits(instruction_set: int, dtype: type) -> None:
    dout, qkv, bias, counts = problem(3, dtype)
    counts[1] = 0
    results = [run(dout, qkv, bias, np.where(counts, 0, masked).astype(F32)) for masked in MASKED]
    for other in results[1:]:
        assert all((one == two).all() for one, two in zip(results[0], other))


@pytest.mark.parametrize("masked", MASKED)
@pytest.mark.parametrize("dtype", [F32, np.uint16])
def test_a_sequence_that_is_masked_everywhere_gives_zeros(instruction_set: int, dtype: type, masked: float) -> None:
    """The others, and the gradient of the bias, are what they are without it."""
    dout, qkv, bias, counts = problem(3, dtype)
    mask = np.where(counts, 0, masked).astype(F32)
    mask[2] = masked
    out, log_sum_exp, dqkv, dbias = run(dout, qkv, bias, mask)
    last = slice(2 * LENGTH, None)
    assert (out[last] == 0).all() and (dqkv[last] == 0).all() and np.isneginf(log_sum_exp[2]).all()
    rest = slice(0, 2 * LENGTH)
    expected = run(dout[rest], qkv[rest], bias, mask[:2])
    for ours, alone in zip((out[rest], log_sum_exp[:2], dqkv[rest], dbias), expected):
        assert np.isfinite(ours).all() and (ours == alone).all()


@pytest.mark.parametrize("masked", MASKED)
def test_the_reference_agrees(masked: float) -> None:
    dout, qkv, bias, counts = problem(3, F32)
    counts[0] = 0
    mask = np.where(counts, 0, masked).astype(F32)
    out, log_sum_exp = reference.attention(qkv, bias, mask, HEADS, *DROPOUT)
    dqkv, dbias = reference.attention_grad(dout, qkv, bias, mask, HEADS, *DROPOUT)
    assert (out[:LENGTH] == 0).all() and (dqkv[:LENGTH] == 0).all() and np.isneginf(log_sum_exp[0]).all()
    ours = run(dout, qkv, bias, mask)
    for one, other in zip((ours[0], ours[2], ours[3]), (out, dqkv, dbias)):
        assert np.abs(one - other).max() <= 2.0**-24 * 4 * (LENGTH + SIZE + 24) * LENGTH * np.abs(other).max()


def test_a_mask_above_the_limit_is_added(instruction_set: int) -> None:
    """A sequence with -9999 everywhere attends as if unmasked."""
    _, qkv, bias, counts = problem(1, F32)
    out = native.attention(qkv, bias, 0 * counts - 9999, HEADS, *DROPOUT)[0]
    expected = native.attention(qkv, bias, 0 * counts, HEADS, *DROPOUT)[0]
    assert np.abs(out - expected).max() <= 2.0**-24 * 9999 * 8 * np.abs(expected).max()


def test_a_nan_in_the_mask_is_not_hidden(instruction_set: int) -> None:
    for dtype in (F32, np.uint16):
        _, qkv, bias, counts = problem(1, dtype)
        mask = np.where(counts, 0, -1e4).astype(F32)
        mask[0, 5] = np.nan
        out = native.attention(qkv, bias, mask, HEADS, *DROPOUT)[0]
        assert np.isnan(out if dtype is F32 else from_bf16(out)).any()
