"""softmax_cross_entropy in MindSpore: value and gradient of the framework's own logarithm and exponential in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from framework import assert_same, assert_same_in_bfloat16
from mindspore import Tensor, ops

from bert_thor.kernels.status import KernelError
from bert_thor.ops._custom import kernel_errors
from bert_thor.ops.softmax_cross_entropy import softmax_cross_entropy


def problem() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """logits and bias; labels; weights."""
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 40, 12).astype(np.int32), (rng.random(12) < 0.7).astype(np.float32)
    return [3 * rng.standard_normal((12, 40)), rng.standard_normal(40)], labels, weights


def ours_and_theirs() -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The loss alone, by our operator and by the framework's own."""
    _, labels, weights = problem()
    operator = softmax_cross_entropy()

    def ours(logits: Tensor, bias: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return operator(logits, bias, labels, weights)[0]

    labels_2d, weights_64 = Tensor(labels.reshape(-1, 1)), Tensor(weights.astype(np.float64))

    def theirs(logits: Tensor, bias: Tensor) -> Tensor:
        sums = logits + bias
        log_softmax = sums - ops.log(ops.exp(sums).sum(-1, keepdims=True))
        nll = -ops.gather_elements(log_softmax, 1, labels_2d).reshape(-1)
        return ((nll * weights_64).sum() / (weights_64.sum() + 1e-5)).reshape(1)

    return ours, theirs


def test_value_and_gradient(mode: int, backend: str) -> None:
    inputs, labels, weights = problem()
    assert_same(*ours_and_theirs(), inputs, (1,), 64, rest=[labels, weights])


def test_value_and_gradient_in_bfloat16(mode: int) -> None:
    inputs, labels, weights = problem()
    assert_same_in_bfloat16(*ours_and_theirs(), inputs, (0,), (1,), 1, rest=[labels, weights])


def test_correct_predictions(mode: int, backend: str) -> None:
    inputs, labels, weights = problem()
    tensors = [Tensor(value.astype(np.float32)) for value in inputs]
    correct = softmax_cross_entropy()(*tensors, Tensor(labels), Tensor(weights))[1].asnumpy()
    hits = (inputs[0] + inputs[1]).argmax(axis=1) == labels
    assert correct == weights[hits].sum()


def test_a_label_outside_the_vocabulary_gets_a_sentence(mode: int) -> None:
    inputs, labels, weights = problem()
    labels[3] = 40
    tensors = [Tensor(value.astype(np.float32)) for value in inputs]
    with pytest.raises(KernelError, match="outside its range"), kernel_errors():
        softmax_cross_entropy()(*tensors, Tensor(labels), Tensor(weights))[0].asnumpy()
