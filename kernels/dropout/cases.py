"""The problems of dropout: rows x features; its gradient is the same operation."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import PROBABILITY, SEED, SITE, Problem, normal

ELEMENTS = (0, 1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 511, 512, 513, 1030, 16383, 16385, 50001)
"""Around a block (4), a vector (16), a call of the generator (32), a segment (512) and the work of one thread (16384)."""
SMALL = (
    *((1, elements, dtype, PROBABILITY) for elements in ELEMENTS for dtype in ("fp32", "bf16")),
    *((rows, features, "fp32", probability) for rows, features in ((3, 17), (37, 50)) for probability in (0.0, 0.6)),
)
LARGE = ((1536, 768, "fp32", PROBABILITY), (1536, 768, "bf16", PROBABILITY), (6144, 1024, "bf16", PROBABILITY))


def problems(rows: int, features: int, dtype: str, probability: float) -> Iterator[Problem]:
    """Bytes: x and y. Drawing the random numbers costs more than moving the bytes."""
    x = normal(rows, features, dtype=dtype)
    arguments = (x, probability, SEED, SITE)
    yield Problem("dropout", f"{dtype} {rows}x{features}", arguments, 1, 2 * x.nbytes, bfloat16=(0,))
