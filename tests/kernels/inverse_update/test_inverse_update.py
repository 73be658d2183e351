"""inverse_update: a candidate is taken where its status is 0 and its condition number is within the limit."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import UNIT, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.inverse_update import native, reference
from bert_thor.kernels.inverse_update.cases import SIZES
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
LIMIT = 1e3


def problem(blocks: int, edge: int) -> list[Any]:
    """inverse, block, damping, candidate, status; every third status is not 0, every fourth candidate too large."""
    rng = np.random.default_rng(blocks * 1009 + edge)
    inverse, block, candidate = rng.standard_normal((3, blocks, edge, edge)).astype(F32)
    candidate /= edge * edge
    candidate[3::4] *= F32(1e6)
    status = np.where(np.arange(blocks) % 3 == 2, np.arange(blocks) - 4, 0).astype(np.int32)
    return [inverse, block, rng.random(blocks).astype(F32), candidate, status]


def assert_update(outputs: Any, inputs: list[Any], limit: float = LIMIT) -> None:
    """NumPy's own 1-norms in float64; blocks whose condition is the limit within rounding would be left open."""
    inverse, block, damping, candidate, status = inputs
    following, condition = outputs
    exact = np.array(
        [
            (np.linalg.norm(b, 1) + d) * np.linalg.norm(c, 1)
            for b, d, c in zip(block.astype(np.float64), damping, candidate.astype(np.float64))
        ]
    ).reshape(len(block))
    assert_within(condition, exact, (2 * block.shape[1] + 4) * UNIT * exact + 1e-37)
    assert (np.abs(exact - limit) > 1e-3 * limit).all()
    taken = (status == 0) & (exact <= limit)
    assert (following == np.where(taken[:, None, None], candidate, inverse)).all()


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for blocks, edge in SIZES:
        inputs = problem(blocks, edge)
        sizes = [(blocks, edge, edge), (blocks,)]
        assert_update(call_guarded(native.inverse_update, (*inputs, LIMIT), sizes, [F32, F32], offset), inputs)


def test_reference_is_the_definition() -> None:
    inputs = problem(8, 21)
    assert_update(reference.inverse_update(*inputs, LIMIT), inputs)


def test_columns_are_summed_not_rows(instruction_set: int) -> None:
    """Of matrices that are not symmetric, where it matters."""
    block = np.zeros((1, 20, 20), F32)
    block[0, 3], block[0, 5, 3] = -1.0, 2.0
    eye = np.eye(20, dtype=F32)[None]
    one, zero = np.zeros(1, F32), np.zeros(1, np.int32)
    assert native.inverse_update(eye, block, one, eye, zero, LIMIT)[1] == 3
    assert native.inverse_update(eye, eye, one, block, zero, LIMIT)[1] == 3


def test_condition_bounds_that_of_the_damped_block(instruction_set: int) -> None:
    """For a Gram matrix and its damped inverse: no less than NumPy's own condition number, and equal for a diagonal."""
    x = np.random.default_rng(3).standard_normal((40, 30))
    c, damping = (x.T @ x / 40).astype(F32), F32([0.01])
    damped = c + 0.01 * np.eye(30)
    inverse = np.linalg.inv(damped).astype(F32)[None]
    found = native.inverse_update(inverse, c[None], damping, inverse, np.zeros(1, np.int32), 1e9)[1]
    assert np.linalg.cond(damped, 1) <= found[0] * (1 + 1e-5) <= 3 * np.linalg.cond(damped, 1)
    d = np.diag(np.arange(1, 31)).astype(F32)[None]
    exact = np.linalg.inv(d[0] + 0.01 * np.eye(30)).astype(F32)[None]
    found = native.inverse_update(exact, d, damping, exact, np.zeros(1, np.int32), 1e9)[1]
    assert found[0] == pytest.approx(30.01 / 1.01, rel=1e-6)


