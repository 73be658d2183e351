"""The problems of factor_average: packed blocks [blocks, edge, edge]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import Problem, normal

SIZES = ((0, 3), (1, 1), (70, 1), (3, 2), (2, 15), (3, 16), (1, 17), (5, 33), (2, 127), (2, 129), (1, 300))
"""A diagonal, around the lanes (16), blocks of more than one task (16384 elements)."""
SMALL = tuple((*sizes, unsound) for sizes in SIZES for unsound in (0, 1) if unsound < sizes[0] or unsound == 0)
LARGE = ((32, 128, 0),)
KEEP, SCALE = 0.95, 0.5


def problems(blocks: int, edge: int, unsound: int) -> Iterator[Problem]:
    """Positive blocks, of which the last `unsound` captured ones are not finite. Bytes: factor read and written, captured."""
    factor, captured = (np.abs(normal(blocks, edge, edge, seed=seed)) for seed in range(2))
    captured[blocks - unsound :, -1, -1] = np.inf
    yield Problem(
        "factor_average", f"{blocks} x {edge}", (factor, captured, KEEP, SCALE), 3, 3 * factor.nbytes, state=1
    )
