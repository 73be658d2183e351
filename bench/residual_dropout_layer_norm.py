"""Cases of residual_dropout_layer_norm and its gradient, dropout 0.1: rows x features, fp32 or bf16 storage."""

from __future__ import annotations

from typing import Any, Callable

import peers
from data import PROBABILITY, SEED, Array, gradient, normal, to_torch
from measure import Case

from bert_thor.kernels.residual_dropout_layer_norm import native

EPSILON, SITE = 1e-12, 1


def case(threads: int, rows: str, features: str, direction: str, dtype: str = "fp32") -> Case:
    """Bytes: x, residual, sum and y forward; dy, sum, dx and dresidual backward."""
    n, d = int(rows), int(features)
    x, residual = normal(n, d, dtype=dtype), normal(n, d, dtype=dtype, seed=1)
    vectors = [normal(d, seed=seed) for seed in (2, 3, 4)]
    make = _forward if direction == "forward" else _backward
    contenders = make(threads, x, residual, *vectors)
    shape = f"{direction} {dtype} {rows}x{features}"
    return Case("residual_dropout_layer_norm", shape, "copy", 4 * x.nbytes, contenders)


def _composition(torch: Any, x: Any, bias: Any, residual: Any, gamma: Any, beta: Any) -> Any:
    functions = torch.nn.functional
    total = residual + functions.dropout(x + bias.to(x.dtype), PROBABILITY)
    return functions.layer_norm(total, gamma.shape, gamma, beta, EPSILON)


def _forward(
    threads: int, x: Array, residual: Array, bias: Array, gamma: Array, beta: Array
) -> dict[str, Callable[[], object]]:
    arguments = (x, bias, residual, gamma, beta, EPSILON, PROBABILITY, SEED, SITE)
    out = native.residual_dropout_layer_norm(*arguments)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.residual_dropout_layer_norm(*arguments, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tensors = [to_torch(torch, a) for a in (x, bias, residual, gamma, beta)]
        contenders["pytorch"] = lambda: _composition(torch, *tensors)
    if x.itemsize == 4 and (mindspore := peers.mindspore(threads)):
        norm, dropout = mindspore.ops.LayerNorm(1, 1, EPSILON), mindspore.ops.Dropout(1 - PROBABILITY)
        mx, mbias, mresidual, mgamma, mbeta = (mindspore.Tensor(a) for a in (x, bias, residual, gamma, beta))
        contenders["mindspore"] = lambda: norm(mresidual + dropout(mx + mbias)[0], mgamma, mbeta)[0].asnumpy()
    return contenders


def _backward(
    threads: int, x: Array, residual: Array, bias: Array, gamma: Array, beta: Array
) -> dict[str, Callable[[], object]]:
    dy = normal(*x.shape, dtype="fp32" if x.itemsize == 4 else "bf16", seed=5)
    arguments = (x, bias, residual, gamma, beta, EPSILON, PROBABILITY, SEED, SITE)
    _, total, mean, rstd = native.residual_dropout_layer_norm(*arguments)
    saved = (dy, total, gamma, mean, rstd, PROBABILITY, SEED, SITE)
    out = native.residual_dropout_layer_norm_grad(*saved)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.residual_dropout_layer_norm_grad(*saved, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tensors = [to_torch(torch, a).requires_grad_() for a in (x, bias, residual, gamma, beta)]
        contenders["pytorch"] = gradient(torch, _composition(torch, *tensors), tensors, to_torch(torch, dy))
    return contenders
