"""Soft thresholding in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def soft_threshold(x: ArrayLike, limit: float) -> NDArray[np.float32]:
    """sign(x) max(|x| - limit, 0) (Donoho 1995), element by element, for any shape of x."""
    values = np.asarray(x, np.float64)
    return (np.sign(values) * np.maximum(np.abs(values) - limit, 0.0)).astype(np.float32)
