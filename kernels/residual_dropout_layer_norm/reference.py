"""Residual + dropout + layer norm in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.dropout.reference import dropout, dropout_scale
from bert_thor.kernels.layer_norm.reference import layer_norm, layer_norm_grad

Float32 = NDArray[np.float32]


def residual_dropout_layer_norm(
    x: ArrayLike,
    bias: ArrayLike,
    residual: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    eps: float,
    probability: float,
    seed: ArrayLike,
    site: int,
) -> tuple[Float32, Float32, Float32, Float32]:
    """y = layer_norm(sum, gamma, beta, eps) with sum = residual + dropout(x + bias); returns (y, sum, mean, rstd).

    x, residual, y, sum [..., features]; bias, gamma, beta [features]; mean, rstd [rows], flat over the rows.
    `probability`, `seed` and `site` are those of `dropout.reference.dropout_scale`.
    """
    scale = dropout_scale(np.shape(x), probability, seed, site)
    dropped = (np.asarray(x, np.float64) + np.asarray(bias, np.float64)) * scale
    total = (np.asarray(residual, np.float64) + dropped).astype(np.float32)
    y, mean, rstd = layer_norm(total, gamma, beta, eps)
    return y, total, mean, rstd


def residual_dropout_layer_norm_grad(
    dy: ArrayLike,
    total: ArrayLike,
    gamma: ArrayLike,
    mean: ArrayLike,
    rstd: ArrayLike,
    probability: float,
    seed: ArrayLike,
    site: int,
) -> tuple[Float32, Float32, Float32, Float32, Float32]:
    """(dx, dbias, dresidual, dgamma, dbeta) from what the forward pass returned (`total` is its sum).

    dresidual is layer norm's gradient at the sum, dx its elements that the forward pass kept, scaled alike;
    dbias [features] sums dx over all rows.
    """
    dresidual, dgamma, dbeta = layer_norm_grad(dy, total, gamma, mean, rstd)
    dx = dropout(dresidual, probability, seed, site)
    dbias = dx.reshape(-1, dx.shape[-1]).sum(axis=0, dtype=np.float64).astype(np.float32)
    return dx, dbias, dresidual, dgamma, dbeta
