"""Cases of weight_update: a weight [rows, columns]."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.weight_update import native

RATE, DECAY = 1e-6, 0.01


def case(threads: int, rows: str, columns: str) -> Case:
    """Bytes: weight read and written, direction."""
    weight, direction = (normal(int(rows), int(columns), seed=seed) for seed in range(2))
    out, one = (weight.copy(),), np.ones(1, np.float32)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.weight_update(out[0], direction, one, RATE, DECAY, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tw, td = to_torch(torch, weight.copy()), to_torch(torch, direction)
        contenders["pytorch"] = lambda: tw.mul_(1 - RATE * DECAY).add_(td, alpha=-RATE)
    if mindspore := peers.mindspore(threads):
        mw, md = mindspore.Parameter(weight.copy()), mindspore.Tensor(direction)

        def framework() -> Any:
            mindspore.ops.assign(mw, mw * (1 - RATE * DECAY) - RATE * md)
            return mw.asnumpy()

        contenders["mindspore"] = framework
    return Case("weight_update", f"fp32 {rows}x{columns}", "copy", 3 * weight.nbytes, contenders)