@pytest.mark.parametrize("place", [(0, 0), (1, 16), (16, 1), (8, 8)])
@pytest.mark.parametrize("which", [1, 2, 3])
def test_what_is_not_a_number_is_not_taken(instruction_set: int, which: int, place: tuple[int, int]) -> None:
    inputs = problem(2, 17)
    inputs[4][:] = 0
    spoilt = inputs[which]
    spoilt[(1, *place) if which != 2 else 1] = np.nan
    following, condition = native.inverse_update(*inputs, LIMIT)
    assert np.isnan(condition[1]) and np.isfinite(condition[0])
    assert (following[1] == inputs[0][1]).all() and (following[0] == inputs[3][0]).all()


def test_the_limit_itself_is_within(instruction_set: int) -> None:
    two, one = np.full((1, 1, 1), 2.0, F32), np.ones(1, F32)
    ok = np.zeros(1, np.int32)
    assert native.inverse_update(0 * two, two, one, two, ok, 6.0)[0] == 2
    assert native.inverse_update(0 * two, two, one, two, ok, 5.9)[0] == 0


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    inputs = problem(9, 70)
    alone = native.inverse_update(*inputs, LIMIT, threads=1)
    for threads in (2, 3, 7):
        assert all((a == b).all() for a, b in zip(alone, native.inverse_update(*inputs, LIMIT, threads=threads)))


def test_outputs_may_replace_inputs(instruction_set: int) -> None:
    expected, condition = native.inverse_update(*problem(8, 19), LIMIT)
    for place in (0, 3):
        inputs = problem(8, 19)
        found = native.inverse_update(*inputs, LIMIT, out=(inputs[place], np.empty(8, F32)))
        assert (inputs[place] == expected).all() and (found[1] == condition).all()


def test_entry_point_changes_the_inverse(instruction_set: int) -> None:
    inputs = problem(8, 18)
    expected, condition = native.inverse_update(*inputs, LIMIT)
    kept, out = Guarded(expected.shape, F32, 1), Guarded((8,), F32, 1)
    kept.array[...] = inputs[0]
    limit = F32([LIMIT])
    assert aot.call("inverse_update", kept.array, *inputs[1:], limit, out.array) == Status.OK
    kept.assert_intact()
    out.assert_intact()
    assert (kept.array == expected).all() and (out.array == condition).all()
    before, tensors = inputs[0].copy(), (*inputs, limit)
    assert_entry_point_refuses("inverse_update", tensors, (np.zeros(8, F32),))
    for value in (-1.0, np.nan, np.inf):
        assert aot.call("inverse_update", *inputs, F32([value]), out.array) == Status.BAD_VALUE
    assert aot.call("inverse_update", *inputs, np.ones(2, F32), out.array) == Status.BAD_SHAPE
    flat = [value[:, :9].copy() if value.ndim == 3 else value for value in inputs]
    assert aot.call("inverse_update", *flat, limit, out.array) == Status.BAD_BLOCK
    matrices = [value[0].copy() if value.ndim == 3 else value for value in inputs]
    assert aot.call("inverse_update", *matrices, limit, out.array) == Status.BAD_SHAPE
    assert (inputs[0] == before).all()


def test_bad_arguments_get_a_sentence() -> None:
    inputs = problem(3, 4)
    for place, sentence in (
        (1, r"block has shape \(2, 4, 4\); pass shape \(3, 4, 4\)"),
        (2, r"damping has shape \(2,\); pass shape \(3,\)"),
        (3, r"candidate has shape \(2, 4, 4\); pass shape \(3, 4, 4\)"),
        (4, r"status has shape \(2,\); pass shape \(3,\)"),
    ):
        spoilt = [*inputs]
        spoilt[place] = spoilt[place][:2]
        with pytest.raises(ValueError, match=sentence):
            native.inverse_update(*spoilt, LIMIT)
    for limit in (-1.0, np.nan, np.inf):
        with pytest.raises(KernelError):
            native.inverse_update(*inputs, limit)
