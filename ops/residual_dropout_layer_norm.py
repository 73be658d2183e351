"""Residual + dropout + layer norm as one MindSpore operator with its own gradient."""

from __future__ import annotations

from math import prod
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.arrays import check_site
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, CpuCell, cpu, dtypes, element_type
from bert_thor.ops._registration import tbe
from bert_thor.ops.dropout import DropoutMindSpore
from bert_thor.ops.layer_norm import Float32LayerNorm

ResidualDropoutLayerNorm = Callable[
    [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], "tuple[Tensor, Tensor, Tensor, Tensor]"
]
_NAME = "residual_dropout_layer_norm"


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


_gradient = cpu(f"{_NAME}_grad", _gradient_shapes, dtypes(_NAME, 1, SAME, ms.float32, SAME, ms.float32, ms.float32))
_forward = cpu(_NAME, _forward_shapes, dtypes(_NAME, 0, SAME, SAME, ms.float32, ms.float32), bprop=_backward)


class ResidualDropoutLayerNormCpu(CpuCell):
    """The kernel for CPUs, which recomputes the mask in the gradient."""

    def __init__(self, eps: float, probability: float, site: int) -> None:
        super().__init__()
        self.scalars = Tensor(np.array([eps, probability], np.float32))
        self.site = Tensor(np.array([site], np.int32))

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, seed: Tensor) -> Any:
        """Return (y, sum, mean, rstd)."""
        return _forward(x, bias, residual, gamma, beta, self.scalars, seed, self.site)


# MindSpore's own --------------------------------------------------------------------------------------------------------


class ResidualDropoutLayerNormMindSpore(nn.Cell):
    """MindSpore's own operators; float32 inside."""

    def __init__(self, eps: float, probability: float, site: int) -> None:
        super().__init__()
        self.dropout, self.layer_norm = DropoutMindSpore(probability, site), Float32LayerNorm(eps)

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, seed: Tensor) -> Any:
        """Return (y, sum, mean, rstd)."""
        total = residual.astype(ms.float32) + self.dropout(x.astype(ms.float32) + bias, seed)
        y, mean, rstd = self.layer_norm(total, gamma, beta)
        return y.astype(x.dtype), ops.stop_gradient(total).astype(x.dtype), mean, rstd


# Ascend 910 -------------------------------------------------------------------------------------------------------------


def _forward_dtypes(x: Any, *_: Any) -> Any:
    return element_type(x), element_type(x), ms.float32, ms.float32


def _gradient_dtypes(dy: Any, *_: Any) -> Any:
    return element_type(dy), ms.float32, element_type(dy), ms.float32, ms.float32


class WithMask(nn.Cell):
    """The TIK kernels that take the bits of what is kept."""

    def __init__(self, eps: float, probability: float) -> None:
        super().__init__()
        self.forward = tbe(_NAME, _forward_shapes, _forward_dtypes, eps=eps, probability=probability)
        self.gradient = tbe(f"{_NAME}_grad", _gradient_shapes, _gradient_dtypes, probability=probability)

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, mask: Tensor) -> Any:
        """Return (y, sum, mean, rstd)."""
        return self.forward(x, bias, residual, gamma, beta, mask)

    def bprop(
        self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, mask: Tensor, out: Any, dout: Any
    ) -> Any:
        """Return one gradient per input; that of the mask is zero."""
        gradients = self.gradient(dout[0], out[1], gamma, out[2], out[3], mask)
        dx, dbias, dresidual, dgamma, dbeta = gradients
        return dx, dbias, dresidual, dgamma, dbeta, ops.zeros_like(mask)


class WithoutMask(nn.Cell):
    """The TIK kernels of probability 0."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.forward = tbe("residual_layer_norm", _forward_shapes, _forward_dtypes, eps=eps)
        self.gradient = tbe(
            "residual_layer_norm_grad",
            lambda dy, total, gamma, *_: (total, gamma, gamma, gamma),
            lambda dy, *_: (element_type(dy), ms.float32, ms.float32, ms.float32),
        )

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, sum, mean, rstd)."""
        return self.forward(x, bias, residual, gamma, beta)

    def bprop(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, out: Any, dout: Any) -> Any:
        """Return one gradient per input."""
        dresidual, dbias, dgamma, dbeta = self.gradient(dout[0], out[1], gamma, out[2], out[3])
        return dresidual, dbias, dresidual, dgamma, dbeta


class ResidualDropoutLayerNormTbe(nn.Cell):
    """The TIK kernels, with bits from the device's own generator: `seed` says nothing to it."""

    def __init__(self, eps: float, probability: float, site: int) -> None:
        super().__init__()
        self.drops = probability > 0
        self.normalise = WithMask(eps, probability) if self.drops else WithoutMask(eps)
        self.generate = ops.operations.DropoutGenMask(0, site + 1)
        self.keep = Tensor(1.0 - probability, ms.float32)

    def construct(self, x: Tensor, bias: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, seed: Tensor) -> Any:
        """Return (y, sum, mean, rstd)."""
        if self.drops:
            return self.normalise(x, bias, residual, gamma, beta, self.generate(x.shape, self.keep))
        return self.normalise(x, bias, residual, gamma, beta)


def residual_dropout_layer_norm(eps: float, probability: float, site: int) -> ResidualDropoutLayerNorm:
    """The operator (x, bias, residual, gamma, beta, seed) -> (y, sum, mean, rstd).

    sum = residual + dropout(x + bias) and y = layer_norm(sum) over the last axis. x and residual [..., features], stored
    like y and sum in float32, bfloat16 (cpu) or float16 (tbe, mindspore); bias, gamma and beta [features], mean and rstd
    [rows] float32; seed [4] int32 = (key low, key high, step, slice), `site`: which dropout of the network, both as for
    `dropout`. Probability 0 gives sum = residual + (x + bias), as if there were no dropout. Gradients flow to x, bias,
    residual, gamma and beta, through y alone, each stored like what it belongs to. Graph mode and PyNative. Ascend 910: tbe.
    Its masks and those of MindSpore's own operators come from the device's generator and not from `seed`.
    """
    backends: dict[str, Callable[..., ResidualDropoutLayerNorm]] = {
        "tbe": ResidualDropoutLayerNormTbe,
        "mindspore": ResidualDropoutLayerNormMindSpore,
        "cpu": ResidualDropoutLayerNormCpu,
    }
    return backends[choose("residual_dropout_layer_norm", backends)](eps, probability, check_site(_NAME, site))
