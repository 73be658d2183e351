"""A tensor seen as equal parts with a number each, as a stack of weights has: for the references."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def scaled_parts(x: ArrayLike, factors: ArrayLike) -> NDArray[np.float64]:
    """x in float64, the p-th of its len(factors) equal parts times factors[p]; factors [parts] divide x's elements."""
    numbers, values = np.asarray(factors, np.float64), np.asarray(x, np.float64)
    return (values.reshape(len(numbers), -1) * numbers[:, None]).reshape(values.shape)
