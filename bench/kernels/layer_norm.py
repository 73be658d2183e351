"""Peers of layer_norm and its gradient."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks' own; MindSpore's bfloat16 does not exist on the CPU."""
    return (_forward if problem.function == "layer_norm" else _backward)(problem, threads)


def _forward(problem: Problem, threads: int) -> Contenders:
    x, gamma, beta, eps = problem.arguments
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        tensors = [to_torch(torch, array) for array in (x, gamma, beta)]
        contenders["pytorch"] = lambda: torch.native_layer_norm(tensors[0], gamma.shape, *tensors[1:], eps)
    if x.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        operator, inputs = mindspore.ops.LayerNorm(1, 1, eps), [mindspore.Tensor(array) for array in (x, gamma, beta)]
        contenders["mindspore"] = lambda: operator(*inputs)[0].asnumpy()
    return contenders


def _backward(problem: Problem, threads: int) -> Contenders:
    dy, x, gamma, mean, rstd = problem.arguments
    columns = mean.reshape(-1, 1), rstd.reshape(-1, 1)
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        tdy, tx, tgamma, tmean, trstd = (to_torch(torch, array) for array in (dy, x, gamma, *columns))
        backward, wanted, tbeta = torch.ops.aten.native_layer_norm_backward, [True, True, True], tgamma
        contenders["pytorch"] = lambda: backward(tdy, tx, gamma.shape, tmean, trstd, tgamma, tbeta, wanted)
    if x.dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
        from mindspore.ops.operations import _grad_ops

        operator, variance = _grad_ops.LayerNormGrad(1, 1), 1 / columns[1] ** 2
        mx, mdy, mmean, mvariance, mgamma = (mindspore.Tensor(a) for a in (x, dy, columns[0], variance, gamma))
        contenders["mindspore"] = lambda: operator(mx, mdy, mvariance, mmean, mgamma)[0].asnumpy()
    return contenders
