"""Cases of Nesterov's momentum: a weight [rows, columns]."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.momentum import native

DECAY, FRESH = 0.95, 0.05


def case(threads: int, rows: str, columns: str) -> Case:
    """Bytes: average read and written, x, direction."""
    average, x, direction = (normal(int(rows), int(columns), seed=seed) for seed in range(3))
    outputs, one = (average.copy(), direction), np.ones(1, np.float32)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.nesterov_momentum(outputs[0], x, one, DECAY, threads=threads, out=outputs)
    }
    if torch := peers.torch(threads):
        ta, tx, td = (to_torch(torch, array.copy()) for array in (average, x, direction))

        def pytorch() -> Any:
            ta.mul_(DECAY).add_(tx, alpha=FRESH)
            return torch.mul(ta, DECAY, out=td).add_(tx, alpha=FRESH)

        contenders["pytorch"] = pytorch
    if mindspore := peers.mindspore(threads):
        ma, mx = mindspore.Parameter(average.copy()), mindspore.Tensor(x)

        def framework() -> Any:
            fresh = FRESH * mx
            mindspore.ops.assign(ma, DECAY * ma + fresh)
            return (DECAY * ma + fresh).asnumpy()

        contenders["mindspore"] = framework
    return Case("momentum", f"fp32 {rows}x{columns}", "copy", 4 * x.nbytes, contenders)
