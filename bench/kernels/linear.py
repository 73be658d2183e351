"""Peers of linear: oneDNN and MKL by way of PyTorch, and MindSpore's own product."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """PyTorch multiplies float32 by MKL and bfloat16 by oneDNN, whose weight is in bfloat16 already while ours is not; OpenBLAS and
    MindSpore have no bfloat16 on the CPU. Of a gradient both products.
    """
    contenders: Contenders = {}
    float32 = problem.arguments[0].dtype == np.float32
    if float32:
        contenders["openblas"] = _openblas(*problem.arguments)
    if torch := frameworks.torch(threads):
        contenders["pytorch"] = _pytorch(torch, *problem.arguments)
    if float32 and (mindspore := frameworks.mindspore(threads)):
        contenders["mindspore"] = _mindspore(mindspore, *problem.arguments)
    return contenders


def _openblas(*arrays: Any) -> Callable[[], Any]:
    *_, x, weight = arrays
    if len(arrays) == 2:
        y = np.empty((len(x), len(weight)), np.float32)
        return lambda: np.matmul(x, weight.T, out=y)
    dy, dx, dw = arrays[0], np.empty_like(x), np.empty_like(weight)
    return lambda: (np.matmul(dy, weight, out=dx), np.matmul(dy.T, x, out=dw))


def _pytorch(torch: Any, *arrays: Any) -> Callable[[], Any]:
    *activations, weight = (to_torch(torch, array) for array in arrays)
    weight, x = weight.to(activations[0].dtype), activations[-1]
    if len(arrays) == 2:
        y = torch.empty((len(x), len(weight)), dtype=x.dtype)
        return lambda: torch.mm(x, weight.T, out=y)
    dy, dx, dw = activations[0], torch.empty_like(x), torch.empty_like(weight)
    return lambda: (torch.mm(dy, weight, out=dx), torch.mm(dy.T, x, out=dw))


def _mindspore(mindspore: Any, *arrays: Any) -> Callable[[], Any]:
    *activations, weight = map(mindspore.Tensor, arrays)
    x = activations[-1]
    if len(arrays) == 2:
        product = mindspore.ops.MatMul(transpose_b=True)
        return lambda: product(x, weight).asnumpy()
    dy, input_gradient = activations[0], mindspore.ops.MatMul()
    weight_gradient = mindspore.ops.MatMul(transpose_a=True)
    return lambda: (input_gradient(dy, weight).asnumpy(), weight_gradient(dy, x).asnumpy())
