"""Which new inverses are taken, in NumPy: what it means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def inverse_update(
    inverse: ArrayLike, block: ArrayLike, damping: ArrayLike, candidate: ArrayLike, status: ArrayLike, limit: float
) -> tuple[Float32, Float32]:
    """(next [n, b, b], condition [n]): candidate where status is 0 and condition <= limit, else inverse.

    condition = (|block|_1 + damping) |candidate|_1 with the largest column sum of absolute values; for a positive
    semidefinite block, whose damped inverse the candidate is, no less than the condition number of block + damping I
    (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 6.2).
    """
    new = np.asarray(candidate, np.float32)
    condition = (_norm1(block) + np.asarray(damping, np.float64)) * _norm1(new)
    taken = (np.asarray(status) == 0) & (condition <= limit)
    following = np.where(taken[:, None, None], new, np.asarray(inverse, np.float32))
    return following, condition.astype(np.float32)


def _norm1(blocks: ArrayLike) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.abs(np.asarray(blocks, np.float64)).sum(1).max(1)
    return largest
