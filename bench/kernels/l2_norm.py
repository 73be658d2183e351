"""Peers of l2_norm."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """Norms of the whole tensor."""
    x = problem.arguments[0]
    contenders: Contenders = {"openblas": lambda: np.linalg.norm(x)}
    if torch := frameworks.torch(threads):
        tx = to_torch(torch, x)
        contenders["pytorch"] = lambda: torch.linalg.vector_norm(tx)
    if mindspore := frameworks.mindspore(threads):
        mx = mindspore.Tensor(x)
        contenders["mindspore"] = lambda: mindspore.ops.sqrt((mx * mx).sum()).asnumpy()
    return contenders
