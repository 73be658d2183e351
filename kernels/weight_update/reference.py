"""The step of the weights in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.parts import scaled_parts


def weight_update(
    weight: ArrayLike, direction: ArrayLike, factors: ArrayLike, rate: float, decay: float
) -> NDArray[np.float32]:
    """(1 - rate decay) weight - rate f direction, with decoupled decay (Loshchilov and Hutter 2019).

    weight and direction have one shape; factors [parts] has an f for each of that many equal parts of it.
    """
    step = rate * scaled_parts(direction, factors)
    return ((1.0 - rate * decay) * np.asarray(weight, np.float64) - step).astype(np.float32)
