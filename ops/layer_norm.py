"""Layer normalisation as a MindSpore operator with its own gradient."""

from __future__ import annotations

from math import prod
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.ascend.registration import Registration
from bert_thor.kernels.layer_norm import akg as akg_kernel
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, CpuCell, cpu, dtypes, element_type
from bert_thor.ops._registration import akg, tbe

LayerNorm = Callable[[Tensor, Tensor, Tensor], "tuple[Tensor, Tensor, Tensor]"]


def layer_norm(eps: float) -> LayerNorm:
    """The operator (x, gamma, beta) -> (y, mean, rstd).

    y = (x - mean) * rstd * gamma + beta over the last axis, rstd = 1 / sqrt(variance + eps). x [..., features], stored like
    y in float32, bfloat16 (cpu) or float16 (tbe, mindspore); gamma, beta [features], mean, rstd [rows], flat over the rows
    of x, float32. Gradients flow to x, gamma and beta, through y alone, that of x stored like x. Graph mode and PyNative.
    Ascend 910: tbe, akg (float32).
    """
    backends: dict[str, Callable[[float], LayerNorm]] = {
        "tbe": layer_norm_tbe,
        "akg": layer_norm_akg,
        "mindspore": LayerNormMindSpore,
        "cpu": LayerNormCpu,
    }
    return backends[choose("layer_norm", backends)](eps)


# The CPU's --------------------------------------------------------------------------------------------------------------


def _backward(x: Any, gamma: Any, beta: Any, eps: Any, out: Any, dout: Any) -> Any:
    dx, dgamma, dbeta = _layer_norm_grad(dout[0], x, gamma, out[1], out[2])
    return dx, dgamma, dbeta, ops.zeros_like(eps)


_layer_norm_grad = cpu(
    "layer_norm_grad",
    lambda dy, x, gamma, mean, rstd: (x, gamma, gamma),
    dtypes("layer_norm", 1, SAME, ms.float32, ms.float32),
)
_layer_norm = cpu(
    "layer_norm",
    lambda x, gamma, beta, eps: (x, [prod(x[:-1])], [prod(x[:-1])]),
    dtypes("layer_norm", 0, SAME, ms.float32, ms.float32),
    bprop=_backward,
)


class LayerNormCpu(CpuCell):
    """The kernel for CPUs, which takes eps as a tensor."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = Tensor(np.array([eps], np.float32))

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, mean, rstd)."""
        return _layer_norm(x, gamma, beta, self.eps)


# MindSpore's own --------------------------------------------------------------------------------------------------------


class Float32LayerNorm(nn.Cell):
    """MindSpore's own operator, which knows its gradient, of float32."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps, self.operator = eps, ops.LayerNorm(-1, -1, eps)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, mean, rstd)."""
        y, mean, variance = self.operator(x, gamma, beta)
        rstd = 1.0 / ops.sqrt(variance.reshape(-1) + self.eps)
        return y, ops.stop_gradient(mean.reshape(-1)), ops.stop_gradient(rstd)


class LayerNormMindSpore(nn.Cell):
    """MindSpore's own operator; float32 inside."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.layer_norm = Float32LayerNorm(eps)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, mean, rstd)."""
        y, mean, rstd = self.layer_norm(x.astype(ms.float32), gamma, beta)
        return y.astype(x.dtype), mean, rstd


# Ascend 910 -------------------------------------------------------------------------------------------------------------


class OverRows(nn.Cell):
    """Kernels that take x as rows and have eps built in."""

    def __init__(self, forward: Any, gradient: Any) -> None:
        super().__init__()
        self.forward, self.gradient = forward, gradient

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, mean, rstd)."""
        y, mean, rstd = self.forward(x.reshape((-1, x.shape[-1])), gamma, beta)
        return y.reshape(x.shape), mean, rstd

    def bprop(self, x: Tensor, gamma: Tensor, beta: Tensor, out: Any, dout: Any) -> Any:
        """Return dx, dgamma, dbeta."""
        rows = (-1, x.shape[-1])
        dx, dgamma, dbeta = self.gradient(dout[0].reshape(rows), x.reshape(rows), gamma, out[1], out[2])
        return dx.reshape(x.shape), dgamma, dbeta


def _forward_shapes(x: Any, *_: Any) -> Any:
    return x, [x[0]], [x[0]]


def _dtypes(x: Any, *_: Any) -> Any:
    return element_type(x), ms.float32, ms.float32


def layer_norm_tbe(eps: float) -> LayerNorm:
    """The TIK kernels."""
    forward = tbe("layer_norm", _forward_shapes, _dtypes, eps=eps)
    gradient = tbe("layer_norm_grad", lambda dy, x, gamma, *_: (x, gamma, gamma), _dtypes)
    return OverRows(forward, gradient)


class GradientAkg(nn.Cell):
    """dx, dgamma and dbeta by one kernel each."""

    def __init__(self) -> None:
        super().__init__()
        kernel, names = akg_kernel, ["dy", "x", "gamma", "mean", "rstd"]
        self.dx = akg(
            kernel.layer_norm_grad,
            _all_fp32("Dx", names, ["dx", "mean_xhat"]),
            lambda dy, *_: (dy, [dy[0]]),
            (ms.float32,) * 2,
            _row_tiles,
        )
        self.dgamma = akg(
            kernel.layer_norm_grad_gamma,
            _all_fp32("Dgamma", ["dy", "x", "mean", "rstd", "mean_xhat"], ["dgamma"]),
            lambda dy, *_: [dy[1]],
            ms.float32,
        )
        self.dbeta = akg(
            kernel.layer_norm_grad_beta, _all_fp32("Dbeta", ["dy"], ["dbeta"]), lambda dy: [dy[1]], ms.float32
        )

    def construct(self, dy: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, rstd: Tensor) -> Any:
        """Return dx, dgamma, dbeta."""
        dx, mean_xhat = self.dx(dy, x, gamma, mean, rstd)
        return dx, self.dgamma(dy, x, mean, rstd, mean_xhat), self.dbeta(dy)


class ForwardAkg(nn.Cell):
    """The kernel, which takes eps as a tensor."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = Tensor(np.array([eps], np.float32))
        registration = _all_fp32("Forward", ["x", "gamma", "beta", "eps"], ["y", "mean", "rstd"])
        self.operator = akg(akg_kernel.layer_norm, registration, _forward_shapes, (ms.float32,) * 3, _row_tiles)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        """Return (y, mean, rstd)."""
        return self.operator(x, gamma, beta, self.eps)


def layer_norm_akg(eps: float) -> LayerNorm:
    """The AKG kernels."""
    return OverRows(ForwardAkg(eps), GradientAkg())


def _row_tiles(x: Any, *_: Any) -> str:
    return akg_kernel.dim(x[0], x[1], "float32")


def _all_fp32(name: str, inputs: list[str], outputs: list[str]) -> Registration:
    formats = [["F32_Default"] * (len(inputs) + len(outputs))]
    return Registration(f"LayerNorm{name}", {}, formats, inputs, outputs)
