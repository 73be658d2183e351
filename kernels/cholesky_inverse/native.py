"""Damped inverse by the compiled kernel, and by LAPACK above its largest block; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional, Union

import numpy as np
from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native

MAX_BLOCK = 1024  # THOR_CHOLESKY_MAX_BLOCK


def cholesky_inverse(
    c: Array, damping: Union[float, Array], *, threads: int = 0, out: Optional[tuple[Array, Array]] = None
) -> tuple[Array, Array]:
    """(inverse [n, b, b] float32, status [n] int32) of `reference.cholesky_inverse`.

    c [n, b, b] float32 with b >= 1; damping a scalar or [n] float32. `threads` 0: `library.num_threads()`; the bits do
    not depend on it. `out`: arrays to write into; out[0] may be c itself. Raises TypeError, ValueError or KernelError;
    a block that has no inverse is no error, look at its status.
    """
    check_array("cholesky_inverse", "c", c, (np.float32,))
    if c.ndim != 3 or c.shape[1] != c.shape[2] or c.shape[1] < 1:
        raise ValueError(f"cholesky_inverse: c has shape {c.shape}; pass [blocks, edge, edge] with edge >= 1.")
    blocks, edge = c.shape[0], c.shape[1]
    dampings = np.full(blocks, damping, np.float32) if np.ndim(damping) == 0 else np.asarray(damping)
    check_array("cholesky_inverse", "damping", dampings, (np.float32,), (blocks,))
    inverse, status = make_outputs("cholesky_inverse", out, (c.shape, (blocks,)), (np.float32, np.int32))
    if edge <= MAX_BLOCK:
        load_native().cholesky_inverse_f32(c, dampings, blocks, edge, inverse, status, threads)
    else:
        for q in range(blocks):
            status[q] = _lapack_inverse(c[q], float(dampings[q]), inverse[q])
    return inverse, status


def _lapack_inverse(c: Array, damping: float, inverse: Array) -> int:
    """One block by SciPy's spotrf and spotri, which for edges above 1024 leave nothing to gain."""
    from scipy.linalg import lapack

    damped = np.triu(c)
    damped[np.diag_indices_from(damped)] += np.float32(damping)
    inverse[...] = 0
    if not np.isfinite(damped).all():
        return -1
    factor, info = lapack.spotrf(damped)
    if info != 0:
        return int(info)
    upper, _ = lapack.spotri(factor)
    if not np.isfinite(upper).all():
        return -1
    inverse[...] = np.triu(upper) + np.triu(upper, 1).T
    return 0
