"""The problems of l2_norm: a tensor [rows, columns] in equal parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.cases import PARTS, Problem, normal

SIZES = (*PARTS, (3, 0), (3, 129), (2, 4095), (1, 4097), (700, 33))
"""(parts, elements): around a piece (4096) too."""
SMALL = tuple((parts, elements, parts) for parts, elements in SIZES)
LARGE = ((3072, 768, 1), (4096, 1024, 1))
LANES, PIECE = 64, 4096


def problems(rows: int, columns: int, parts: int) -> Iterator[Problem]:
    """Parts of different sizes. A piece is summed in lanes of float, pieces in double. Bytes: x, once."""
    x = normal(rows, columns) * np.exp(normal(rows, 1, seed=1))
    length = min(PIECE, x.size // parts) / LANES + 2
    yield Problem("l2_norm", f"fp32 {rows}x{columns}", (x, parts), length, x.nbytes)
