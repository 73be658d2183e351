"""The sum of two tensors in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def add(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """a + b; a and b have one shape."""
    return (np.asarray(a, np.float64) + np.asarray(b, np.float64)).astype(np.float32)
