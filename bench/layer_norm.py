"""Cases of layer_norm and its gradient: rows x features, fp32 or bf16 storage with fp32 scale and shift."""

from __future__ import annotations

from typing import Callable

import peers
from data import Array, normal, to_torch
from measure import Case

from bert_thor.kernels.layer_norm import native

EPSILON = 1e-12


def case(threads: int, rows: str, features: str, direction: str, dtype: str = "fp32") -> Case:
    """Bytes: x and y forward; dy, x and dx backward."""
    x = normal(int(rows), int(features), dtype=dtype)
    gamma, beta = normal(int(features), seed=1), normal(int(features), seed=2)
    make, passes = (_forward, 2) if direction == "forward" else (_backward, 3)
    contenders = make(threads, x, gamma, beta)
    return Case("layer_norm", f"{direction} {dtype} {rows}x{features}", "copy", passes * x.nbytes, contenders)


def _forward(threads: int, x: Array, gamma: Array, beta: Array) -> dict[str, Callable[[], object]]:
    out = native.layer_norm(x, gamma, beta, EPSILON)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.layer_norm(x, gamma, beta, EPSILON, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tensors = [to_torch(torch, a) for a in (x, gamma, beta)]
        contenders["pytorch"] = lambda: torch.native_layer_norm(tensors[0], gamma.shape, *tensors[1:], EPSILON)
    if x.itemsize == 4 and (mindspore := peers.mindspore(threads)):  # its bfloat16 does not exist on the CPU
        operator, inputs = mindspore.ops.LayerNorm(1, 1, EPSILON), [mindspore.Tensor(a) for a in (x, gamma, beta)]
        contenders["mindspore"] = lambda: operator(*inputs)[0].asnumpy()
    return contenders


def _backward(threads: int, x: Array, gamma: Array, beta: Array) -> dict[str, Callable[[], object]]:
    dy = normal(*x.shape, dtype="fp32" if x.itemsize == 4 else "bf16", seed=3)
    _, mean, rstd = native.layer_norm(x, gamma, beta, EPSILON)
    out = native.layer_norm_grad(dy, x, gamma, mean, rstd)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.layer_norm_grad(dy, x, gamma, mean, rstd, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tdy, tx, tgamma, tbeta = (to_torch(torch, a) for a in (dy, x, gamma, beta))
        _, tmean, trstd = torch.native_layer_norm(tx, gamma.shape, tgamma, tbeta, EPSILON)
        backward, wanted = torch.ops.aten.native_layer_norm_backward, [True, True, True]
        contenders["pytorch"] = lambda: backward(tdy, tx, gamma.shape, tmean, trstd, tgamma, tbeta, wanted)
    if x.itemsize == 4 and (mindspore := peers.mindspore(threads)):
        from mindspore.ops.operations import _grad_ops

        operator = _grad_ops.LayerNormGrad(1, 1)
        columns = (mean.reshape(-1, 1), (1 / rstd**2).reshape(-1, 1))
        mx, mdy, mmean, mvariance, mgamma = (mindspore.Tensor(a) for a in (x, dy, *columns, gamma))
        contenders["mindspore"] = lambda: operator(mx, mdy, mvariance, mmean, mgamma)[0].asnumpy()
    return contenders
