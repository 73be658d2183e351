"""Residual + dropout + layer norm as one MindSpore operator with its own gradient."""

from __future__ import annotations

from math import prod
from typing import Any

import mindspore as ms
from mindspore import Tensor, ops

from bert_thor.ops._custom import aot


def _backward(
    x: Any, bias: Any, residual: Any, gamma: Any, beta: Any, scalars: Any, seed: Any, site: Any, out: Any, dout: Any
) -> Any:
    dx, dbias, dresidual, dgamma, dbeta = _gradient(dout[0], out[1], gamma, out[2], out[3], scalars, seed, site)
    zeros = ops.zeros_like
    return dx, dbias, dresidual, dgamma, dbeta, zeros(scalars), zeros(seed), zeros(site)


def _forward_shapes(x: Any, *_: Any) -> Any:
    return x, x, [prod(x[:-1])], [prod(x[:-1])]


def _gradient_shapes(dy: Any, total: Any, gamma: Any, *_: Any) -> Any:
    return total, gamma, total, gamma, gamma


_gradient = aot("residual_dropout_layer_norm_grad", _gradient_shapes, (ms.float32,) * 5)
_forward = aot("residual_dropout_layer_norm", _forward_shapes, (ms.float32,) * 4, bprop=_backward)


def residual_dropout_layer_norm(
    x: Tensor,
    bias: Tensor,
    residual: Tensor,
    gamma: Tensor,
    beta: Tensor,
    scalars: Tensor,
    seed: Tensor,
    site: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(y, sum, mean, rstd) with sum = residual + dropout(x + bias) and y = layer_norm(sum) over the last axis.

    x and residual [..., features], bias, gamma and beta [features], scalars [2] = (eps, drop probability), all float32;
    seed [4] int32 = (key low, key high, step, slice), site [1] int32: as for `dropout`. mean and rstd [rows].
    Probability 0 gives sum = residual + (x + bias) exactly. Gradients flow to x, bias, residual, gamma and beta, through
    y alone; the gradient recomputes the mask. Graph mode and PyNative.
    """
    return _forward(x, bias, residual, gamma, beta, scalars, seed, site)
