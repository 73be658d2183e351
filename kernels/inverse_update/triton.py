"""Which new inverses are taken, for Atlas A2 and A3: column sums and the choice on the vector core, one block per program."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _norm(blocks, edge, EDGE: tl.constexpr, ROWS: tl.constexpr):
    """The largest column sum of absolute values; NaN where an element is NaN."""
    column = tl.arange(0, EDGE)
    total = tl.zeros((EDGE,), dtype=tl.float32)
    for first in range(0, edge, ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * edge + column[None, :]
        inside = (row[:, None] < edge) & (column[None, :] < edge)
        total += tl.sum(tl.abs(tl.load(blocks + at, mask=inside, other=0.0)), axis=0)
    return tl.max(total, axis=0) + tl.sum(total * 0.0, axis=0)


@triton.jit
def inverse_update(
    inverse,
    block,
    damping,
    candidate,
    status,
    following,
    condition,
    edge,
    limit,
    EDGE: tl.constexpr,
    ROWS: tl.constexpr,
):
    """following[q] and condition[q] as `reference.inverse_update`, of block q = the program; the grid is (n,).

    inverse, block, candidate, following [n, edge, edge], damping, condition [n] float32; status [n] int32. EDGE is at least
    `edge`; ROWS rows are summed at a time; following may be inverse.
    """
    q = tl.program_id(0)
    first_item = q * edge * edge
    norm = _norm(block + first_item, edge, EDGE, ROWS) + tl.load(damping + q)
    bound = norm * _norm(candidate + first_item, edge, EDGE, ROWS)
    tl.store(condition + q, bound)
    taken = (tl.load(status + q) == 0) & (bound <= limit)
    column = tl.arange(0, EDGE)
    for first in range(0, edge, ROWS):
        row = first + tl.arange(0, ROWS)
        at = first_item + row[:, None] * edge + column[None, :]
        inside = (row[:, None] < edge) & (column[None, :] < edge)
        old = tl.load(inverse + at, mask=inside, other=0.0)
        new = tl.load(candidate + at, mask=inside, other=0.0)
        tl.store(following + at, tl.where(taken, new, old), mask=inside)
