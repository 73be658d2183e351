"""weight_update: the step with decoupled decay, and a factor for each part of the direction."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import UNIT, assert_entry_point_refuses, assert_within, call_guarded

from bert_thor.kernels.cases import PARTS
from bert_thor.kernels.status import KernelError, Status
from bert_thor.kernels.weight_update import native, reference

F32 = np.float32
RATE, DECAY = 0.3, 0.25


def problem(parts: int, elements: int) -> list[np.ndarray]:
    """weight, direction, factors."""
    rng = np.random.default_rng(parts * 100_003 + elements)
    return [rng.standard_normal(shape).astype(F32) for shape in ((parts, elements), (parts, elements), (parts,))]


def assert_update(following: np.ndarray, weight: np.ndarray, direction: np.ndarray, factors: np.ndarray) -> None:
    kept = (1 - RATE * DECAY) * weight.astype(np.float64)
    step = RATE * factors.astype(np.float64)[:, None] * direction
    assert_within(following, kept - step, 5 * UNIT * (np.abs(kept) + np.abs(step)) + 1e-37)


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for shape in PARTS:
        arrays = problem(*shape)
        inputs = (*arrays, RATE, DECAY)
        assert_update(call_guarded(native.weight_update, inputs, [shape], [F32], offset, single=True)[0], *arrays)


def test_reference_is_the_definition() -> None:
    arrays = problem(3, 70)
    assert_update(reference.weight_update(*arrays, RATE, DECAY), *arrays)


def test_what_zero_means(instruction_set: int) -> None:
    """No decay: a plain step. No direction: only decay. No rate: nothing."""
    weight, direction, factors = problem(1, 33)
    one = np.ones(1, F32)
    assert (native.weight_update(weight, direction, one, 0.5, 0.0) == weight - F32(0.5) * direction).all()
    assert (native.weight_update(weight, 0 * direction, one, 0.5, 0.5) == F32(0.75) * weight).all()
    assert (native.weight_update(weight, direction, factors, 0.0, 0.5) == weight).all()


def test_small_decay_is_not_lost() -> None:
    """1 - rate decay is rounded once: 1e-3 * 1e-3 moves the kept share by its 1e-6 within half a unit."""
    weight = np.ones((1, 5), F32)
    kept = native.weight_update(weight, 0 * weight, np.ones(1, F32), 1e-3, 1e-3)
    assert_within(kept, np.full((1, 5), 1 - 1e-6), 1.1 * UNIT / 2 + 1e-12)


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    weight, direction, _ = problem(1, 70_001)
    inputs = (weight, direction, np.ones(1, F32), RATE, DECAY)
    alone = native.weight_update(*inputs, threads=1)
    for threads in (2, 3, 7):
        assert (native.weight_update(*inputs, threads=threads) == alone).all()


def test_output_may_replace_an_input(instruction_set: int) -> None:
    weight, direction, factors = problem(3, 41)
    expected = native.weight_update(weight, direction, factors, RATE, DECAY)
    for place in range(2):
        arrays = [weight.copy(), direction.copy()]
        native.weight_update(*arrays, factors, RATE, DECAY, out=(arrays[place],))
        assert (arrays[place] == expected).all()


def test_special_values_stay_in_their_element(instruction_set: int) -> None:
    direction = F32([0.0, np.inf, np.nan, 1.0])
    following = native.weight_update(np.ones(4, F32), direction, np.ones(1, F32), 0.5, 0.0)
    assert following[0] == 1 and following[1] == -np.inf and np.isnan(following[2]) and following[3] == 0.5


def test_entry_point_changes_the_weight(instruction_set: int) -> None:
    weight, direction, factors = problem(3, 35)
    expected = native.weight_update(weight, direction, factors, RATE, DECAY)
    kept, out = Guarded(weight.shape, F32, 1), Guarded((1,), F32, 1)
    kept.array[...] = weight
    scalars = F32([RATE]), F32([DECAY])
    assert aot.call("weight_update", kept.array, direction, factors, *scalars, out.array) == Status.OK
    kept.assert_intact()
    out.assert_intact()
    assert (kept.array == expected).all() and (out.array == scalars[0]).all()
    before = weight.copy()
    inputs = (weight, direction, factors, *scalars)
    assert_entry_point_refuses("weight_update", inputs, (np.zeros(1, F32),))
    for place in (3, 4):
        spoilt = [*inputs, np.zeros(1, F32)]
        spoilt[place] = -spoilt[place]
        assert aot.call("weight_update", *spoilt) == Status.BAD_VALUE and spoilt[5] == 0
        spoilt[place] = np.zeros(2, F32)
        assert aot.call("weight_update", *spoilt) == Status.BAD_SHAPE
    assert aot.call("weight_update", *inputs, np.zeros(2, F32)) == Status.BAD_SHAPE
    assert (weight == before).all()


def test_bad_arguments_get_a_sentence() -> None:
    weight, direction, factors = problem(3, 4)
    with pytest.raises(ValueError, match=r"direction has shape \(2, 4\); pass shape \(3, 4\)"):
        native.weight_update(weight, direction[:2], factors, RATE, DECAY)
    with pytest.raises(ValueError, match=r"factors has shape \(5,\).*divides the 12 elements of direction"):
        native.weight_update(weight, direction, np.ones(5, F32), RATE, DECAY)
    for rate, decay in [(-0.1, 0), (np.nan, 0), (0.1, -1), (0.1, np.inf)]:
        with pytest.raises(KernelError):
            native.weight_update(weight, direction, factors, rate, decay)
