"""Damped inverse by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional, Union

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, check_blocks, make_outputs
from bert_thor.kernels.library import load_native


def cholesky_inverse(
    c: Array, damping: Union[float, Array], *, threads: int = 0, out: Optional[tuple[Array, Array]] = None
) -> tuple[Array, Array]:
    """(inverse [n, b, b] float32, status [n] int32) of `reference.cholesky_inverse`.

    c [n, b, b] float32 with b >= 1; damping a scalar or [n] float32. `threads` 0: `library.num_threads()`; the bits do
    not depend on it. `out`: arrays to write into; out[0] may be c itself. Raises TypeError, ValueError or KernelError;
    a block that has no inverse is no error, look at its status.
    """
    blocks, edge = check_blocks("cholesky_inverse", "c", c)
    dampings = np.full(blocks, damping, np.float32) if np.ndim(damping) == 0 else np.asarray(damping)
    check_array("cholesky_inverse", "damping", dampings, (np.float32,), (blocks,))
    inverse, status = make_outputs("cholesky_inverse", out, (c.shape, (blocks,)), (np.float32, np.int32))
    load_native().cholesky_inverse_f32(c, dampings, blocks, edge, inverse, status, threads)
    return inverse, status
