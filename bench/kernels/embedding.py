"""Peers of embedding and its gradient."""

from __future__ import annotations

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks' gathers and sums by segment."""
    contenders: Contenders = {}
    torch, mindspore = frameworks.torch(threads), frameworks.mindspore(threads)
    if problem.function == "embedding":
        table, ids = problem.arguments
        if torch:
            ttable, tids = to_torch(torch, table), to_torch(torch, ids)
            contenders["pytorch"] = lambda: torch.nn.functional.embedding(tids, ttable)
        if mindspore:
            mtable, mids = mindspore.Tensor(table), mindspore.Tensor(ids)
            contenders["mindspore"] = lambda: mindspore.ops.gather(mtable, mids, 0).asnumpy()
        return contenders
    dy, ids, rows = problem.arguments
    if torch:
        tdy, tids = to_torch(torch, dy), to_torch(torch, ids)
        contenders["pytorch"] = lambda: torch.ops.aten.embedding_dense_backward(tdy, tids, rows, -1, False)
    if mindspore:
        mdy, mids = mindspore.Tensor(dy), mindspore.Tensor(ids)
        contenders["mindspore"] = lambda: mindspore.ops.UnsortedSegmentSum()(mdy, mids, rows).asnumpy()
    return contenders
