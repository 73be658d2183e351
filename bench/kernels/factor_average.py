"""Peers of factor_average: they average too, but leave no block out and give no trace."""

from __future__ import annotations

from typing import Any

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """Two operators each."""
    factor, captured, keep, scale = problem.arguments
    contenders: Contenders = {}
    if torch := frameworks.torch(threads):
        tf, tc = to_torch(torch, factor.copy()), to_torch(torch, captured)
        contenders["pytorch"] = lambda: tf.mul_(keep).add_(tc, alpha=(1 - keep) * scale)
    if mindspore := frameworks.mindspore(threads):
        mf, mc = mindspore.Parameter(factor.copy()), mindspore.Tensor(captured)

        def framework() -> Any:
            mindspore.ops.assign(mf, keep * mf + (1 - keep) * scale * mc)
            return mf.asnumpy()

        contenders["mindspore"] = framework
    return contenders
