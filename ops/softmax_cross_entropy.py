"""Weighted softmax cross-entropy over a vocabulary as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.softmax_cross_entropy.reference import WEIGHT_FLOOR
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, cpu, dtypes

SoftmaxCrossEntropy = Callable[[Tensor, Tensor, Tensor, Tensor], "tuple[Tensor, Tensor, Tensor]"]


def softmax_cross_entropy() -> SoftmaxCrossEntropy:
    """The operator (logits, bias, labels, weights) -> (loss [1], correct [1], log_sum_exp [rows]) of z = logits + bias.

    loss = sum w nll / (sum w + 1e-5) with nll = log sum exp z - z[label]; correct = sum of the weights of the rows whose
    label is the first largest element of z. logits [rows, classes] float32, bfloat16 (cpu) or float16 (mindspore); bias [classes],
    weights [rows] and the results float32; labels [rows] int32 in [0, classes). Gradients flow to logits and bias, through the
    loss alone, each stored like what it belongs to. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], SoftmaxCrossEntropy]] = {
        "mindspore": SoftmaxCrossEntropyMindSpore,
        "cpu": softmax_cross_entropy_cpu,
    }
    return backends[choose("softmax_cross_entropy", backends)]()


def _backward(logits: Any, bias: Any, labels: Any, weights: Any, out: Any, dout: Any) -> Any:
    dlogits, dbias = _gradient(dout[0], logits, bias, labels, weights, out[2])
    return dlogits, dbias, ops.zeros_like(labels), ops.zeros_like(weights)


_gradient = cpu(
    "softmax_cross_entropy_grad",
    lambda dloss, logits, bias, labels, weights, log_sum_exp: (logits, bias),
    dtypes("softmax_cross_entropy", 1, SAME, ms.float32),
)
_forward: SoftmaxCrossEntropy = cpu(
    "softmax_cross_entropy",
    lambda logits, bias, labels, weights: ([1], [1], labels),
    dtypes("softmax_cross_entropy", 0, ms.float32, ms.float32, ms.float32),
    bprop=_backward,
)


def softmax_cross_entropy_cpu() -> SoftmaxCrossEntropy:
    """The kernel for CPUs."""
    return _forward


class SoftmaxCrossEntropyMindSpore(nn.Cell):
    """MindSpore's own operators; float32 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.one_hot, self.largest = ops.OneHot(), ops.Argmax(-1, ms.int32)
        self.on, self.off = Tensor(np.float32(1.0)), Tensor(np.float32(0.0))

    def one_hot_of(self, labels: Tensor, logits: Tensor) -> Tensor:
        """The labels as rows of a unit matrix."""
        return self.one_hot(labels, logits.shape[1], self.on, self.off)

    def construct(self, logits: Tensor, bias: Tensor, labels: Tensor, weights: Tensor) -> Any:
        """Return loss, correct, log_sum_exp."""
        z = logits.astype(ms.float32) + bias
        top = z.max(1, keepdims=True)
        log_sum_exp = ops.log(ops.exp(z - top).sum(1)) + top.reshape(-1)
        nll = log_sum_exp - (z * self.one_hot_of(labels, logits)).sum(1)
        loss = (nll * weights).sum() / (weights.sum() + WEIGHT_FLOOR)
        hits = ops.equal(self.largest(z), labels).astype(ms.float32)
        return loss.reshape(1), (hits * weights).sum().reshape(1), log_sum_exp

    def bprop(self, logits: Tensor, bias: Tensor, labels: Tensor, weights: Tensor, out: Any, dout: Any) -> Any:
        """Return one gradient per input."""
        scale = dout[0] / (weights.sum() + WEIGHT_FLOOR) * weights
        softmax = ops.exp(logits.astype(ms.float32) + bias - out[2].reshape(-1, 1))
        dlogits = (softmax - self.one_hot_of(labels, logits)) * scale.reshape(-1, 1)
        return dlogits.astype(logits.dtype), dlogits.sum(0), ops.zeros_like(labels), ops.zeros_like(weights)
