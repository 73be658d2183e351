"""momentum: Nesterov's form of an average and the heavy ball, with a factor for each part of the gradient."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import UNIT, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.cases import PARTS
from bert_thor.kernels.momentum import native, reference
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
DECAY = 0.95
RULES = ["nesterov_momentum", "heavy_ball"]


def problem(parts: int, elements: int) -> list[np.ndarray]:
    """average, x, factors."""
    rng = np.random.default_rng(parts * 100_003 + elements)
    return [rng.standard_normal(shape).astype(F32) for shape in ((parts, elements), (parts, elements), (parts,))]


def assert_rule(rule: str, outputs: Any, average: np.ndarray, x: np.ndarray, factors: np.ndarray) -> None:
    """The definition in float64; 3 units of the terms' sizes each, and direction has next's error decayed in it too."""
    fresh = 1 - DECAY if rule == "nesterov_momentum" else 1.0
    old, new = DECAY * average.astype(np.float64), fresh * factors.astype(np.float64)[:, None] * x
    size = np.abs(old) + np.abs(new)
    assert_within(outputs[0], old + new, 4 * UNIT * size + 1e-37)
    if rule == "heavy_ball":
        assert (outputs[0] == outputs[1]).all()
    else:
        assert_within(outputs[1], DECAY * (old + new) + new, 8 * UNIT * size + 1e-37)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int, rule: str) -> None:
    for shape in PARTS:
        arrays = problem(*shape)
        assert_rule(
            rule, call_guarded(getattr(native, rule), (*arrays, DECAY), [shape] * 2, [F32] * 2, offset), *arrays
        )


@pytest.mark.parametrize("rule", RULES)
def test_reference_is_the_definition(rule: str) -> None:
    arrays = problem(3, 70)
    assert_rule(rule, getattr(reference, rule)(*arrays, DECAY), *arrays)


def test_a_constant_gradient_is_its_own_average() -> None:
    """m = (1 - decay^t) g and m + decay m + ... : closed forms that the recursions must reach."""
    g, one = np.full(40, 3.0, F32), np.ones(1, F32)
    average, ball = np.zeros_like(g), np.zeros_like(g)
    for step in range(1, 30):
        average, direction = native.nesterov_momentum(average, g, one, 0.9)
        ball, _ = native.heavy_ball(ball, g, one, 0.9)
        share = 1 - 0.9**step
        assert_within(average, 3.0 * share * np.ones(40), 3.0 * 8 * step * UNIT)
        assert_within(direction, 3.0 * (0.9 * share + 0.1) * np.ones(40), 3.0 * 8 * (step + 1) * UNIT)
        assert_within(ball, 30.0 * share * np.ones(40), 30.0 * 8 * step * UNIT)


@pytest.mark.parametrize("rule", RULES)
def test_same_bits_for_any_number_of_threads_and_any_cut(instruction_set: int, rule: str) -> None:
    average, x, _ = problem(1, 70_001)
    function, one = getattr(native, rule), np.ones(1, F32)
    alone = function(average, x, one, DECAY, threads=1)
    for threads in (2, 3, 7):
        assert all((a == b).all() for a, b in zip(alone, function(average, x, one, DECAY, threads=threads)))
    alone_too = function(average[:, 5:50_000].copy(), x[:, 5:50_000].copy(), one, DECAY)
    assert all((a[:, 5:50_000] == b).all() for a, b in zip(alone, alone_too))


@pytest.mark.parametrize("rule", RULES)
def test_outputs_may_replace_inputs(instruction_set: int, rule: str) -> None:
    average, x, factors = problem(3, 41)
    expected = getattr(native, rule)(average, x, factors, DECAY)
    getattr(native, rule)(average, x, factors, DECAY, out=(average, x))
    assert (average == expected[0]).all() and (x == expected[1]).all()


def test_special_values_stay_in_their_element(instruction_set: int) -> None:
    x = F32([0.0, np.inf, np.nan, 1e30, 1.0])
    following, direction = native.heavy_ball(np.ones(5, F32), x, np.ones(1, F32), 0.5)
    assert following[0] == 0.5 and following[1] == np.inf and np.isnan(following[2]) and following[4] == 1.5
    assert direction[3] == F32(1e30)


@pytest.mark.parametrize("rule", RULES)
def test_entry_point_changes_the_average(instruction_set: int, rule: str) -> None:
    average, x, factors = problem(3, 35)
    settings = F32([DECAY, 1 - DECAY]) if rule == "nesterov_momentum" else F32([DECAY])
    expected = getattr(native, rule)(average, x, factors, DECAY)
    kept = Guarded(average.shape, F32, 1)
    kept.array[...] = average
    out = Guarded(average.shape, F32, 1)
    assert aot.call(rule, kept.array, x, factors, settings, out.array) == Status.OK
    kept.assert_intact()
    out.assert_intact()
    assert (kept.array == expected[0]).all() and (out.array == expected[1]).all()
    before = average.copy()
    assert_entry_point_refuses(rule, (average, x, factors, settings), (x,))
    assert aot.call(rule, average, x, factors, np.append(settings, F32(1)), out.array) == Status.BAD_SHAPE
    assert aot.call(rule, average, x, factors, -settings, out.array) == Status.BAD_VALUE
    assert (average == before).all()


def test_bad_arguments_get_a_sentence() -> None:
    average, x, factors = problem(3, 4)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); pass shape \(3, 4\)"):
        native.nesterov_momentum(average, x[:2], factors, DECAY)
    with pytest.raises(ValueError, match=r"factors has shape \(5,\).*divides the 12 elements of x"):
        native.heavy_ball(average, x, np.ones(5, F32), DECAY)
    for decay in (-0.1, np.inf, np.nan):
        with pytest.raises(KernelError):
            native.heavy_ball(average, x, factors, decay)
        with pytest.raises(KernelError):
            native.nesterov_momentum(average, x, factors, decay)
