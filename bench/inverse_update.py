"""Cases of inverse_update: packed blocks [blocks, edge, edge], all of whose candidates are taken."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.inverse_update import native

LIMIT = 1e30


def case(threads: int, blocks: str, edge: str) -> Case:
    """Bytes: block, candidate twice (its norm decides before it is copied), inverse written."""
    shape = int(blocks), int(edge), int(edge)
    block, candidate = (normal(shape[0] * shape[1], shape[2], seed=k).reshape(shape) for k in range(2))
    damping, status = np.ones(shape[0], np.float32), np.zeros(shape[0], np.int32)
    out = np.zeros(shape, np.float32), np.empty(shape[0], np.float32)
    inputs = (out[0], block, damping, candidate, status, LIMIT)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.inverse_update(*inputs, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        ti, tb, tc = (to_torch(torch, array) for array in (np.zeros(shape, np.float32), block, candidate))

        def pytorch() -> Any:
            condition = (tb.abs().sum(1).amax(1) + 1.0) * tc.abs().sum(1).amax(1)
            return torch.where((condition <= LIMIT)[:, None, None], tc, ti, out=ti)

        contenders["pytorch"] = pytorch
    if mindspore := peers.mindspore(threads):
        mi = mindspore.Parameter(np.zeros(shape, np.float32))
        mb, mc, ops = mindspore.Tensor(block), mindspore.Tensor(candidate), mindspore.ops

        def framework() -> Any:
            condition = (ops.amax(ops.abs(mb).sum(1), 1) + 1.0) * ops.amax(ops.abs(mc).sum(1), 1)
            chosen = ops.broadcast_to((condition <= LIMIT).reshape(-1, 1, 1), shape)
            ops.assign(mi, ops.select(chosen, mc, mi))
            return mi.asnumpy()

        contenders["mindspore"] = framework
    return Case("inverse_update", f"{blocks} x {edge}", "copy", 4 * block.nbytes, contenders)
