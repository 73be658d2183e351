"""The problems of momentum: a tensor [rows, columns] with a factor for each of its equal parts."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import PARTS, Problem, normal

SMALL = tuple((parts, elements, parts) for parts, elements in PARTS)
LARGE = ((3072, 768, 1), (4096, 1024, 1))
DECAY = 0.95


def problems(rows: int, columns: int, parts: int) -> Iterator[Problem]:
    """Nesterov's and the heavy ball. Bytes: average read and written, x, direction."""
    arguments = (normal(rows, columns), normal(rows, columns, seed=1), normal(parts, seed=2), DECAY)
    label, work = f"fp32 {rows}x{columns}", 4 * arguments[0].nbytes
    yield Problem("nesterov_momentum", label, arguments, 2, work, state=1)
    yield Problem("heavy_ball", f"heavy ball {label}", arguments, 2, work, state=1)
