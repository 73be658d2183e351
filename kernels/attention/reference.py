"""Multi-head self-attention in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_thor.kernels.dropout.reference import dropout_scale

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def attention(
    qkv: ArrayLike, bias: ArrayLike, mask: ArrayLike, heads: int, probability: float, seed: ArrayLike, site: int
) -> tuple[Float32, Float32]:
    """(out, log_sum_exp): out = dropout(P) v with P = softmax(q k^T / sqrt(head size) + mask) (Vaswani et al. 2017).

    qkv [batch * length, 3 * hidden] and bias [3 * hidden]: q, k and v are the thirds of their sum, head a the columns
    a * size .. (a + 1) * size - 1 of each. mask [batch, length] is added to the scores of every query. out
    [batch * length, hidden]; log_sum_exp [batch, heads, length] is the logarithm of the softmax's denominator.
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
    q, k, v = _heads(qkv, bias, mask, heads)
    scale = 1.0 / np.sqrt(q.shape[-1])
    probabilities, _ = _softmax(q @ k.swapaxes(2, 3) * scale, mask)
    keep = dropout_scale(probabilities.shape, probability, seed, site).astype(np.float64)
    batch, _, length, size = q.shape
    dy = np.asarray(dout, np.float64).reshape(batch, length, heads, size).swapaxes(1, 2)
    dprobabilities = dy @ v.swapaxes(2, 3) * keep
    dscores = probabilities * (dprobabilities - (probabilities * dprobabilities).sum(axis=-1, keepdims=True))
    dq, dk = dscores @ k * scale, dscores.swapaxes(2, 3) @ q * scale
    dv = (probabilities * keep).swapaxes(2, 3) @ dy
    dqkv = np.concatenate([_rows(dq), _rows(dk), _rows(dv)], axis=1)
    return dqkv.astype(np.float32), dqkv.sum(axis=0).astype(np.float32)


def _heads(qkv: ArrayLike, bias: ArrayLike, mask: ArrayLike, heads: int) -> tuple[Float64, Float64, Float64]:
    """q, k and v as [batch, heads, length, head size]."""
    batch, length = np.shape(mask)
    total = np.asarray(qkv, np.float64) + np.asarray(bias, np.float64)
    split = total.reshape(batch, length, 3, heads, total.shape[1] // 3 // heads).transpose(2, 0, 3, 1, 4)
    return split[0], split[1], split[2]


def _softmax(scores: Float64, mask: ArrayLike) -> tuple[Float64, Float64]:
    masked = scores + np.asarray(mask, np.float64)[:, None, None, :]
    top = masked.max(axis=-1, keepdims=True)
    exponentials = np.exp(masked - top)
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / total, (top + np.log(total))[..., 0]


def _rows(x: Float64) -> Float64:
    """[batch, heads, length, size] as [batch * length, heads * size]."""
    batch, heads, length, size = x.shape
    return x.swapaxes(1, 2).reshape(batch * length, heads * size)
