"""The problems of soft_threshold: a tensor of so many elements."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import Problem, normal

SMALL = ((0,), (1,), (15,), (16,), (17,), (16385,))  # around the lanes (16), above the work of one thread (16384)
LARGE = ((3072 * 768,), (4096 * 1024,))
LIMIT = 0.3


def problems(elements: int) -> Iterator[Problem]:
    """Bytes: x and the result."""
    x = normal(elements)
    yield Problem("soft_threshold", f"fp32 {elements}", (x, LIMIT), 1, 2 * x.nbytes)
