"""The problems of fisher_covariance: N rows, d features, block edge b."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bert_thor.kernels.arrays import Array
from bert_thor.kernels.cases import Problem, normal

SIZES = (
    (1, 1, 1), (2, 3, 2), (5, 7, 3), (7, 16, 16), (8, 17, 16), (9, 31, 32), (127, 33, 33), (128, 40, 15), (129, 64, 24),
    (130, 130, 65), (255, 96, 48), (257, 97, 97), (300, 128, 127), (64, 257, 129), (33, 300, 255), (40, 512, 256),
    (20, 600, 257), (21, 530, 513), (3, 5, 9), (50, 20, 300), (2, 768, 768),
)  # fmt: skip
"""Around the register tile (8), the lanes (16), the panel depth (128, 256 for bf16) and the tile (256)."""
SMALL = tuple((*sizes, "fp32", weighted) for sizes in SIZES for weighted in (False, True))
LARGE = (
    (1536, 768, 128, "fp32", False), (1536, 768, 768, "fp32", False), (1536, 768, 768, "bf16", False),
    (1536, 1024, 128, "fp32", False), (1536, 1024, 512, "fp32", False), (1536, 1024, 1024, "fp32", False),
    (1536, 4096, 128, "fp32", False), (1536, 1024, 128, "bf16", False), (1536, 1024, 1024, "bf16", False),
    (1536, 1024, 128, "fp32", True), (1536, 1024, 1024, "fp32", True), (1536, 1024, 128, "bf16", True),
)  # fmt: skip
ASCEND = (
    (33, 48, 32), (1, 16, 16), (15, 17, 16), (16, 32, 16), (17, 31, 32), (40, 48, 48), (100, 100, 128), (128, 128, 128),
    (129, 129, 128), (127, 272, 128), (100, 200, 48), (300, 200, 48), (300, 96, 16), (70, 300, 256), (130, 272, 144),
    (1030, 64, 16), (512, 256, 64),
)  # fmt: skip
"""Rows around a fractal and a chunk; features around a fractal, a block and 32 bytes; block edges, full L0C among them."""
ASCEND_LARGE = ((6144, 1024, 128), (6144, 4096, 128))


def problems(rows: int, features: int, block: int, dtype: str, weighted: bool) -> Iterator[Problem]:
    """FLOP: half of the products, each a multiply and an add, since the result is symmetric; the weighted ones are in float32."""
    x, label = normal(rows, features, dtype=dtype), f"{dtype} N={rows} d={features} b={block}"
    if not weighted:
        work = rows * features * (block + 1)
        yield Problem(
            "fisher_covariance", label, (x, block), rows + 1, work, dtype, None, ((block,), (x,)), bfloat16=(0,)
        )
        return
    w = weights(rows)
    arguments, operator = (x, block, w), ((block, True), (x, w))
    work, label = int(np.count_nonzero(w)) * features * (block + 1), f"{label} weighted"
    yield Problem("fisher_covariance", label, arguments, rows + 4, work, "fp32", None, operator, bfloat16=(0,))


def weights(rows: int) -> Array:
    """Squares of normal numbers, which span some powers of ten; about a quarter of the rows, as padding has it, weigh nothing."""
    w = normal(rows, seed=1) ** 2
    w[np.random.default_rng(rows).random(rows) < 0.25] = 0.0
    return w
