"""The average of a Fisher factor by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_blocks, make_outputs
from bert_thor.kernels.library import load_native


def factor_average(
    factor: Array,
    captured: Array,
    keep: float,
    scale: float,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array]] = None,
) -> tuple[Array, Array]:
    """(next [n, b, b], summary [2]) of `reference.factor_average`; the arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: (next, summary) to write into; next may be
    factor. Raises TypeError, ValueError or KernelError.
    """
    blocks, edge = check_blocks("factor_average", "factor", factor)
    check_blocks("factor_average", "captured", captured, factor.shape)
    outputs = make_outputs("factor_average", out, (factor.shape, (2,)), (np.float32, np.float32))
    load_native().factor_average_f32(factor, captured, blocks, edge, keep, scale, *outputs, threads)
    return outputs[0], outputs[1]
