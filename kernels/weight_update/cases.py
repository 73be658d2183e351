"""The problems of weight_update: a tensor [rows, columns] with a factor for each of its equal parts."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import PARTS, Problem, normal

SMALL = tuple((parts, elements, parts) for parts, elements in PARTS)
LARGE = ((3072, 768, 1), (4096, 1024, 1))
RATE, DECAY = 0.5, 0.1


def problems(rows: int, columns: int, parts: int) -> Iterator[Problem]:
    """Bytes: weight read and written, direction."""
    weight, direction, factors = normal(rows, columns), normal(rows, columns, seed=1), normal(parts, seed=2)
    label, tensors = f"fp32 {rows}x{columns}", (weight, direction, factors)
    yield Problem("weight_update", label, (*tensors, RATE, DECAY), 2, 3 * weight.nbytes, state=1)
