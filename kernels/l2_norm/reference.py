"""L2 norms of the parts of a tensor in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def l2_norm(x: ArrayLike, parts: int = 1) -> NDArray[np.float32]:
    """[parts]: the square root of the sum of squares of each of that many equal parts of x."""
    values = np.asarray(x, np.float64).reshape(parts, -1)
    return np.sqrt((values * values).sum(axis=1)).astype(np.float32)
