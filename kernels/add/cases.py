"""The problems of add: rows x features."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import Problem, normal

ELEMENTS = (0, 1, 3, 15, 16, 17, 31, 32, 33, 16383, 16385, 50001)
"""Around a vector (16) and the work of one thread (16384)."""
SMALL = (*((1, elements, "fp32") for elements in ELEMENTS), (3, 17, "fp32"), (37, 50, "fp32"))
LARGE = ((1536, 768, "fp32"), (1536, 768, "bf16"), (6144, 1024, "bf16"))


def problems(rows: int, features: int, dtype: str) -> Iterator[Problem]:
    """Bytes: a, b and the sum."""
    a, b = normal(rows, features, dtype=dtype), normal(rows, features, dtype=dtype, seed=1)
    yield Problem("add", f"{dtype} {rows}x{features}", (a, b), 1, 3 * a.nbytes, bfloat16=(0, 1))
