"""GELU of x + bias as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor

from bert_thor.ops._custom import aot


def _backward(x: Any, bias: Any, out: Any, dout: Any) -> Any:
    return _gradient(dout, x, bias)


_gradient = aot("bias_gelu_grad", lambda dy, x, bias: (x, bias), (ms.float32, ms.float32))
_forward = aot("bias_gelu", lambda x, bias: x, ms.float32, bprop=_backward)


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """u Phi(u) with u = x + bias, Phi the standard normal distribution function (the exact GELU).

    x [..., features] and bias [features] float32. Gradients flow to both. Graph mode and PyNative.
    """
    return _forward(x, bias)
