"""The errors that layer_norm.h promises, written out, and rows whose mean is any number of deviations."""

from __future__ import annotations

from typing import Union

import numpy as np
from comparison import BF16_UNIT, UNIT, from_bf16, lane_sum_units, to_bf16

from bert_thor.kernels.layer_norm import reference

RATIOS = (0.0, *(10.0**power for power in range(8)))
"""|mean| over the deviation that is asked for; float32 or bfloat16 may round it to less or to nothing."""
EPSILONS = (1e-12, 1e-6, 1e-5, 1.0)


def widened(x: np.ndarray) -> np.ndarray:
    """float32 numbers, of bfloat16 bit patterns too."""
    return from_bf16(x) if x.dtype == np.uint16 else x


def stored(x: np.ndarray, like: Union[np.ndarray, str]) -> np.ndarray:
    """`x` as another array, or "bf16", is stored."""
    narrow = like == "bf16" if isinstance(like, str) else like.dtype == np.uint16
    return to_bf16(x) if narrow else x


def rows_of_ratio(rows: int, features: int, ratio: float, deviation: float, storage: str = "fp32") -> np.ndarray:
    """Normal numbers round `ratio` deviations, every other row below zero."""
    rng = np.random.default_rng((rows, features))
    sign = np.where(np.arange(rows) % 2, -1.0, 1.0)[:, None]
    return stored(((rng.standard_normal((rows, features)) + ratio * sign) * deviation).astype(np.float32), storage)


def tolerances(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
    """Of y, mean and rstd, as layer_norm.h has them."""
    rows = widened(x).astype(np.float64)
    y, mean, rstd = (value.astype(np.float64) for value in reference.layer_norm(rows, gamma, beta, eps))
    k = lane_sum_units(x.shape[1])
    t = k * UNIT * np.abs(mean) * rstd
    xhat = np.abs(rows - rows.mean(axis=1, keepdims=True)) * rstd[:, None]
    of_y = (2 + t[:, None] + (1 + t[:, None] ** 2) * xhat) * np.abs(gamma) + np.abs(beta)
    return (
        k * UNIT * of_y + narrowing(x, y),
        2 * UNIT * np.abs(mean) + k * UNIT * (2 + t) / rstd,
        k * UNIT * (1 + t**2) * rstd,
    )


def tolerances_of_gradient(
    dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Of dx, dgamma and dbeta, for mean and rstd of the forward pass."""
    rows, upstream = widened(x).astype(np.float64), np.abs(widened(dy).astype(np.float64))
    scale, k = rstd.astype(np.float64)[:, None], lane_sum_units(x.shape[1])
    dx = reference.layer_norm_grad(widened(dy), rows, gamma, mean, rstd)[0]
    xhat = np.abs(rows - rows.mean(axis=1, keepdims=True)) * scale
    w = 1 + xhat + 2 * UNIT * np.abs(mean.astype(np.float64))[:, None] * scale
    g = upstream * np.abs(gamma)
    size = g + g.mean(axis=1, keepdims=True) + 3 * w * (g * w).mean(axis=1, keepdims=True)
    of_dgamma = (len(x) + 3 * k) * UNIT * (upstream * w).sum(axis=0)
    return k * UNIT * scale * size + narrowing(x, dx), of_dgamma, (len(x) + 5) * UNIT * upstream.sum(axis=0)


def narrowing(like: np.ndarray, result: np.ndarray) -> np.ndarray:
    """The rounding of a result to bfloat16 where it is stored so."""
    return 1.01 * BF16_UNIT * np.abs(result) if like.dtype == np.uint16 else np.zeros_like(result)
