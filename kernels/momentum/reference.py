"""Momentum in NumPy: what the two rules mean. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.parts import scaled_parts

Float32 = NDArray[np.float32]


def nesterov_momentum(average: ArrayLike, x: ArrayLike, factors: ArrayLike, decay: float) -> tuple[Float32, Float32]:
    """(next, direction): next = decay average + (1 - decay) f x, direction = decay next + (1 - decay) f x.

    Nesterov's momentum in the form of Sutskever et al. (2013), of an average instead of a sum. average and x have one
    shape; factors [parts] has an f for each of that many equal parts of x.
    """
    fresh = (1.0 - decay) * scaled_parts(x, factors)
    following = decay * np.asarray(average, np.float64) + fresh
    return following.astype(np.float32), (decay * following + fresh).astype(np.float32)


def heavy_ball(average: ArrayLike, x: ArrayLike, factors: ArrayLike, decay: float) -> tuple[Float32, Float32]:
    """(next, direction), both decay average + f x (Polyak 1964)."""
    following = (decay * np.asarray(average, np.float64) + scaled_parts(x, factors)).astype(np.float32)
    return following, following.copy()
