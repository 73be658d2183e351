"""Cases of factor_average: packed blocks [blocks, edge, edge]."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.factor_average import native

KEEP, SCALE = 0.95, 0.5


def case(threads: int, blocks: str, edge: str) -> Case:
    """Bytes: factor read and written, captured. The peers average too, but leave no block out and give no trace."""
    shape = int(blocks), int(edge), int(edge)
    factor, captured = (np.abs(normal(shape[0] * shape[1], shape[2], seed=k)).reshape(shape) for k in range(2))
    out = factor.copy(), np.empty(2, np.float32)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.factor_average(out[0], captured, KEEP, SCALE, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tf, tc = to_torch(torch, factor.copy()), to_torch(torch, captured)
        contenders["pytorch"] = lambda: tf.mul_(KEEP).add_(tc, alpha=(1 - KEEP) * SCALE)
    if mindspore := peers.mindspore(threads):
        mf, mc = mindspore.Parameter(factor.copy()), mindspore.Tensor(captured)

        def framework() -> Any:
            mindspore.ops.assign(mf, KEEP * mf + (1 - KEEP) * SCALE * mc)
            return mf.asnumpy()

        contenders["mindspore"] = framework
    return Case("factor_average", f"{blocks} x {edge}", "copy", 3 * factor.nbytes, contenders)
