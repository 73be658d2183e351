"""Fisher covariance in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def fisher_covariance(x: ArrayLike, block: int) -> Float32:
    """Diagonal blocks of x^T x / N, packed: the Kronecker factor of a dense layer (Martens and Grosse 2015, section 3).

    `x` [..., d]: activations or output gradients, one row per token; N is the product of the leading axes. uint16 means
    bfloat16 bit patterns. Returns [ceil(d / block), block, block]:

        out[q, i, j] = 1/N * sum over rows r of x[r, q block + i] * x[r, q block + j]

    Rows and columns of the last block past d are zero; so is everything when N = 0.
    """
    rows = _float64(x)
    rows = rows.reshape(int(np.prod(rows.shape[:-1])), rows.shape[-1])
    blocks = -(-rows.shape[1] // block)
    padded = np.zeros((rows.shape[0], blocks * block))
    padded[:, : rows.shape[1]] = rows
    packed = padded.reshape(rows.shape[0], blocks, block).transpose(1, 2, 0)
    return (packed @ packed.transpose(0, 2, 1) / max(rows.shape[0], 1)).astype(np.float32)


def _float64(x: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(x)
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)
