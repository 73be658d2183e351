"""attention: scores stay in scratch memory, the gradient recomputes them and the mask."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS
from comparison import UNIT, assert_entry_point, assert_entry_point_refuses, assert_within, call_guarded, to_bf16

from bert_thor.kernels.attention import native, reference
from bert_thor.kernels.attention.cases import SIZES
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
SEED, SITE = np.array([1, -2, 3, 5], np.int32), 7


def problem(batch: int, heads: int, length: int, size: int) -> list[np.ndarray]:
    """dout, qkv, bias, mask with a quarter of the keys padded, never the first."""
    rng = np.random.default_rng(1000 * length + size)
    rows, hidden = batch * length, heads * size
    dout, qkv, bias = (rng.standard_normal(s).astype(F32) for s in ((rows, hidden), (rows, 3 * hidden), 3 * hidden))
    mask = np.where(rng.random((batch, length)) < 0.25, -10000, 0).astype(F32)
    mask[:, 0] = 0
    return [dout, qkv, bias, mask]


def assert_close(actual: np.ndarray, expected: np.ndarray, terms: int) -> None:
    """In units of the largest element: sums over `terms` keys or head elements, and an exponential of a rounded score."""
    assert_within(actual, expected, UNIT * 2 * (terms + 24) * max(1.0, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("probability", [0.0, 0.1])
@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int, probability: float) -> None:
    for shape in SIZES:
        batch, heads, length, size = shape
        dout, qkv, bias, mask = problem(*shape)
        inputs: list[Any] = [qkv, bias, mask, heads, probability, SEED, SITE]
        sizes = [(batch * length, heads * size), (batch, heads, length)]
        out, log_sum_exp = call_guarded(native.attention, inputs, sizes, [F32] * 2, offset)
        for ours, theirs in zip((out, log_sum_exp), reference.attention(*inputs)):
            assert_close(ours, theirs, length + size)
        gradient_inputs: list[Any] = [dout, qkv, bias, mask, log_sum_exp, probability, SEED, SITE]
        outputs = call_guarded(native.attention_grad, gradient_inputs, [qkv.shape, bias.shape], [F32] * 2, offset)
        dqkv, dbias = reference.attention_grad(dout, *inputs)
        assert_close(outputs[0], dqkv, length + size)
        assert_within(
            outputs[1], dbias, UNIT * 2 * (length + size + 24) * (np.abs(dqkv).sum(axis=0) + np.abs(dqkv).max())
        )


def test_long_sequence(instruction_set: int) -> None:
    dout, qkv, bias, mask = problem(1, 1, 512, 64)
    out, log_sum_exp = native.attention(qkv, bias, mask, 1, 0.1, SEED, SITE)
    assert_close(out, reference.attention(qkv, bias, mask, 1, 0.1, SEED, SITE)[0], 576)
    dqkv = native.attention_grad(dout, qkv, bias, mask, log_sum_exp, 0.1, SEED, SITE)[0]
    assert_close(dqkv, reference.attention_grad(dout, qkv, bias, mask, 1, 0.1, SEED, SITE)[0], 576)


def test_padded_keys_count_for_nothing(instruction_set: int) -> None:
    _dout, qkv, bias, mask = problem(1, 2, 20, 16)
    mask[0, 5:] = -10000
    before = native.attention(qkv, bias, mask, 2, 0.0, SEED, SITE)[0]
    qkv[5:, 32:] = 100  # keys and values, not queries
    assert (native.attention(qkv, bias, mask, 2, 0.0, SEED, SITE)[0] == before).all()


def test_large_scores_do_not_overflow(instruction_set: int) -> None:
    _, qkv, bias, mask = problem(1, 1, 40, 16)
    out, log_sum_exp = native.attention(qkv * 100, bias, mask, 1, 0.0, SEED, SITE)
    expected = reference.attention(qkv * 100, bias, mask, 1, 0.0, SEED, SITE)
    assert np.isfinite(out).all()
    assert_within(log_sum_exp, expected[1], UNIT * 64 * np.abs(expected[1]).max())


def test_a_nan_stays_in_its_sequence(instruction_set: int) -> None:
    _, qkv, bias, mask = problem(3, 2, 10, 8)
    clean = native.attention(qkv, bias, mask, 2, 0.1, SEED, SITE)[0]
    qkv[15, 40] = np.nan  # a value of head 1 in sequence 1
    out = native.attention(qkv, bias, mask, 2, 0.1, SEED, SITE)[0]
    assert (out[:10] == clean[:10]).all() and (out[20:] == clean[20:]).all()
    assert np.isnan(out[10:20, 8]).any() and (out[10:20, :8] == clean[10:20, :8]).all()


def test_slices_of_a_batch_drop_what_the_whole_drops(instruction_set: int) -> None:
    dout, qkv, bias, mask = problem(6, 2, 9, 5)
    tail = (0.3, np.int32([*SEED[:3], 0]), SITE)
    out, log_sum_exp = native.attention(qkv, bias, mask, 2, *tail)
    dqkv, _ = native.attention_grad(dout, qkv, bias, mask, log_sum_exp, *tail)
    for number in range(3):
        rows, sequences = slice(18 * number, 18 * number + 18), slice(2 * number, 2 * number + 2)
        tail = (0.3, np.int32([*SEED[:3], number]), SITE)
        part, sums = native.attention(qkv[rows], bias, mask[sequences], 2, *tail)
        gradient, _ = native.attention_grad(dout[rows], qkv[rows], bias, mask[sequences], sums, *tail)
        assert (part == out[rows]).all() and (gradient == dqkv[rows]).all()


@pytest.mark.parametrize("dtype", [F32, np.uint16], ids=["float32", "bfloat16"])
def test_same_bits_for_any_number_of_threads(instruction_set: int, dtype: type) -> None:
    dout, qkv, bias, mask = problem(3, 3, 71, 24)
    if dtype is np.uint16:
        dout, qkv = to_bf16(dout), to_bf16(qkv)

    def run(threads: int) -> list[np.ndarray]:
        out, log_sum_exp = native.attention(qkv, bias, mask, 3, 0.1, SEED, SITE, threads=threads)
        gradient = native.attention_grad(dout, qkv, bias, mask, log_sum_exp, 0.1, SEED, SITE, threads=threads)
        return [out, log_sum_exp, *gradient]

    alone = run(1)
    for threads in (2, 3, 16):
        for one, other in zip(alone, run(threads)):
            assert (one == other).all()


def test_reference_gradient_is_the_derivative() -> None:
    """Central differences of a definition written out again, with einsum."""
    dout, qkv, bias, mask = (value.astype(np.float64) for value in problem(2, 2, 4, 3))

    def loss(qkv: np.ndarray) -> float:
        q, k, v = (qkv + bias).reshape(2, 4, 3, 2, 3).transpose(2, 0, 1, 3, 4)
        scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(3) + mask[:, None, None]
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return float((np.einsum("bhqk,bkhd->bqhd", weights, v).reshape(8, 6) * dout).sum())

    dqkv, dbias = reference.attention_grad(dout, qkv, bias, mask, 2, 0.0, SEED, SITE)
    for index in np.ndindex(qkv.shape):
        step = np.zeros_like(qkv)
        step[index] = 1e-5
        assert abs(dqkv[index] - (loss(qkv + step) - loss(qkv - step)) / 2e-5) <= 1e-6
    assert_within(dbias, dqkv.sum(axis=0), 1e-6)


def entry_problem() -> tuple[list[np.ndarray], tuple[np.ndarray, ...], list[np.ndarray], tuple[np.ndarray, ...]]:
    dout, qkv, bias, mask = problem(2, 3, 5, 7)
    out = native.attention(qkv, bias, mask, 3, 0.1, SEED, SITE)
    gradients = native.attention_grad(dout, qkv, bias, mask, out[1], 0.1, SEED, SITE)
    tail = [F32([0.1]), SEED, np.int32([SITE])]
    return [qkv, bias, mask, *tail], out, [dout, qkv, bias, mask, out[1], *tail], gradients


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    inputs, out, gradient_inputs, gradients = entry_problem()
    assert_entry_point("attention", inputs, out)
    assert_entry_point("attention_grad", gradient_inputs, gradients)
    assert_entry_point_refuses("attention", inputs, out)
    assert_entry_point_refuses("attention_grad", gradient_inputs, gradients)
    inputs[3] = gradient_inputs[5] = F32([1.0])
    assert aot.call("attention", *inputs, *out) == Status.BAD_VALUE
    assert aot.call("attention_grad", *gradient_inputs, *gradients) == Status.BAD_VALUE


def test_empty_batch(instruction_set: int) -> None:
    qkv, bias, mask = np.empty((0, 12), F32), np.ones(12, F32), np.empty((0, 5), F32)
    out, log_sum_exp = native.attention(qkv, bias, mask, 2, 0.1, SEED, SITE)
    dqkv, dbias = native.attention_grad(out, qkv, bias, mask, log_sum_exp, 0.1, SEED, SITE)
    assert out.shape == (0, 4) and dqkv.shape == (0, 12) and (dbias == 0).all()


def test_bad_arguments_get_a_sentence() -> None:
    _, qkv, bias, mask = problem(2, 3, 5, 7)
    with pytest.raises(ValueError, match=r"qkv has 63 columns; pass a multiple of 3 \* heads = 6"):
        native.attention(qkv, bias, mask, 2, 0.1, SEED, SITE)
    with pytest.raises(ValueError, match=r"qkv has 9 rows; pass batch \* length = 2 \* 5"):
        native.attention(qkv[:9], bias, mask, 3, 0.1, SEED, SITE)
    with pytest.raises(KernelError, match="0 <= dropout < 1"):
        native.attention(qkv, bias, mask, 3, 1.0, SEED, SITE)
