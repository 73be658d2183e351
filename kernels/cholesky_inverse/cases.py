"""The problems of cholesky_inverse: packed blocks [blocks, edge, edge]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.arrays import Array
from bert_thor.kernels.cases import Problem

EDGES = (1, 2, 3, 5, 10, 15, 16, 17, 31, 32, 33, 50, 127, 128, 129)
"""Around the lanes (16), pairs of tiles (32) and the largest edge in BERT's default (128)."""
SMALL = (*((3, edge) for edge in EDGES), (5, 50), (40, 9))
LARGE = ((24, 128), (4, 768), (8, 128), (32, 128), (16, 256), (8, 512), (8, 1024))
ASCEND = (
    (9, 16), (3, 8), (40, 9), (2, 15), (33, 16), (1, 17), (2, 24), (5, 31), (2, 33), (70, 16), (2, 40), (40, 48), (1, 48),
)  # fmt: skip
"""Edges around a tile and a fractal, fewer blocks than cores and more."""
ASCEND_LARGE = ((128, 128), (3456, 128))
"""3456: 24 layers of 6 matrices, both factors."""
DAMPING = np.float32(1e-3)
CONDITION = 100.0


def problems(blocks: int, edge: int, condition: float = CONDITION) -> Iterator[Problem]:
    """Blocks with eigenvalues geometric from 1 to 1 / condition, damped. FLOP: edge^3 a block."""
    c, damping = matrices(blocks, edge, condition), np.full(blocks, DAMPING)
    yield Problem("cholesky_inverse", f"{blocks} x {edge}", (c, damping), edge * condition, blocks * edge**3, "fp32")


def matrices(blocks: int, edge: int, condition: float = CONDITION, dtype: str = "float32") -> Array:
    """Symmetric positive definite [blocks, edge, edge], all alike but for a power of two."""
    q, _ = np.linalg.qr(np.random.default_rng(edge).standard_normal((edge, edge)))
    a = (q * np.geomspace(1, 1 / condition, edge)) @ q.T
    scales = np.exp2(np.arange(blocks) % 4)
    return (scales[:, None, None] * ((a + a.T) / 2)).astype(dtype)
