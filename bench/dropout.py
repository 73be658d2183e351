"""Cases of dropout with probability 0.1: rows x features; the gradient is the same operation."""

from __future__ import annotations

from typing import Callable

import peers
from data import PROBABILITY, SEED, normal, to_torch
from measure import Case

from bert_thor.kernels.dropout import native


def case(threads: int, rows: str, features: str, dtype: str = "fp32") -> Case:
    """Bytes: x and y. Drawing the random numbers costs more than moving the bytes."""
    x = normal(int(rows), int(features), dtype=dtype)
    out = (native.dropout(x, PROBABILITY, SEED, 1),)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.dropout(x, PROBABILITY, SEED, 1, threads=threads, out=out)
    }
    if torch := peers.torch(threads):
        tensor = to_torch(torch, x)
        contenders["pytorch"] = lambda: torch.nn.functional.dropout(tensor, PROBABILITY)
    if dtype == "fp32" and (mindspore := peers.mindspore(threads)):
        operator, copy = mindspore.ops.Dropout(1 - PROBABILITY), mindspore.Tensor(x)
        contenders["mindspore"] = lambda: operator(copy)[0].asnumpy()
    return Case("dropout", f"{dtype} {rows}x{features}", "copy", 2 * x.nbytes, contenders)
