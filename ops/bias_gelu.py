"""GELU of x + bias as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
from mindspore import Tensor, nn, ops

from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, cpu, dtypes

BiasGelu = Callable[[Tensor, Tensor], Tensor]
ROOT_HALF = 0.5**0.5


def bias_gelu() -> BiasGelu:
    """The operator (x, bias) -> u Phi(u) with u = x + bias, Phi the standard normal distribution function (the exact GELU).

    x [..., features] float32, bfloat16 (cpu) or float16 (mindspore), and the result like x; bias [features]
    float32. Gradients flow to both, each stored like what it belongs to. Graph mode and PyNative.
    """
    backends: dict[str, Callable[[], BiasGelu]] = {"mindspore": BiasGeluMindSpore, "cpu": bias_gelu_cpu}
    return backends[choose("bias_gelu", backends)]()


def _backward(x: Any, bias: Any, out: Any, dout: Any) -> Any:
    return _gradient(dout, x, bias)


_gradient = cpu("bias_gelu_grad", lambda dy, x, bias: (x, bias), dtypes("bias_gelu", 1, SAME, ms.float32))
_forward: BiasGelu = cpu("bias_gelu", lambda x, bias: x, dtypes("bias_gelu", 0, SAME), bprop=_backward)


def bias_gelu_cpu() -> BiasGelu:
    """The kernel for CPUs."""
    return _forward


class BiasGeluMindSpore(nn.Cell):
    """MindSpore's own operators; float32 inside, so that the bias's gradient is summed in it."""

    def __init__(self) -> None:
        super().__init__()
        self.erf = ops.Erf()

    def construct(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return the activations."""
        u = x.astype(ms.float32) + bias
        return (0.5 * u * (1.0 + self.erf(u * ROOT_HALF))).astype(x.dtype)
