"""factor_average: a factor over time, the first capture whole, without blocks that are not finite."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import UNIT, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.factor_average import native, reference
from bert_thor.kernels.factor_average.cases import SIZES
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
KEEP, SCALE = float(F32(0.9)), 0.25  # numbers that float32 has, as 1 - KEEP is


def problem(blocks: int, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """factor and captured, with positive diagonals."""
    rng = np.random.default_rng(blocks * 1009 + edge)
    pair = rng.standard_normal((2, blocks, edge, edge)).astype(F32)
    pair[..., np.arange(edge), np.arange(edge)] += 5.0
    return pair[0], pair[1]


def with_value(captured: np.ndarray, place: tuple[int, int], value: float) -> np.ndarray:
    """The second and the fourth block with `value` in one place."""
    spoilt = captured.copy()
    spoilt[(1, 3), place[0], place[1]] = value
    return spoilt


def assert_average(
    outputs: tuple[np.ndarray, ...], factor: np.ndarray, captured: np.ndarray, sound: np.ndarray, keep: float
) -> None:
    """The definition in float64: 5 roundings of the terms' sizes."""
    old, new = keep * factor.astype(np.float64), (1 - keep) * SCALE * captured.astype(np.float64)
    following, summary = outputs
    bound = 5 * UNIT * (np.abs(old) + np.abs(new)) + 1e-37
    assert_within(following[sound], (old + new)[sound], bound[sound])
    assert (following[~sound] == factor[~sound]).all()
    trace = np.trace(following.astype(np.float64), axis1=1, axis2=2).sum()
    assert summary[0] == F32(trace) and summary[1] == (~sound).sum()


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for shape in SIZES:
        factor, captured = problem(*shape)
        sizes = [factor.shape, (2,)]
        outputs = call_guarded(native.factor_average, (factor, captured, KEEP, SCALE), sizes, [F32, F32], offset)
        assert_average(tuple(outputs), factor, captured, np.ones(shape[0], bool), KEEP)


def test_reference_is_the_definition() -> None:
    factor, captured = problem(4, 20)
    captured[2, 7, 7] = captured[0, 3, 7] = np.nan
    outputs = reference.factor_average(factor, captured, KEEP, SCALE)
    assert_average(outputs, factor, captured, np.array([False, True, False, True]), KEEP)


@pytest.mark.parametrize("place", [(0, 299), (150, 149), (299, 298)])
def test_every_task_of_a_large_block_is_looked_at(instruction_set: int, place: tuple[int, int]) -> None:
    """90,000 elements are six tasks; the trace runs through all of them."""
    factor, captured = problem(2, 300)
    captured[(1, *place)] = np.inf
    sound = np.array([True, False])
    assert_average(native.factor_average(factor, captured, KEEP, SCALE, threads=2), factor, captured, sound, KEEP)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("place", [(0, 0), (8, 8), (16, 16), (0, 1), (9, 8), (16, 15), (16, 0)])
def test_a_block_that_is_not_finite_is_left_out(instruction_set: int, value: float, place: tuple[int, int]) -> None:
    """On the diagonal or beside it; 1e39 is what the scale makes of a finite number."""
    factor, captured = problem(4, 17)
    if value == 1e39:
        captured, value = captured / F32(64), 2e38
        following, summary = native.factor_average(factor, with_value(captured, place, value), KEEP, 64 * SCALE)
        assert summary[1] == 2 and np.isfinite(following).all() and (following[[1, 3]] == factor[[1, 3]]).all()
        return
    captured = with_value(captured, place, value)
    sound = np.array([True, False, True, False])
    assert_average(native.factor_average(factor, captured, KEEP, SCALE), factor, captured, sound, KEEP)
    in_place = factor.copy()
    following, _ = native.factor_average(in_place, captured, KEEP, SCALE, out=(in_place, np.empty(2, F32)))
    assert (following == native.factor_average(factor, captured, KEEP, SCALE)[0]).all()


@pytest.mark.parametrize("function", [native.factor_average, reference.factor_average])
@pytest.mark.parametrize(("largest", "scale"), [(1e30, 1e10), (2e38, 1.0)], ids=["by the scale", "by the sum"])
def test_a_trace_that_overflows_is_left_out(instruction_set: int, function: Any, largest: float, scale: float) -> None:
    factor, captured = problem(2, 3)
    captured[1] = np.eye(3, dtype=F32) * F32(largest)
    following, summary = function(factor, captured, KEEP, scale)
    assert summary[1] == 1 and (following[1] == factor[1]).all() and np.isfinite(following).all()


def test_the_traces_are_those_of_all_of_a_large_block_and_of_what_is_scaled(instruction_set: int) -> None:
    """90,000 elements are six tasks: a trace that overflows in the first, and a factor that has its trace there alone."""
    factor, captured = problem(1, 300)
    factor[0, range(20, 300), range(20, 300)] = 0
    sound = np.ones(1, bool)
    assert_average(native.factor_average(factor, captured, KEEP, SCALE), factor, captured, sound, KEEP)
    captured[0, [0, 1], [0, 1]] = 2e38
    assert native.factor_average(factor, captured, KEEP, 1.0)[1][1] == 1
    following, summary = native.factor_average(factor, captured, KEEP, SCALE)
    assert summary[1] == 0 and (following != factor).any()


