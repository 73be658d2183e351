"""The average of a Fisher factor for Atlas A2 and A3, on the vector core, in two kernels: traces, then the average.

Whether the old factor counts at all depends on the trace over all blocks, so no block can be averaged before all traces
are known.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def traces(factor, captured, out, edge, scale, EDGE: tl.constexpr):
    """out[0, q] = tr factor[q], out[1, q] = scale tr captured[q], of block q = the program; the grid is (n,).

    factor, captured [n, edge, edge], out [2, n] float32; EDGE is at least `edge`.
    """
    block = tl.program_id(0)
    item = tl.arange(0, EDGE)
    at = block * edge * edge + item * (edge + 1)
    old = tl.load(factor + at, mask=item < edge, other=0.0)
    new = tl.load(captured + at, mask=item < edge, other=0.0)
    tl.store(out + block, tl.sum(old, axis=0))
    tl.store(out + tl.num_programs(0) + block, tl.sum(new * scale, axis=0))


@triton.jit
def factor_average(
    factor, captured, sums, following, left_out, blocks, edge, keep, scale, BLOCKS: tl.constexpr, WIDTH: tl.constexpr
):
    """following[q] as `reference.factor_average` and left_out[q], 1.0 for a block that keeps its factor, of block q = the program.

    sums [2, n] are those of `traces`; BLOCKS is at least n, WIDTH items are averaged at a time; following may be factor.
    """
    block = tl.program_id(0)
    every = tl.arange(0, BLOCKS)
    trace = tl.sum(tl.load(sums + every, mask=every < blocks, other=0.0), axis=0)
    kept = tl.where(trace > 0.0, keep, 0.0)
    new_trace = tl.load(sums + blocks + block)
    fresh = (1.0 - kept) * scale
    items = edge * edge
    finite = tl.zeros((WIDTH,), dtype=tl.float32)  # 0, or NaN
    for first in range(0, items, WIDTH):
        item = first + tl.arange(0, WIDTH)
        new = tl.load(captured + block * items + item, mask=item < items, other=0.0)
        finite += new * scale * 0.0
    sound = new_trace * 0.0 + tl.sum(finite, axis=0) == 0.0
    for first in range(0, items, WIDTH):
        item = first + tl.arange(0, WIDTH)
        at = block * items + item
        old = tl.load(factor + at, mask=item < items, other=0.0)
        new = tl.load(captured + at, mask=item < items, other=0.0)
        tl.store(following + at, tl.where(sound, old * kept + new * fresh, old), mask=item < items)
    tl.store(left_out + block, tl.where(sound, 0.0, 1.0))
