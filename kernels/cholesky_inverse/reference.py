"""Damped inverse of positive definite blocks in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

from typing import Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

NOT_FINITE = -1  # status of a block that holds a NaN or an infinity, or whose inverse overflows


def cholesky_inverse(c: ArrayLike, damping: Union[float, ArrayLike]) -> tuple[Float32, Int32]:
    """(C + damping I)^-1 of every block by Cholesky's method (Golub and Van Loan, Matrix Computations, section 4.2).

    `c` [n, b, b]: symmetric blocks, of which only the upper triangle is read; `damping` [n] or a scalar. Returns the
    inverse [n, b, b], exactly symmetric, and the status [n]: 0, or k > 0 where the k-th pivot (from 1, as LAPACK's
    info) is not positive, or -1 where the triangle or the damping is not finite or the inverse overflows float32. The
    inverse of a block with another status than 0 is all zeros.
    """
    blocks = np.asarray(c, np.float64)
    inverse = np.zeros(blocks.shape, np.float32)
    status = np.zeros(blocks.shape[0], np.int32)
    dampings = np.broadcast_to(np.asarray(damping, np.float64), status.shape)
    for q, block in enumerate(blocks):
        upper = np.triu(block)
        damped = upper + np.triu(upper, 1).T + dampings[q] * np.eye(len(block))
        inverse[q], status[q] = _invert(damped)
    return inverse, status


def _invert(damped: NDArray[np.float64]) -> tuple[Float32, int]:
    zeros = np.zeros(damped.shape, np.float32)
    if not np.isfinite(damped).all():
        return zeros, NOT_FINITE
    factor, pivot = _cholesky(damped)
    if pivot != 0:
        return zeros, pivot
    inverted = np.linalg.solve(factor, np.eye(len(factor)))
    with np.errstate(over="ignore"):
        inverse = (inverted.T @ inverted).astype(np.float32)
    return (inverse, 0) if np.isfinite(inverse).all() else (zeros, NOT_FINITE)


def _cholesky(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Lower factor of `a`, and the number of its first pivot that is not positive, counted from 1, or 0."""
    rest, factor = a.copy(), np.zeros_like(a)
    for k in range(len(a)):
        if not rest[k, k] > 0:
            return factor, k + 1
        factor[k:, k] = rest[k:, k] / np.sqrt(rest[k, k])
        rest[k + 1 :, k + 1 :] -= np.outer(factor[k + 1 :, k], factor[k + 1 :, k])
    return factor, 0
