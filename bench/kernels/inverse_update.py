"""Peers of inverse_update: both conditions, and a selection."""

from __future__ import annotations

from typing import Any

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks read the blocks once per operator."""
    inverse, block, damping, candidate, _, limit = problem.arguments
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        ti, tb, td, tc = (to_torch(torch, array) for array in (inverse.copy(), block, damping, candidate))

        def pytorch() -> Any:
            condition = (tb.abs().sum(1).amax(1) + td) * tc.abs().sum(1).amax(1)
            return torch.where((condition <= limit)[:, None, None], tc, ti, out=ti)

        contenders["pytorch"] = pytorch
    if mindspore := frameworks.mindspore(threads):
        mi, ops = mindspore.Parameter(inverse.copy()), mindspore.ops
        mb, md, mc = (mindspore.Tensor(array) for array in (block, damping, candidate))

        def framework() -> Any:
            condition = (ops.amax(ops.abs(mb).sum(1), 1) + md) * ops.amax(ops.abs(mc).sum(1), 1)
            chosen = ops.broadcast_to((condition <= limit).reshape(-1, 1, 1), block.shape)
            ops.assign(mi, ops.select(chosen, mc, mi))
            return mi.asnumpy()

        contenders["mindspore"] = framework
    return contenders
