"""adam in MindSpore: the moments are parameters that a graph changes every time; steps equal those of the framework."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from in_place import InPlace, assert_close
from mindspore import Parameter, Tensor, ops

from bert_thor.kernels.adam import reference
from bert_thor.ops.adam import adam, adam_update

F32 = np.float32
BETAS, EPS = (0.9, 0.98), 1e-6


def test_every_call_changes_the_moments(mode: int, backend: str) -> None:
    rng = np.random.default_rng(0)
    gradient, factors = rng.standard_normal((6, 7)).astype(F32), F32([0.5, 2.0])
    cell = InPlace(adam(*BETAS), np.zeros((6, 7), F32), np.zeros((6, 7), F32))
    first = second = np.zeros((6, 7))
    for _ in range(3):
        result = cell(*map(Tensor, (gradient, factors, F32([0.7]), F32([EPS]))))
        for direction in result:
            first, second, expected = reference.adam(first, second, gradient, factors, BETAS, 0.7, EPS)
            assert_close(direction, expected)
        assert_close(cell.state[0], first)
        assert_close(cell.state[1], second)
    assert ms.get_context("mode") == mode


def test_every_update_changes_weight_and_moments(mode: int, backend: str) -> None:
    rng = np.random.default_rng(2)
    weight, gradient = (rng.standard_normal((6, 7)).astype(F32) for _ in range(2))
    first = second = np.zeros((6, 7))
    cell = InPlace(adam_update(*BETAS), weight.copy(), np.zeros((6, 7), F32), np.zeros((6, 7), F32))
    numbers = [F32([value]) for value in (0.7, EPS, 0.3, 0.1)]
    for _ in range(3):
        result = cell(*map(Tensor, (gradient, F32([0.5, 2.0]), *numbers)))
        for rate in result:
            moments = first, second, gradient, F32([0.5, 2.0])
            weight, first, second = reference.adam_update(weight, *moments, BETAS, 0.7, EPS, 0.3, 0.1)
            assert (rate.asnumpy() == numbers[2]).all()
        for state, expected in zip(cell.state, (weight, first, second)):
            assert_close(state, expected)


def test_directions_are_the_steps_of_the_framework(mode: int, backend: str) -> None:
    rng = np.random.default_rng(1)
    zeros = np.zeros((5, 9), F32)
    weight, *moments = (Parameter(zeros.copy(), name) for name in ("weight", "first", "second"))
    numbers = [Tensor(F32(value)) for value in (*BETAS, 1.0, *BETAS, EPS)]  # powers, rate, betas, epsilon
    cell, theirs = InPlace(adam(*BETAS), zeros.copy(), zeros.copy()), ops.Adam()
    correction = F32([np.sqrt(1 - BETAS[1]) / (1 - BETAS[0])])
    for _ in range(3):
        gradient = Tensor(rng.standard_normal((5, 9)).astype(F32))
        for direction in cell(gradient, *map(Tensor, (F32([1]), correction, F32([EPS])))):
            weight.set_data(Tensor(zeros.copy()))
            theirs(weight, *moments, *numbers, gradient)
            assert_close(direction, -weight.asnumpy())
