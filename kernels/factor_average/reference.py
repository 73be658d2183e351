"""The average of a Fisher factor in NumPy: what it means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def factor_average(factor: ArrayLike, captured: ArrayLike, keep: float, scale: float) -> tuple[Float32, Float32]:
    """(next [n, b, b], summary [2]): next = keep factor + (1 - keep) scale captured; summary = (tr next, blocks left out).

    A block is left out, and keeps its factor, where an element of scale captured or its trace is not finite in float32. While
    tr factor, over all blocks, is not above 0, keep counts as 0. The exponential average of K-FAC (Martens & Grosse 2015, section 5).
    """
    old, new = np.asarray(factor, np.float64), np.asarray(captured, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.float32(scale) * new
        traces = np.diagonal(scaled, axis1=1, axis2=2).sum(1, dtype=np.float64).astype(np.float32)
    sound = np.isfinite(scaled).all((1, 2)) & np.isfinite(traces)
    kept = keep if np.trace(old, axis1=1, axis2=2).sum() > 0 else 0.0
    averaged = old.copy()
    averaged[sound] = kept * old[sound] + (1 - kept) * scale * new[sound].astype(np.float64)
    summary = [np.trace(averaged, axis1=1, axis2=2).sum(), (~sound).sum()]
    return averaged.astype(np.float32), np.array(summary, np.float32)
