"""adam, adam_update: both moments and the direction or the step, in one pass; a factor for each part of the gradient."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import UNIT, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.adam import native, reference
from bert_thor.kernels.cases import PARTS
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
BETAS, CORRECTION, EPS = (0.9, 0.98), 0.7, 1e-3
RATE, DECAY = 0.3, 0.25


def problem(parts: int, elements: int) -> list[np.ndarray]:
    """first, second, gradient, factors."""
    rng = np.random.default_rng(parts * 100_003 + elements)
    first, gradient = (rng.standard_normal((parts, elements)).astype(F32) for _ in range(2))
    second = rng.random((parts, elements), F32) ** 4
    return [first, second, gradient, rng.uniform(0.5, 2, parts).astype(F32)]


def assert_adam(outputs: Any, first: np.ndarray, second: np.ndarray, gradient: np.ndarray, factors: np.ndarray) -> None:
    """4 units of the terms' sizes in the moments, 7 of itself in the direction of the moments as they are stored."""
    g = factors.astype(np.float64)[:, None] * gradient
    old, new = BETAS[0] * first.astype(np.float64), (1 - BETAS[0]) * g
    assert_within(outputs[0], old + new, 5 * UNIT * (np.abs(old) + np.abs(new)) + 1e-37)
    v = BETAS[1] * second.astype(np.float64) + (1 - BETAS[1]) * g * g
    assert_within(outputs[1], v, 6 * UNIT * v + 1e-37)
    m, v = (output.astype(np.float64) for output in outputs[:2])
    direction = CORRECTION * m / (np.sqrt(v) + EPS)
    assert_within(outputs[2], direction, 7 * UNIT * np.abs(direction) + 1e-37)


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for shape in PARTS:
        arrays = problem(*shape)
        inputs = (*arrays, BETAS, CORRECTION, EPS)
        assert_adam(call_guarded(native.adam, inputs, [shape] * 3, [F32] * 3, offset), *arrays)


@pytest.mark.parametrize("offset", OFFSETS)
def test_update_of_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    """The moments are those of adam bit for bit, and the step is that of its direction, in 5 units of the terms' sizes."""
    for shape in PARTS:
        arrays, weight = problem(*shape), np.random.default_rng(9).standard_normal(shape).astype(F32)
        *moments, direction = native.adam(*arrays, BETAS, CORRECTION, EPS)
        inputs = (weight, *arrays, BETAS, CORRECTION, EPS, RATE, DECAY)
        following, *ours = call_guarded(native.adam_update, inputs, [shape] * 3, [F32] * 3, offset)
        assert all((one == other).all() for one, other in zip(ours, moments))
        kept, step = (1 - RATE * DECAY) * weight.astype(np.float64), RATE * direction.astype(np.float64)
        assert_within(following, kept - step, 5 * UNIT * (np.abs(kept) + np.abs(step)) + 1e-37)


def test_reference_is_the_definition() -> None:
    arrays = problem(3, 70)
    found = reference.adam(*arrays, BETAS, CORRECTION, EPS)
    assert_adam(found, *arrays)
    weight = np.ones((3, 70), F32)
    step = reference.adam_update(weight, *arrays, BETAS, CORRECTION, EPS, RATE, DECAY)
    assert_within(step[0], 1 - RATE * DECAY - RATE * found[2].astype(np.float64), 4 * UNIT * (1 + np.abs(found[2])))
    assert (step[1] == found[0]).all() and (step[2] == found[1]).all()


def test_the_first_corrected_step_is_the_sign_of_the_gradient() -> None:
    """With eps 0 and the bias of zero moments corrected, m / sqrt(v) = g / |g| (Kingma and Ba, section 2.1)."""
    gradient, zeros = problem(1, 50)[2], np.zeros((1, 50), F32)
    correction = np.sqrt(1 - BETAS[1]) / (1 - BETAS[0])
    direction = native.adam(zeros, zeros, gradient, np.ones(1, F32), BETAS, correction, 0.0)[2]
    assert_within(direction, np.sign(gradient), 16 * UNIT)


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    first, second, gradient, _ = problem(1, 70_001)
    inputs = (first, second, gradient, np.ones(1, F32), BETAS, CORRECTION, EPS)
    alone = native.adam(*inputs, threads=1)
    for threads in (2, 3, 7):
        assert all((a == b).all() for a, b in zip(alone, native.adam(*inputs, threads=threads)))
    step = (gradient, *inputs, RATE, DECAY)
    alone = native.adam_update(*step, threads=1)
    for threads in (2, 3, 7):
        assert all((a == b).all() for a, b in zip(alone, native.adam_update(*step, threads=threads)))


def test_outputs_may_replace_inputs(instruction_set: int) -> None:
    first, second, gradient, factors = problem(3, 41)
    settings = (factors, BETAS, CORRECTION, EPS)
    step = [gradient.copy(), first.copy(), second.copy()]
    expected = native.adam_update(*step, gradient, *settings, RATE, DECAY)
    native.adam_update(*step, gradient, *settings, RATE, DECAY, out=tuple(step))
    assert all((a == b).all() for a, b in zip(step, expected))
    expected = native.adam(first, second, gradient, *settings)
    native.adam(first, second, gradient, *settings, out=(first, second, gradient))
    assert all((a == b).all() for a, b in zip((first, second, gradient), expected))


