"""Peers of embedding and its gradient."""

from __future__ import annotations

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The frameworks' gathers and sums by segment; MindSpore's take no bfloat16 on the CPU."""
    contenders: Contenders = {}
    torch, mindspore = frameworks.torch(threads), frameworks.mindspore(threads)
    if problem.function == "embedding":
        table, ids, narrow = problem.arguments
        if torch:
            ttable, tids = to_torch(torch, table), to_torch(torch, ids)
            stored = torch.bfloat16 if narrow else torch.float32
            contenders["pytorch"] = lambda: torch.nn.functional.embedding(tids, ttable).to(stored)
        if mindspore and not narrow:
            mtable, mids = mindspore.Tensor(table), mindspore.Tensor(ids)
            contenders["mindspore"] = lambda: mindspore.ops.gather(mtable, mids, 0).asnumpy()
        return contenders
    dy, ids, rows, narrow = problem.arguments
    if torch:
        tdy, tids = to_torch(torch, dy), to_torch(torch, ids)
        stored = torch.bfloat16 if narrow else torch.float32
        contenders["pytorch"] = lambda: torch.ops.aten.embedding_dense_backward(tdy.to(stored), tids, rows, -1, False)
    if mindspore and dy.dtype == np.float32:
        mdy, mids = mindspore.Tensor(dy), mindspore.Tensor(ids)
        contenders["mindspore"] = lambda: mindspore.ops.UnsortedSegmentSum()(mdy, mids, rows).asnumpy()
    return contenders
