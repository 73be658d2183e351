"""Layer normalisation as a MindSpore operator with its own gradient."""

from __future__ import annotations

from math import prod
from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot


def _backward(x: Any, gamma: Any, beta: Any, eps: Any, out: Any, dout: Any) -> Any:
    dx, dgamma, dbeta = _layer_norm_grad(dout[0], x, gamma, out[1], out[2])
    return dx, dgamma, dbeta, ops.zeros_like(eps)


_layer_norm_grad = aot("layer_norm_grad", lambda dy, x, gamma, mean, rstd: (x, gamma, gamma), (ms.float32,) * 3)
_layer_norm = aot(
    "layer_norm", lambda x, gamma, beta, eps: (x, [prod(x[:-1])], [prod(x[:-1])]), (ms.float32,) * 3, bprop=_backward
)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(y, mean, rstd): y = (x - mean) * rstd * gamma + beta over the last axis, rstd = 1 / sqrt(variance + eps).

    x [..., features], gamma and beta [features], eps [1], all float32; mean and rstd [rows], flat over the rows of x.
    Gradients flow to x, gamma and beta, through y alone. Works in graph mode and in PyNative.
    """
    return _layer_norm(x, gamma, beta, eps)
