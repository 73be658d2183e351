"""Peers of Nesterov's momentum."""

from __future__ import annotations

from typing import Any

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """In place, as ours."""
    contenders: Contenders = {}
    if problem.function != "nesterov_momentum":
        return contenders
    average, x, _, decay = problem.arguments
    fresh = 1 - decay
    if torch := frameworks.torch(threads):
        ta, tx, td = (to_torch(torch, array.copy()) for array in (average, x, x))

        def pytorch() -> Any:
            ta.mul_(decay).add_(tx, alpha=fresh)
            return torch.mul(ta, decay, out=td).add_(tx, alpha=fresh)

        contenders["pytorch"] = pytorch
    if mindspore := frameworks.mindspore(threads):
        ma, mx = mindspore.Parameter(average.copy()), mindspore.Tensor(x)

        def framework() -> Any:
            added = fresh * mx
            mindspore.ops.assign(ma, decay * ma + added)
            return (decay * ma + added).asnumpy()

        contenders["mindspore"] = framework
    return contenders
