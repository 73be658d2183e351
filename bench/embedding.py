"""Cases of embedding and its gradient: `rows` indices into a table of vocabulary x features."""

from __future__ import annotations

from typing import Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.embedding import native


def case(threads: int, rows: str, vocabulary: str, features: str, direction: str) -> Case:
    """Bytes: the rows read and written forward; the rows and the whole table's gradient backward."""
    n, v, d = int(rows), int(vocabulary), int(features)
    ids = np.random.default_rng(0).integers(0, v, n).astype(np.int32)
    shape = f"{direction} fp32 {n} of {v}x{d}"
    contenders: dict[str, Callable[[], object]] = {}
    torch, mindspore = peers.torch(threads), peers.mindspore(threads)
    if direction == "forward":
        table = normal(v, d)
        out = (native.embedding(table, ids),)
        contenders["ours"] = lambda: native.embedding(table, ids, threads=threads, out=out)
        if torch:
            ttable, tids = to_torch(torch, table), to_torch(torch, ids)
            contenders["pytorch"] = lambda: torch.nn.functional.embedding(tids, ttable)
        if mindspore:
            mtable, mids = mindspore.Tensor(table), mindspore.Tensor(ids)
            contenders["mindspore"] = lambda: mindspore.ops.gather(mtable, mids, 0).asnumpy()
        return Case("embedding", shape, "copy", 2 * 4 * n * d, contenders)
    dy = normal(n, d)
    gradients = (native.embedding_grad(dy, ids, v),)
    contenders["ours"] = lambda: native.embedding_grad(dy, ids, v, threads=threads, out=gradients)
    if torch:
        tdy, tids = to_torch(torch, dy), to_torch(torch, ids)
        contenders["pytorch"] = lambda: torch.ops.aten.embedding_dense_backward(tdy, tids, v, -1, False)
    if mindspore:
        mdy, mids = mindspore.Tensor(dy), mindspore.Tensor(ids)
        contenders["mindspore"] = lambda: mindspore.ops.UnsortedSegmentSum()(mdy, mids, v).asnumpy()
    return Case("embedding", shape, "copy", 4 * (n + v) * d, contenders)
