"""Fisher covariance for Atlas A2 and A3 in two kernels: products on the cube cores, then their sum on the vector cores.

A factor after a product on the cube would make one kernel for cube and vector cores at once, with flags between them. The
rows are split instead, so that few blocks still fill all cores, and the sum over the splits applies 1 / N. Weights of the rows are a
third kernel before these two, for the same reason; it stores float32.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def weigh_rows(x, weights, weighted, rows, FEATURES: tl.constexpr, ROWS: tl.constexpr):
    """weighted[r] = sqrt(weights[r]) x[r], zeros where the weight is 0, whatever x holds there.

    x [rows, FEATURES] float32, float16 or bfloat16; weights [rows], weighted [rows, FEATURES] float32. FEATURES is a multiple of 8:
    of other widths the comparison is compiled without a barrier that it needs. Program p takes the p-th, (p + programs)-th, ...
    group of ROWS rows.
    """
    column = tl.arange(0, FEATURES)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        weight = tl.load(weights + row, mask=row < rows, other=0.0)
        values = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
        # 0 where the weight is: spread first and compared then, because compiled code spreads a mask of rows through float16,
        # which the model of the core cannot run.
        weight_of = weight[:, None] * (column + 1).to(tl.float32)[None, :]
        tl.store(weighted + at, tl.where(weight_of == 0.0, 0.0, values * tl.sqrt(weight)[:, None]), mask=valid)


@triton.jit
def block_products(x, partial, rows, features, edge, rows_per_split, EDGE: tl.constexpr, STEP: tl.constexpr):
    """partial[s, q] = sum over the rows r of split s of x[r, q edge + i] x[r, q edge + j].

    x [rows, features] float32, float16 or bfloat16; partial [splits, blocks, edge, edge] float32. EDGE, a multiple of 16,
    is at least `edge`; rows_per_split is a multiple of STEP, of which EDGE items fit in L0A twice. The grid is (blocks, splits),
    and no split may be empty: where the loop makes no turn, the compiled code stores what L0C held before.
    """
    block = tl.program_id(0)
    split = tl.program_id(1)
    inner = tl.arange(0, EDGE)
    column = block * edge + inner
    inside = (inner < edge) & (column < features)
    last = tl.minimum(rows, (split + 1) * rows_per_split)
    total = tl.zeros((EDGE, EDGE), dtype=tl.float32)
    for start in range(split * rows_per_split, last, STEP):
        row = start + tl.arange(0, STEP)
        at = row[:, None] * features + column[None, :]
        tile = tl.load(x + at, mask=(row[:, None] < last) & inside[None, :], other=0.0)
        total = tl.dot(tl.trans(tile), tile, total, input_precision="ieee")
    out = partial + (split * tl.num_programs(0) + block) * edge * edge
    stored = (inner[:, None] < edge) & (inner[None, :] < edge)
    tl.store(out + inner[:, None] * edge + inner[None, :], total, mask=stored)


@triton.jit
def average(partial, out, items, splits, factor, WIDTH: tl.constexpr):
    """out[i] = factor * sum over s of partial[s, i], i < items; program p takes the p-th, (p + programs)-th, ... WIDTH items."""
    for first in range(tl.program_id(0) * WIDTH, items, tl.num_programs(0) * WIDTH):
        item = first + tl.arange(0, WIDTH)
        total = tl.zeros((WIDTH,), dtype=tl.float32)
        for split in range(splits):
            total += tl.load(partial + split * items + item, mask=item < items, other=0.0)
        tl.store(out + item, total * factor, mask=item < items)
