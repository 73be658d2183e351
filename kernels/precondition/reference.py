"""The preconditioned gradient in NumPy: what the operation means. float64 inside, float32 out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


def precondition(g_inverse: ArrayLike, gradient: ArrayLike, a_inverse: ArrayLike) -> Float32:
    """G^-1 dW A^-1 of a dense layer with packed block-diagonal inverses (Martens and Grosse 2015, section 4.2).

    `gradient` [outputs, inputs]; `g_inverse` [ceil(outputs / bg), bg, bg]; `a_inverse` [ceil(inputs / ba), ba, ba].
    Where an edge does not divide its side, only the leading part of the last block is used. Returns [outputs, inputs].
    """
    gradient = np.asarray(gradient, np.float64)
    outputs, inputs = gradient.shape
    return (_dense(g_inverse, outputs) @ gradient @ _dense(a_inverse, inputs)).astype(np.float32)


def _dense(packed: ArrayLike, side: int) -> NDArray[np.float64]:
    """The block-diagonal [side, side] matrix."""
    blocks = np.asarray(packed, np.float64)
    edge = blocks.shape[1]
    dense = np.zeros((len(blocks) * edge, len(blocks) * edge))
    for q, block in enumerate(blocks):
        dense[q * edge : (q + 1) * edge, q * edge : (q + 1) * edge] = block
    return dense[:side, :side]