def test_special_values_stay_in_their_element(instruction_set: int) -> None:
    gradient, zeros = F32([0.0, np.inf, np.nan, 1.0, -np.inf]), np.zeros(5, F32)
    inputs = (zeros, zeros, gradient, np.ones(1, F32), BETAS, 1.0, EPS)
    for m, v, direction in (native.adam(*inputs), reference.adam(*inputs)):
        assert m[0] == v[0] == direction[0] == 0
        assert all(np.isnan(output[[1, 2, 4]]).all() for output in (m, v, direction))
        assert direction[3] > 0
    step = native.adam_update(zeros, *inputs, RATE, DECAY)
    assert all((np.isnan(output) == [False, True, True, False, True]).all() for output in step)


@pytest.mark.parametrize("factor", [1.0, 2.0**-20, 2.0**10])
def test_gradients_whose_squares_are_no_floats_count_as_two_to_the_63(instruction_set: int, factor: float) -> None:
    """No finite gradient makes a moment infinite, however often it comes."""
    gradient = F32([1e17, 9.3e18, 1.8e19, -2e19, 3.4e38, -3.4e38]) / F32(max(factor, 1.0))
    first, second = np.zeros((2, 6), F32)
    for _ in range(50):
        arrays = (first, second, gradient, F32([factor]))
        expected = reference.adam(*arrays, BETAS, CORRECTION, EPS)
        first, second, direction = native.adam(*arrays, BETAS, CORRECTION, EPS)
        assert np.isfinite((first, second, direction)).all()
        for ours, exact in zip((first, second, direction), expected):
            assert_within(ours, exact, 16 * UNIT * np.abs(exact))
    bounded = np.clip(gradient.astype(np.float64) * factor, -(2.0**63), 2.0**63)
    assert_within(second, (1 - BETAS[1] ** 50) * bounded**2, 1e-3 * bounded**2)


def test_entry_point_changes_the_moments(instruction_set: int) -> None:
    first, second, gradient, factors = problem(3, 35)
    expected = native.adam(first, second, gradient, factors, BETAS, CORRECTION, EPS)
    kept = [Guarded(first.shape, F32, 1) for _ in range(3)]
    kept[0].array[...], kept[1].array[...] = first, second
    betas, scalars = F32([0.9, 1 - 0.9, 0.98, 1 - 0.98]), (F32([CORRECTION]), F32([EPS]))
    tensors = (kept[0].array, kept[1].array, gradient, factors, betas, *scalars, kept[2].array)
    assert aot.call("adam", *tensors) == Status.OK
    for guarded, value in zip(kept, expected):
        guarded.assert_intact()
        assert (guarded.array == value).all()
    before = first.copy(), second.copy()
    inputs = (first, second, gradient, factors, betas, *scalars)
    assert_entry_point_refuses("adam", inputs, (first,))
    for place in (4, 5, 6):
        spoilt = [*inputs, kept[2].array]
        spoilt[place] = -spoilt[place]
        assert aot.call("adam", *spoilt) == Status.BAD_VALUE
        spoilt[place] = np.append(-spoilt[place], F32(1))
        assert aot.call("adam", *spoilt) == Status.BAD_SHAPE
    assert (first == before[0]).all() and (second == before[1]).all()


def test_entry_point_changes_weight_and_moments(instruction_set: int) -> None:
    first, second, gradient, factors = problem(3, 35)
    weight = np.random.default_rng(9).standard_normal((3, 35)).astype(F32)
    expected = native.adam_update(weight, first, second, gradient, factors, BETAS, CORRECTION, EPS, RATE, DECAY)
    kept, out = [Guarded(first.shape, F32, 1) for _ in range(3)], Guarded((1,), F32, 1)
    for guarded, value in zip(kept, (weight, first, second)):
        guarded.array[...] = value
    numbers = (F32([0.9, 1 - 0.9, 0.98, 1 - 0.98]), *(F32([value]) for value in (CORRECTION, EPS, RATE, DECAY)))
    tensors = (*(guarded.array for guarded in kept), gradient, factors, *numbers, out.array)
    assert aot.call("adam_update", *tensors) == Status.OK
    for guarded, value in zip((*kept, out), (*expected, F32([RATE]))):
        guarded.assert_intact()
        assert (guarded.array == value).all()
    before = [value.copy() for value in (weight, first, second)]
    inputs = (weight, first, second, gradient, factors, *numbers)
    assert_entry_point_refuses("adam_update", inputs, (np.zeros(1, F32),))
    for place in (5, 6, 7, 8, 9):
        spoilt = [*inputs, np.zeros(1, F32)]
        spoilt[place] = -spoilt[place]
        assert aot.call("adam_update", *spoilt) == Status.BAD_VALUE and spoilt[10] == 0
        spoilt[place] = np.append(-spoilt[place], F32(1))
        assert aot.call("adam_update", *spoilt) == Status.BAD_SHAPE
    assert aot.call("adam_update", *inputs, np.zeros(2, F32)) == Status.BAD_SHAPE
    assert all((a == b).all() for a, b in zip(before, (weight, first, second)))


def test_bad_arguments_get_a_sentence() -> None:
    first, second, gradient, factors = problem(3, 4)
    with pytest.raises(ValueError, match=r"second has shape \(2, 4\); pass shape \(3, 4\)"):
        native.adam(first, second[:2], gradient, factors, BETAS, CORRECTION, EPS)
    with pytest.raises(ValueError, match=r"factors has shape \(5,\).*divides the 12 elements of gradient"):
        native.adam(first, second, gradient, np.ones(5, F32), BETAS, CORRECTION, EPS)
    refused = [((1.1, 0.9), 1, 1), ((0.9, 1.1), 1, 1), ((0.9, np.nan), 1, 1), (BETAS, -1, 1), (BETAS, 1, np.inf)]
    for betas, correction, eps in refused:
        with pytest.raises(KernelError):
            native.adam(first, second, gradient, factors, betas, correction, eps)
