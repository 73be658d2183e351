"""Adam's moments and direction in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.parts import scaled_parts

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
LARGEST = 2.0**63
"""Of an element of the gradient, with its factor; its square still is a float32."""


def adam(
    first: ArrayLike,
    second: ArrayLike,
    gradient: ArrayLike,
    factors: ArrayLike,
    betas: tuple[float, float],
    correction: float,
    eps: float,
) -> tuple[Float32, Float32, Float32]:
    """(next_first, next_second, direction) of Kingma and Ba (2015), in the efficient order of their section 2.

    m = beta1 first + (1 - beta1) f g; v = beta2 second + (1 - beta2) (f g)^2; direction = correction m / (sqrt(v) + eps).
    first, second and gradient have one shape; factors [parts] has an f for each of that many equal parts of it. With
    correction = sqrt(1 - beta2^t) / (1 - beta1^t) the moments' bias in step t is corrected. f g counts as `LARGEST` at most,
    and as NaN where it is not finite.
    """
    return _rounded(*_moved(first, second, gradient, factors, betas, correction, eps))


def adam_update(
    weight: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    gradient: ArrayLike,
    factors: ArrayLike,
    betas: tuple[float, float],
    correction: float,
    eps: float,
    rate: float,
    decay: float,
) -> tuple[Float32, Float32, Float32]:
    """(next_weight, next_first, next_second): (1 - rate decay) weight - rate direction (Loshchilov and Hutter 2019)."""
    m, v, direction = _moved(first, second, gradient, factors, betas, correction, eps)
    return _rounded((1.0 - rate * decay) * np.asarray(weight, np.float64) - rate * direction, m, v)


def _moved(
    first: ArrayLike,
    second: ArrayLike,
    gradient: ArrayLike,
    factors: ArrayLike,
    betas: tuple[float, float],
    correction: float,
    eps: float,
) -> tuple[Float64, Float64, Float64]:
    g = scaled_parts(gradient, factors)
    g = np.where(np.isfinite(g), np.clip(g, -LARGEST, LARGEST), np.nan)
    m = betas[0] * np.asarray(first, np.float64) + (1.0 - betas[0]) * g
    v = betas[1] * np.asarray(second, np.float64) + (1.0 - betas[1]) * g * g
    return m, v, correction * m / (np.sqrt(v) + eps)


def _rounded(one: Float64, two: Float64, three: Float64) -> tuple[Float32, Float32, Float32]:
    return one.astype(np.float32), two.astype(np.float32), three.astype(np.float32)
