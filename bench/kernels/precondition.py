"""Peers of precondition: a batch of products from either side."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """For edges that divide their sides."""
    contenders: Contenders = {"openblas": _openblas(*problem.arguments)}
    if torch := frameworks.torch(threads):
        contenders["pytorch"] = _pytorch(torch, *problem.arguments)
    if mindspore := frameworks.mindspore(threads):
        contenders["mindspore"] = _mindspore(mindspore, *problem.arguments)
    return contenders


def _openblas(g_inverse: Any, gradient: Any, a_inverse: Any) -> Any:
    g, a, (outputs, inputs) = g_inverse.shape[1], a_inverse.shape[1], gradient.shape
    out = np.empty_like(gradient)

    def run() -> np.ndarray:
        left = np.matmul(g_inverse, gradient.reshape(outputs // g, g, inputs)).reshape(outputs, inputs)
        for q, block in enumerate(a_inverse):
            out[:, q * a : (q + 1) * a] = left[:, q * a : (q + 1) * a] @ block
        return out

    return run


def _pytorch(torch: Any, g_inverse: Any, gradient: Any, a_inverse: Any) -> Any:
    g, a, (outputs, inputs) = g_inverse.shape[1], a_inverse.shape[1], gradient.shape
    tg, tw, ta = (to_torch(torch, array) for array in (g_inverse, gradient, a_inverse))

    def run() -> Any:
        left = torch.bmm(tg, tw.view(outputs // g, g, inputs)).view(outputs, inputs // a, a)
        return torch.bmm(left.transpose(0, 1), ta).transpose(0, 1).reshape(outputs, inputs)

    return run


def _mindspore(mindspore: Any, g_inverse: Any, gradient: Any, a_inverse: Any) -> Any:
    g, a, (outputs, inputs) = g_inverse.shape[1], a_inverse.shape[1], gradient.shape
    mg, mw, ma = map(mindspore.Tensor, (g_inverse, gradient, a_inverse))
    product = mindspore.ops.BatchMatMul()

    def run() -> Any:
        left = product(mg, mw.reshape(outputs // g, g, inputs)).reshape(outputs, inputs // a, a).transpose(1, 0, 2)
        return product(left, ma).transpose(1, 0, 2).reshape(outputs, inputs).asnumpy()

    return run
