"""Layer normalisation in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def layer_norm(x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, eps: float = 1e-12) -> tuple[Float32, Float32, Float32]:
    """Normalise every row of `x` [..., features] to mean 0 and variance 1, then scale and shift.

    y = (x - mean) * rstd * gamma + beta with rstd = 1 / sqrt(variance + eps), variance divided by `features`
    (Ba, Kiros, Hinton 2016). Returns y [..., features] and, flat over the rows, mean [rows] and rstd [rows].
    """
    rows = _rows(x)
    mean = rows.mean(axis=1)
    rstd = 1.0 / np.sqrt(np.square(rows - mean[:, None]).mean(axis=1) + eps)
    xhat = (rows - mean[:, None]) * rstd[:, None]
    y = (xhat * np.asarray(gamma, np.float64) + np.asarray(beta, np.float64)).reshape(np.shape(x))
    return y.astype(np.float32), mean.astype(np.float32), rstd.astype(np.float32)


def layer_norm_grad(
    dy: ArrayLike, x: ArrayLike, gamma: ArrayLike, mean: ArrayLike, rstd: ArrayLike
) -> tuple[Float32, Float32, Float32]:
    """Gradient of `layer_norm` with `mean` and `rstd` [rows] from the forward pass.

    With d = x - mean, xhat = (d - mean(d)) * rstd and g = dy * gamma: dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),
    dgamma = sum over rows of dy * xhat, dbeta = sum over rows of dy. mean(d) is what `mean`, rounded to float32, lacks.
    Returns dx [..., features], dgamma and dbeta [features].
    """
    rows, dy_rows = _rows(x), _rows(dy)
    scale = np.asarray(rstd, np.float64)[:, None]
    centered = rows - np.asarray(mean, np.float64)[:, None]
    xhat = (centered - centered.mean(axis=1, keepdims=True)) * scale
    g = dy_rows * np.asarray(gamma, np.float64)
    dx = scale * (g - g.mean(axis=1, keepdims=True) - xhat * (g * xhat).mean(axis=1, keepdims=True))
    dgamma, dbeta = (dy_rows * xhat).sum(axis=0), dy_rows.sum(axis=0)
    return dx.reshape(np.shape(x)).astype(np.float32), dgamma.astype(np.float32), dbeta.astype(np.float32)


def _rows(x: ArrayLike) -> NDArray[np.float64]:
    """`x` as a float64 matrix whose columns are its last axis."""
    array = np.asarray(x, np.float64)
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])