def test_the_first_capture_is_taken_whole(instruction_set: int) -> None:
    """While the whole factor has no trace; a block without one among others is averaged."""
    factor, captured = problem(3, 9)
    sound = np.ones(3, bool)
    assert_average(native.factor_average(0 * factor, captured, KEEP, SCALE), 0 * factor, captured, sound, 0.0)
    factor[:2] = 0
    assert_average(native.factor_average(factor, captured, KEEP, SCALE), factor, captured, sound, KEEP)


@pytest.mark.parametrize("edge", [9, 300])
def test_the_first_capture_has_the_bits_of_0_times_the_factor_plus_it(instruction_set: int, edge: int) -> None:
    """A trace below zero or none at all; zeros of both signs, NaN and infinity, in place and not."""
    factor, captured = problem(2, edge)
    factor[:, range(edge), range(edge)] -= 10
    captured[:, 1, 2:8] = factor[:, 3, 2:5] = factor[:, 1, 2:4] = 0
    captured[:, 1, 4:8] *= -1
    factor[:, 1, 3] *= -1
    for value in (1.0, np.nan, np.inf):
        factor[1, 5, 6] = value
        with np.errstate(invalid="ignore"):
            expected = F32(0) * factor + F32(SCALE) * captured
        following, _ = native.factor_average(factor, captured, KEEP, SCALE)
        in_place = factor.copy()
        native.factor_average(in_place, captured, KEEP, SCALE, out=(in_place, np.empty(2, F32)))
        for ours in (following, in_place):
            assert np.array_equal(ours, expected, equal_nan=True)
            assert (np.signbit(ours) == np.signbit(expected))[~np.isnan(expected)].all()
        factor[0, 0, 0] = np.nan  # the trace of all is none


def test_a_constant_capture_is_its_own_average() -> None:
    """Closed form: after an average of zero trace it is there at once, and stays."""
    _, captured = problem(2, 5)
    factor = np.zeros_like(captured)
    for _ in range(20):
        factor, _ = native.factor_average(factor, captured, KEEP, 1.0)
        assert_within(factor, captured.astype(np.float64), 40 * UNIT * np.abs(captured))


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    factor, captured = problem(3, 260)
    alone = native.factor_average(factor, captured, KEEP, SCALE, threads=1)
    for threads in (2, 3, 7):
        shared = native.factor_average(factor, captured, KEEP, SCALE, threads=threads)
        assert all((a == b).all() for a, b in zip(alone, shared))


def test_every_step_is_rounded_on_its_own(instruction_set: int) -> None:
    """keep f + (1 - keep) (scale c) in float32, operation by operation: the same bits on every instruction set."""
    factor, captured = problem(2, 50)
    keep, scale = F32(KEEP), F32(0.3)
    expected = keep * factor + (F32(1) - keep) * (scale * captured)
    following, summary = native.factor_average(factor, captured, KEEP, 0.3)
    assert (following == expected).all()
    assert summary[0] == F32(np.trace(expected.astype(np.float64), axis1=1, axis2=2).sum())


def test_entry_point_changes_the_factor(instruction_set: int) -> None:
    factor, captured = problem(3, 20)
    expected, summary = native.factor_average(factor, captured, KEEP, SCALE)
    kept, out = Guarded(factor.shape, F32, 1), Guarded((2,), F32, 1)
    kept.array[...] = factor
    scalars = F32([KEEP]), F32([SCALE])
    assert aot.call("factor_average", kept.array, captured, *scalars, out.array) == Status.OK
    kept.assert_intact()
    out.assert_intact()
    assert (kept.array == expected).all() and (out.array == summary).all()
    before, inputs = factor.copy(), (factor, captured, *scalars)
    assert_entry_point_refuses("factor_average", inputs, (np.zeros(2, F32),))
    for place, value in ((2, -0.1), (2, 1.1), (2, np.nan), (3, -1.0), (3, np.inf)):
        spoilt = [*inputs, np.zeros(2, F32)]
        spoilt[place] = F32([value])
        assert aot.call("factor_average", *spoilt) == Status.BAD_VALUE and (spoilt[4] == 0).all()
    for place, count in ((2, 2), (3, 2), (4, 3)):
        spoilt = [*inputs, np.zeros(2, F32)]
        spoilt[place] = np.zeros(count, F32)
        assert aot.call("factor_average", *spoilt) == Status.BAD_SHAPE
    flat = factor[:, :10].copy()
    assert aot.call("factor_average", flat, flat, *scalars, out.array) == Status.BAD_BLOCK
    assert aot.call("factor_average", factor[0], captured[0], *scalars, out.array) == Status.BAD_SHAPE
    assert (factor == before).all()


def test_bad_arguments_get_a_sentence() -> None:
    factor, captured = problem(3, 4)
    with pytest.raises(ValueError, match=r"captured has shape \(2, 4, 4\); pass shape \(3, 4, 4\)"):
        native.factor_average(factor, captured[:2], KEEP, SCALE)
    with pytest.raises(ValueError, match=r"factor has shape \(3, 2, 4\); pass \[blocks, edge, edge\]"):
        native.factor_average(factor[:, :2].copy(), captured, KEEP, SCALE)
    for keep, scale in ((1.5, 1.0), (-0.5, 1.0), (np.nan, 1.0), (0.5, -1.0), (0.5, np.inf)):
        with pytest.raises(KernelError):
            native.factor_average(factor, captured, keep, scale)
