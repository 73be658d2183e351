"""Which new inverses are taken, by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, check_blocks, make_outputs
from bert_thor.kernels.library import load_native


def inverse_update(
    inverse: Array,
    block: Array,
    damping: Array,
    candidate: Array,
    status: Array,
    limit: float,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array]] = None,
) -> tuple[Array, Array]:
    """(next [n, b, b], condition [n]) of `reference.inverse_update`; status is int32, the other arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: (next, condition) to write into; next may be
    inverse or candidate. Raises TypeError, ValueError or KernelError.
    """
    blocks, edge = check_blocks("inverse_update", "inverse", inverse)
    check_blocks("inverse_update", "block", block, inverse.shape)
    check_blocks("inverse_update", "candidate", candidate, inverse.shape)
    check_array("inverse_update", "damping", damping, (np.float32,), (blocks,))
    check_array("inverse_update", "status", status, (np.int32,), (blocks,))
    outputs = make_outputs("inverse_update", out, (inverse.shape, (blocks,)), (np.float32, np.float32))
    load_native().inverse_update_f32(inverse, block, damping, candidate, status, blocks, edge, limit, *outputs, threads)
    return outputs[0], outputs[1]
