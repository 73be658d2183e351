"""Cases of l2_norm: a gradient [rows, columns]."""

from __future__ import annotations

from typing import Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.l2_norm import native


def case(threads: int, rows: str, columns: str) -> Case:
    """Bytes: x, once."""
    x, out = normal(int(rows), int(columns)), (np.empty(1, np.float32),)
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: native.l2_norm(x, threads=threads, out=out)}
    contenders["openblas"] = lambda: np.linalg.norm(x)
    if torch := peers.torch(threads):
        tx = to_torch(torch, x)
        contenders["pytorch"] = lambda: torch.linalg.vector_norm(tx)
    if mindspore := peers.mindspore(threads):
        mx = mindspore.Tensor(x)
        contenders["mindspore"] = lambda: mindspore.ops.sqrt((mx * mx).sum()).asnumpy()
    return Case("l2_norm", f"fp32 {rows}x{columns}", "copy", x.nbytes, contenders)
