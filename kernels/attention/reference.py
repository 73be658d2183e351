"""Multi-head self-attention in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.dropout.reference import dropout_scale

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

MASKED = -10000.0
"""A key whose mask is not above this counts for nothing, whatever is added to its score. The original adds it to the scores of padding."""


def attention(
    qkv: ArrayLike, bias: ArrayLike, mask: ArrayLike, heads: int, probability: float, seed: ArrayLike, site: int
) -> tuple[Float32, Float32]:
    """(out, log_sum_exp): out = dropout(P) v with P = softmax(q k^T / sqrt(head size) + mask) (Vaswani et al. 2017).

    qkv [batch * length, 3 * hidden] and bias [3 * hidden]: q, k and v are the thirds of their sum, head a the columns
    a * size .. (a + 1) * size - 1 of each. mask [batch, length] is added to the scores of every query; a key
    whose mask is -10000 or less has weight 0, and a sequence of such keys alone gives 0. out [batch * length, hidden];
    log_sum_exp [batch, heads, length] is the logarithm of the softmax's denominator.
    Element (sequence, head, query, key) of P has that flat index in `dropout_scale` of the dropout operation.
    """
    q, k, v = _heads(qkv, bias, mask, heads)
    probabilities, log_sum_exp = _softmax(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]), mask)
    out = (probabilities * dropout_scale(probabilities.shape, probability, seed, site)) @ v
    return _rows(out).astype(np.float32), log_sum_exp.astype(np.float32)


def attention_grad(
    dout: ArrayLike,
    qkv: ArrayLike,
    bias: ArrayLike,
    mask: ArrayLike,
    heads: int,
    probability: float,
    seed: ArrayLike,
    site: int,
) -> tuple[Float32, Float32]:
    """(dqkv, dbias) of `attention`, whose gradient with respect to out is dout; dbias [3 * hidden] sums dqkv's rows."""
    q, k, _, dy = split_heads(qkv, bias, mask, heads, dout)
    weights, dscores = weights_and_score_gradient(dout, qkv, bias, mask, heads, probability, seed, site)
    dqkv = gradient_products(weights, dscores, q, k, dy)
    return dqkv.astype(np.float32), dqkv.sum(axis=0).astype(np.float32)


def weights_and_score_gradient(
    dout: ArrayLike,
    qkv: ArrayLike,
    bias: ArrayLike,
    mask: ArrayLike,
    heads: int,
    probability: float,
    seed: ArrayLike,
    site: int,
) -> tuple[Float64, Float64]:
    """dropout(P) and the gradient of what P is the softmax of, both [batch, heads, query, key]."""
    q, k, v, dy = split_heads(qkv, bias, mask, heads, dout)
    probabilities, _ = _softmax(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]), mask)
    keep = dropout_scale(probabilities.shape, probability, seed, site).astype(np.float64)
    dprobabilities = dy @ v.swapaxes(2, 3) * keep
    dscores = probabilities * (dprobabilities - (probabilities * dprobabilities).sum(axis=-1, keepdims=True))
    return probabilities * keep, dscores


def gradient_products(weights: Float64, dscores: Float64, q: Float64, k: Float64, dout: Float64) -> Float64:
    """dqkv of these, each split into heads."""
    scale = 1.0 / np.sqrt(q.shape[-1])
    dq, dk = dscores @ k * scale, dscores.swapaxes(2, 3) @ q * scale
    return np.concatenate([_rows(dq), _rows(dk), _rows(weights.swapaxes(2, 3) @ dout)], axis=1)


def split_heads(
    qkv: ArrayLike, bias: ArrayLike, mask: ArrayLike, heads: int, dout: ArrayLike
) -> tuple[Float64, Float64, Float64, Float64]:
    """q, k, v and dout as [batch, heads, length, head size]."""
    q, k, v = _heads(qkv, bias, mask, heads)
    batch, _, length, size = q.shape
    return q, k, v, np.asarray(dout, np.float64).reshape(batch, length, heads, size).swapaxes(1, 2)


def _heads(qkv: ArrayLike, bias: ArrayLike, mask: ArrayLike, heads: int) -> tuple[Float64, Float64, Float64]:
    """q, k and v as [batch, heads, length, head size]."""
    batch, length = np.shape(mask)
    total = np.asarray(qkv, np.float64) + np.asarray(bias, np.float64)
    split = total.reshape(batch, length, 3, heads, total.shape[1] // 3 // heads).transpose(2, 0, 3, 1, 4)
    return split[0], split[1], split[2]


def _softmax(scores: Float64, mask: ArrayLike) -> tuple[Float64, Float64]:
    added = np.asarray(mask, np.float64)[:, None, None, :]
    masked = scores + np.where(added <= MASKED, -np.inf, added)
    top = masked.max(axis=-1, keepdims=True)
    exponentials = np.exp(masked - np.where(np.isneginf(top), 0.0, top))
    total = exponentials.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):  # of a sequence in which no key counts
        log_sum_exp = top + np.log(total)
    return exponentials / np.where(total == 0, 1.0, total), log_sum_exp[..., 0]


def _rows(x: Float64) -> Float64:
    """[batch, heads, length, size] as [batch * length, heads * size]."""
    batch, heads, length, size = x.shape
    return x.swapaxes(1, 2).reshape(batch * length, heads * size)
