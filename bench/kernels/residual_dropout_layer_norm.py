"""Peers of residual_dropout_layer_norm and its gradient: the composition of the frameworks' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import gradient, to_torch
from bert_thor.kernels.cases import PROBABILITY, Problem, normal
from bert_thor.kernels.residual_dropout_layer_norm.cases import EPS


def peers(problem: Problem, threads: int) -> Contenders:
    """MindSpore's bfloat16 does not exist on the CPU."""
    forward = problem.function == "residual_dropout_layer_norm"
    return (_forward if forward else _backward)(problem, threads)


def _forward(problem: Problem, threads: int) -> Contenders:
    arrays = problem.arguments[:5]
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        tensors = [to_torch(torch, array) for array in arrays]
        contenders["pytorch"] = lambda: _composition(torch, *tensors)
    if arrays[0].dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        norm, dropout = mindspore.ops.LayerNorm(1, 1, EPS), mindspore.ops.Dropout(1 - PROBABILITY)
        mx, mbias, mresidual, mgamma, mbeta = (mindspore.Tensor(array) for array in arrays)
        contenders["mindspore"] = lambda: norm(mresidual + dropout(mx + mbias)[0], mgamma, mbeta)[0].asnumpy()
    return contenders


def _backward(problem: Problem, threads: int) -> Contenders:
    """PyTorch records a forward pass of its own; what the numbers are takes no time."""
    dy, total, gamma, *_ = problem.arguments
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        vector = normal(len(gamma), seed=2)
        arrays = (total, vector, total.copy(), gamma, vector.copy())
        tensors = [to_torch(torch, array).requires_grad_() for array in arrays]
        contenders["pytorch"] = gradient(torch, _composition(torch, *tensors), tensors, to_torch(torch, dy))
    return contenders


def _composition(torch: Any, x: Any, bias: Any, residual: Any, gamma: Any, beta: Any) -> Any:
    functions = torch.nn.functional
    total = residual + functions.dropout(x + bias.to(x.dtype), PROBABILITY)
    return functions.layer_norm(total, gamma.shape, gamma, beta, EPS)
