"""Fisher covariance in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

from typing import Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def fisher_covariance(x: ArrayLike, block: int, weights: Optional[ArrayLike] = None) -> Float32:
    """Diagonal blocks of x^T diag(w) x / N, packed: the Kronecker factor of a dense layer (Martens and Grosse 2015, section 3).

    `x` [..., d]: activations or output gradients, one row per token; N is the product of the leading axes. uint16 means
    bfloat16 bit patterns. `weights` [...]: w, one number per row; None: 1 for each. Returns [ceil(d / block), block, block]:

        out[q, i, j] = 1/N * sum over rows r of w[r] * x[r, q block + i] * x[r, q block + j]

    With w[r] the squared norm of the row's output gradient, the sum is the partial trace of the tokens' Fisher matrix, of
    which x^T x / N is the trace only if inputs and gradients are independent.

    A row of weight 0 has no part in the sum, whatever x holds there, though it counts in N. A negative weight has no root
    and stands for NaN. Rows and columns of the last block past d are zero; so is everything when N = 0.
    """
    rows = _float64(x)
    rows = rows.reshape(int(np.prod(rows.shape[:-1])), rows.shape[-1])
    count, blocks = rows.shape[0], -(-rows.shape[1] // block)
    if weights is not None:
        rows = _weighted(rows, _float64(weights).reshape(count))
    padded = np.zeros((rows.shape[0], blocks * block))
    padded[:, : rows.shape[1]] = rows
    packed = padded.reshape(rows.shape[0], blocks, block).transpose(1, 2, 0)
    return (packed @ packed.transpose(0, 2, 1) / max(count, 1)).astype(np.float32)


def _weighted(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row times the root of its weight; the rows without one are left out."""
    kept = weights != 0
    with np.errstate(invalid="ignore"):
        weighted: NDArray[np.float64] = rows[kept] * np.sqrt(weights[kept])[:, None]
    return weighted


def _float64(x: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(x)
    if array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)
