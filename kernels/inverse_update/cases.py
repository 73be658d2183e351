"""The problems of inverse_update: packed blocks [blocks, edge, edge]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal

SIZES = ((0, 3), (1, 1), (70, 1), (3, 2), (2, 15), (3, 16), (1, 17), (5, 33), (5, 50), (2, 127), (2, 130))
"""A diagonal, around the lanes (16), two vectors and more."""
SMALL = tuple((*sizes, True) for sizes in SIZES)
LARGE = ((32, 128, False),)
LIMIT = 1e3


def problems(blocks: int, edge: int, refused: bool) -> Iterator[Problem]:
    """`refused`: every third candidate is no inverse, every fourth is too large; the rest, or all, are taken.

    Bytes: block, candidate twice (its norm decides before it is copied), inverse written.
    """
    inverse, block, candidate = (normal(blocks, edge, edge, seed=seed) for seed in range(3))
    candidate /= np.float32(edge * edge)
    damping, status = np.linspace(0, 1, blocks, dtype=np.float32), np.zeros(blocks, np.int32)
    if refused:
        candidate[3::4] *= np.float32(1e6)
        status[2::3] = 7
    arguments = (inverse, block, damping, candidate, status, LIMIT)
    yield Problem("inverse_update", f"{blocks} x {edge}", arguments, 2 * edge, 4 * block.nbytes, state=1)
