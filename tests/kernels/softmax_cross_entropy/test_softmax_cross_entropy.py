"""softmax_cross_entropy: weighted loss, correct predictions, gradient with dbias, and rows that do not count."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS
from comparison import (
    UNIT,
    assert_entry_point,
    assert_entry_point_refuses,
    assert_within,
    call_guarded,
    column_sum_bound,
    from_bf16,
    lane_sum_units,
    to_bf16,
)

from bert_thor.kernels.softmax_cross_entropy import native, reference
from bert_thor.kernels.softmax_cross_entropy.cases import SIZES
from bert_thor.kernels.status import Status

F32 = np.float32


def problem(rows: int, classes: int) -> list[np.ndarray]:
    """logits, bias, labels, weights: every third row does not count."""
    rng = np.random.default_rng(1000 * rows + classes)
    logits, bias = ((3 * rng.standard_normal(s)).astype(F32) for s in ((rows, classes), classes))
    labels = rng.integers(0, classes, rows).astype(np.int32)
    weights = np.where(np.arange(rows) % 3 == 2, 0, rng.random(rows)).astype(F32)
    return [logits, bias, labels, weights]


def assert_forward(outputs: list[np.ndarray], inputs: list[np.ndarray]) -> None:
    loss, correct, log_sum_exp = reference.softmax_cross_entropy(*inputs)
    unit = UNIT * lane_sum_units(inputs[0].shape[1])
    size = np.abs(inputs[0]).max(initial=1) + np.abs(inputs[1]).max()
    assert_within(outputs[2], log_sum_exp, unit * size)
    assert_within(outputs[0], loss, 2 * unit * size)
    assert_within(outputs[1], correct, UNIT * correct)


def assert_backward(outputs: list[np.ndarray], dloss: np.ndarray, inputs: list[np.ndarray]) -> None:
    """An error of the logarithm, relative to the largest logit, is one of the probability."""
    dlogits, dbias = reference.softmax_cross_entropy_grad(dloss, *inputs)
    units = lane_sum_units(inputs[0].shape[1]) * (np.abs(inputs[0]).max(initial=1) + np.abs(inputs[1]).max())
    weight = inputs[3].astype(np.float64)
    scale = np.abs(dloss) * weight / (weight.sum() + 1e-5)
    assert_within(
        outputs[0], dlogits, UNIT * units * (np.abs(dlogits) + UNIT * scale[:, None]) + 2 * UNIT * scale[:, None]
    )
    assert_within(outputs[1], dbias, column_sum_bound(np.abs(dlogits) + 2 * scale[:, None]) * units)


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int) -> None:
    for rows, classes in SIZES:
        inputs, dloss = problem(rows, classes), F32([1.7])
        outputs = call_guarded(native.softmax_cross_entropy, inputs, [(1,), (1,), (rows,)], [F32] * 3, offset)
        assert_forward(outputs, inputs)
        gradient_inputs = (dloss, *inputs, outputs[2])
        sizes = [(rows, classes), (classes,)]
        gradients = call_guarded(native.softmax_cross_entropy_grad, gradient_inputs, sizes, [F32] * 2, offset)
        assert_backward(gradients, dloss, inputs)


def test_bfloat16_is_float32_rounded_once(instruction_set: int) -> None:
    for rows, classes in SIZES[1:]:
        logits, *rest = problem(rows, classes)
        bits = to_bf16(logits)
        ours = call_guarded(native.softmax_cross_entropy, (bits, *rest), [(1,), (1,), (rows,)], [F32] * 3, 1)
        expected = native.softmax_cross_entropy(from_bf16(bits), *rest)
        assert all((one == other).all() for one, other in zip(ours, expected))
        gradient = (F32([1.7]), bits, *rest, ours[2])
        sizes, dtypes = [(rows, classes), (classes,)], [np.uint16, F32]
        dlogits, dbias = call_guarded(native.softmax_cross_entropy_grad, gradient, sizes, dtypes, 1)
        exact = native.softmax_cross_entropy_grad(gradient[0], from_bf16(bits), *rest, ours[2])
        assert (dlogits == to_bf16(exact[0])).all() and (dbias == exact[1]).all()


def test_gradient_may_replace_bfloat16_logits(instruction_set: int) -> None:
    logits, *rest = problem(9, 50)
    bits = to_bf16(logits)
    log_sum_exp = native.softmax_cross_entropy(bits, *rest)[2]
    expected = native.softmax_cross_entropy_grad(F32([1]), bits, *rest, log_sum_exp)
    native.softmax_cross_entropy_grad(F32([1]), bits, *rest, log_sum_exp, out=(bits, np.empty(50, F32)))
    assert (bits == expected[0]).all()


def test_correct_predictions_of_bfloat16_logits_that_tie(instruction_set: int) -> None:
    """1 and 1.001 are one number in bfloat16: the first of them is the prediction."""
    bits = to_bf16(F32([[0, 1.001, 1], [0, 1, 1.001]]))
    arguments = (bits, np.zeros(3, F32), np.int32([1, 2]), np.ones(2, F32))
    assert native.softmax_cross_entropy(*arguments)[1] == 1


def test_entry_points_in_bfloat16(instruction_set: int) -> None:
    logits, *rest = problem(9, 20)
    inputs = (to_bf16(logits), *rest)
    outputs = native.softmax_cross_entropy(*inputs)
    gradient = (F32([1.3]), *inputs, outputs[2])
    gradients = native.softmax_cross_entropy_grad(*gradient)
    assert_entry_point("softmax_cross_entropy", inputs, outputs)
    assert_entry_point("softmax_cross_entropy_grad", gradient, gradients)
    assert_entry_point_refuses("softmax_cross_entropy", inputs, outputs)
    assert_entry_point_refuses("softmax_cross_entropy_grad", gradient, gradients)


def test_gradient_of_a_row_sums_to_zero(instruction_set: int) -> None:
    inputs = problem(30, 500)
    log_sum_exp = native.softmax_cross_entropy(*inputs)[2]
    dlogits = native.softmax_cross_entropy_grad(F32([1]), *inputs, log_sum_exp)[0]
    scale = inputs[3] / (inputs[3].sum() + 1e-5)
    assert_within(dlogits.sum(axis=1, dtype=np.float64), np.zeros(30), UNIT * 200 * scale + 1e-37)


def test_reference_gradient_is_the_derivative() -> None:
    logits, bias, labels, weights = problem(5, 4)
    gradient = reference.softmax_cross_entropy_grad(F32([1]), logits, bias, labels, weights)[0]

    def loss(z: np.ndarray) -> float:
        nll = np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), labels]
        return float((weights.astype(np.float64) * nll).sum() / (weights.astype(np.float64).sum() + 1e-5))

    for index in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[index] = 1e-5
        z = logits.astype(np.float64) + bias
        assert abs(gradient[index] - (loss(z + step) - loss(z - step)) / 2e-5) <= 1e-6


def test_correct_predictions_count_the_first_largest(instruction_set: int) -> None:
    logits = np.zeros((6, 40), F32)
    logits[0, 20] = logits[1, 20] = logits[1, 30] = 1  # row 1: a tie, the first wins; rows 2 to 5: all equal
    labels = np.int32([20, 30, 0, 39, 0, 0])
    weights = F32([1, 1, 0.5, 1, 0, 0.25])
    bias = np.zeros(40, F32)
    assert native.softmax_cross_entropy(logits, bias, labels, weights)[1] == F32(1.75)
    bias[20] = -2  # the bias counts: 20 no longer wins row 0, and row 1's label 30 does
    assert native.softmax_cross_entropy(logits, bias, labels, weights)[1] == F32(1.75)
    bias[0] = 5
    assert native.softmax_cross_entropy(logits, bias, labels, weights)[1] == F32(0.75)


def test_rows_of_weight_zero_do_not_count_whatever_they_hold(instruction_set: int) -> None:
    logits, bias, labels, weights = problem(9, 50)
    clean = native.softmax_cross_entropy(logits, bias, labels, weights)
    logits[2] = np.nan
    loss, correct, log_sum_exp = native.softmax_cross_entropy(logits, bias, labels, weights)
    assert loss == clean[0] and correct == clean[1]
    dlogits, dbias = native.softmax_cross_entropy_grad(F32([1]), logits, bias, labels, weights, log_sum_exp)
    assert (dlogits[2] == 0).all() and np.isfinite(dbias).all()
    weights[2] = 1
    assert np.isnan(native.softmax_cross_entropy(logits, bias, labels, weights)[0]).all()


def test_no_weight_at_all_gives_loss_zero(instruction_set: int) -> None:
    logits, bias, labels, weights = problem(6, 20)
    loss, correct, log_sum_exp = native.softmax_cross_entropy(logits, bias, labels, weights * 0)
    assert loss == 0 and correct == 0
    assert (native.softmax_cross_entropy_grad(F32([1]), logits, bias, labels, weights * 0, log_sum_exp)[0] == 0).all()


def test_large_logits_do_not_overflow(instruction_set: int) -> None:
    logits, bias, labels, weights = problem(6, 20)
    loss = native.softmax_cross_entropy(logits * 1000, bias, labels, weights)[0]
    expected = reference.softmax_cross_entropy(logits * 1000, bias, labels, weights)[0]
    assert_within(loss, expected, UNIT * 32 * np.abs(logits).max() * 1000)


def test_gradient_may_replace_the_logits(instruction_set: int) -> None:
    inputs = problem(20, 33)
    log_sum_exp = native.softmax_cross_entropy(*inputs)[2]
    expected, _ = native.softmax_cross_entropy_grad(F32([1]), *inputs, log_sum_exp)
    native.softmax_cross_entropy_grad(F32([1]), *inputs, log_sum_exp, out=(inputs[0], np.empty(33, F32)))
    assert (inputs[0] == expected).all()


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    inputs = problem(300, 700)
    alone = native.softmax_cross_entropy(*inputs, threads=1)
    gradient = native.softmax_cross_entropy_grad(F32([1]), *inputs, alone[2], threads=1)
    for threads in (2, 3, 7):
        more = native.softmax_cross_entropy(*inputs, threads=threads)
        more_gradient = native.softmax_cross_entropy_grad(F32([1]), *inputs, alone[2], threads=threads)
        for one, other in zip((*alone, *gradient), (*more, *more_gradient)):
            assert (one == other).all()


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    inputs = problem(9, 20)
    outputs = native.softmax_cross_entropy(*inputs)
    gradient_inputs = [F32([1.7]), *inputs, outputs[2]]
    gradients = native.softmax_cross_entropy_grad(*gradient_inputs)
    assert_entry_point("softmax_cross_entropy", inputs, outputs)
    assert_entry_point("softmax_cross_entropy_grad", gradient_inputs, gradients)
    assert_entry_point_refuses("softmax_cross_entropy", inputs, outputs)
    assert_entry_point_refuses("softmax_cross_entropy_grad", gradient_inputs, gradients)


@pytest.mark.parametrize("label", [-1, 20])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    inputs = problem(9, 20)
    outputs = native.softmax_cross_entropy(*inputs)
    gradients = native.softmax_cross_entropy_grad(F32([1]), *inputs, outputs[2])
    inputs[2][8] = label
    assert aot.call("softmax_cross_entropy", *inputs, *outputs) == Status.BAD_VALUE
    assert aot.call("softmax_cross_entropy_grad", F32([1]), *inputs, outputs[2], *gradients) == Status.BAD_VALUE
    with pytest.raises(ValueError, match=rf"label {label} is outside \[0, 20\)"):
        native.softmax_cross_entropy(*inputs)
