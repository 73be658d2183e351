"""Weighted softmax cross-entropy over a vocabulary as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot


def _backward(logits: Any, bias: Any, labels: Any, weights: Any, out: Any, dout: Any) -> Any:
    dlogits, dbias = _gradient(dout[0], logits, bias, labels, weights, out[2])
    return dlogits, dbias, ops.zeros_like(labels), ops.zeros_like(weights)


_gradient = aot(
    "softmax_cross_entropy_grad",
    lambda dloss, logits, bias, labels, weights, log_sum_exp: (logits, bias),
    (ms.float32, ms.float32),
)
_forward = aot(
    "softmax_cross_entropy",
    lambda logits, bias, labels, weights: ([1], [1], labels),
    (ms.float32, ms.float32, ms.float32),
    bprop=_backward,
)


def softmax_cross_entropy(
    logits: Tensor, bias: Tensor, labels: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss [1], correct [1], log_sum_exp [rows]) of z = logits + bias.

    loss = sum w nll / (sum w + 1e-5) with nll = log sum exp z - z[label]; correct = sum of the weights of the rows whose
    label is the first largest element of z. logits [rows, classes], bias [classes], weights [rows] float32; labels
    [rows] int32 in [0, classes). Gradients flow to logits and bias, through the loss alone. Graph mode and PyNative.
    """
    return _forward(logits, bias, labels, weights)
