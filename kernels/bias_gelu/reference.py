"""GELU of x + bias in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

from math import erfc, exp, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]

_distribution = np.frompyfunc(lambda u: 0.5 * erfc(-u / sqrt(2.0)), 1, 1)
_density = np.frompyfunc(lambda u: exp(-0.5 * u * u) / sqrt(2.0 * pi), 1, 1)


def bias_gelu(x: ArrayLike, bias: ArrayLike) -> Float32:
    """y = u Phi(u) with u = x + bias and Phi the standard normal distribution function (Hendrycks, Gimpel 2016).

    x, y [..., features]; bias [features].
    """
    u = np.asarray(x, np.float64) + np.asarray(bias, np.float64)
    return np.asarray(u * _distribution(u), np.float64).astype(np.float32)


def bias_gelu_grad(dy: ArrayLike, x: ArrayLike, bias: ArrayLike) -> tuple[Float32, Float32]:
    """(dx, dbias): dx = dy (Phi(u) + u phi(u)) with u = x + bias; dbias [features] is its sum over all rows."""
    u = np.asarray(x, np.float64) + np.asarray(bias, np.float64)
    dx = np.asarray(np.asarray(dy, np.float64) * (_distribution(u) + u * _density(u)), np.float64)
    dbias = dx.reshape(-1, dx.shape[-1]).sum(axis=0)
    return dx.astype(np.float32), dbias.astype(np.float32)
