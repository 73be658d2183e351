"""Peers of weight_update."""

from __future__ import annotations

from typing import Any

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """In place, as ours."""
    weight, direction, _, rate, decay = problem.arguments
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        tw, td = to_torch(torch, weight.copy()), to_torch(torch, direction)
        contenders["pytorch"] = lambda: tw.mul_(1 - rate * decay).add_(td, alpha=-rate)
    if mindspore := frameworks.mindspore(threads):
        mw, md = mindspore.Parameter(weight.copy()), mindspore.Tensor(direction)

        def framework() -> Any:
            mindspore.ops.assign(mw, mw * (1 - rate * decay) - rate * md)
            return mw.asnumpy()

        contenders["mindspore"] = framework
    return contenders
