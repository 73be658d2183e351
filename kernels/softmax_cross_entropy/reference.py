"""Weighted softmax cross-entropy in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

WEIGHT_FLOOR = 1e-5
"""Added to the sum of the weights, as in BERT's masked language model loss."""


def softmax_cross_entropy(
    logits: ArrayLike, bias: ArrayLike, labels: ArrayLike, weights: ArrayLike
) -> tuple[Float32, Float32, Float32]:
    """(loss [1], correct [1], log_sum_exp [rows]) of z = logits + bias.

    loss = sum w nll / (sum w + 1e-5) with nll = log sum exp z - z[label]; correct = sum of the weights of the rows whose
    label is the first largest element of z (Devlin et al. 2018). logits [rows, classes]; bias [classes]; labels [rows]
    in [0, classes); weights [rows], 0 for a row that does not count, whatever it holds.
    """
    z = np.asarray(logits, np.float64) + np.asarray(bias, np.float64)
    row, label, weight = np.arange(len(z)), np.asarray(labels), np.asarray(weights, np.float64)
    log_sum_exp = _log_sum_exp(z)
    counts = weight != 0
    nll = np.where(counts, log_sum_exp - z[row, label], 0.0)
    loss = (weight * nll).sum() / (weight.sum() + WEIGHT_FLOOR)
    correct = weight[counts & (z.argmax(axis=1) == label)].sum()
    return np.array([loss], np.float32), np.array([correct], np.float32), log_sum_exp.astype(np.float32)


def softmax_cross_entropy_grad(
    dloss: ArrayLike, logits: ArrayLike, bias: ArrayLike, labels: ArrayLike, weights: ArrayLike
) -> tuple[Float32, Float32]:
    """(dlogits [rows, classes], dbias [classes]): dloss w / (sum w + 1e-5) (softmax(z) - [v = label]), and its sum."""
    z = np.asarray(logits, np.float64) + np.asarray(bias, np.float64)
    weight = np.asarray(weights, np.float64)
    difference = np.exp(z - _log_sum_exp(z)[:, None])
    difference[np.arange(len(z)), np.asarray(labels)] -= 1.0
    scale = np.asarray(dloss, np.float64).reshape(()) * weight / (weight.sum() + WEIGHT_FLOOR)
    dlogits = np.where(weight[:, None] != 0, scale[:, None] * difference, 0.0)
    return dlogits.astype(np.float32), dlogits.sum(axis=0).astype(np.float32)


def _log_sum_exp(z: Float64) -> Float64:
    top = z.max(axis=1)
    total: Float64 = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return total
