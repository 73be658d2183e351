"""The products of a linear layer in NumPy: what the operation means. float64 inside, float32 out.

Letters: N rows, I input features, O output features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def linear(x: ArrayLike, weight: ArrayLike) -> Float32:
    """y = x Wᵀ: y[..., o] = sum over i of x[..., i] weight[o, i].

    x [..., I], weight [O, I]. Where x is uint16, bfloat16 bit patterns, the weight is rounded to bfloat16 (nearest, ties to even) before
    it is multiplied.
    """
    return (_float64(x) @ _weight(weight, like=x).T).astype(np.float32)


def linear_grad(dy: ArrayLike, x: ArrayLike, weight: ArrayLike) -> tuple[Float32, Float32]:
    """(dx, dw) of `linear`: dx [..., I] = dy W, dw [O, I] = dyᵀ x summed over all rows; dy [..., O] has the type of x."""
    dy_rows, x_rows = _rows(dy), _rows(x)
    dx = (dy_rows @ _weight(weight, like=x)).reshape(np.shape(x))
    return dx.astype(np.float32), (dy_rows.T @ x_rows).astype(np.float32)


def _weight(weight: ArrayLike, like: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(weight, np.float32)
    if np.asarray(like).dtype == np.uint16:
        bits = array.view(np.uint32).astype(np.uint64)
        array = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    return array.astype(np.float64)


def _rows(x: ArrayLike) -> NDArray[np.float64]:
    array = _float64(x)
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])


def _float64(x: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(x)
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)
