"""The preconditioned gradient for Atlas A2 and A3: products on the cube core, one tile of dW per program.

`precondition` chains both products; the compiler sends the first to the second through scratch memory, as an A2 core has no
way from L0C to L1. Where tiles do not fill their matrix that loses the padding (it stores whole tiles of L0C of which
only the valid part was computed), so `left_product` and `right_product` do such problems in two launches.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def precondition(g_inverse, gradient, a_inverse, out, inputs, BG: tl.constexpr, BA: tl.constexpr):
    """out tile (i, j) = G^-1_i dW_ij A^-1_j, as `reference.precondition`; the grid is (outputs / BG, inputs / BA).

    gradient, out [outputs, inputs]; g_inverse [., BG, BG]; a_inverse [., BA, BA]; all float32; BG and BA are multiples of 16
    up to 128 that divide outputs and inputs.
    """
    i = tl.program_id(0)
    j = tl.program_id(1)
    o = tl.arange(0, BG)
    n = tl.arange(0, BA)
    left = tl.load(g_inverse + i * BG * BG + o[:, None] * BG + o[None, :])
    right = tl.load(a_inverse + j * BA * BA + n[:, None] * BA + n[None, :])
    at = (i * BG + o)[:, None] * inputs + (j * BA + n)[None, :]
    product = tl.dot(left, tl.load(gradient + at), input_precision="ieee")
    product = tl.dot(product, right, input_precision="ieee")
    tl.store(out + at, product)


@triton.jit
def left_product(g_inverse, gradient, out, outputs, inputs, bg, BG: tl.constexpr, BA: tl.constexpr):
    """out tile (i, j) = G^-1_i dW_ij; the grid is (ceil(outputs / bg), ceil(inputs / BA)).

    BG, a multiple of 16 up to 128, is at least bg. Of a last block only the part inside the matrix is read.
    """
    i = tl.program_id(0)
    o = tl.arange(0, BG)
    row = i * bg + o
    column = tl.program_id(1) * BA + tl.arange(0, BA)
    rows = (o < bg) & (row < outputs)
    block = g_inverse + i * bg * bg + o[:, None] * bg + o[None, :]
    inside = rows[:, None] & (column[None, :] < inputs)
    at = row[:, None] * inputs + column[None, :]
    left = tl.load(block, mask=rows[:, None] & rows[None, :], other=0.0)
    product = tl.dot(left, tl.load(gradient + at, mask=inside, other=0.0), input_precision="ieee")
    tl.store(out + at, product, mask=inside)


@triton.jit
def right_product(gradient, a_inverse, out, outputs, inputs, ba, BG: tl.constexpr, BA: tl.constexpr):
    """out tile (i, j) = dW_ij A^-1_j; the grid is (ceil(outputs / BG), ceil(inputs / ba)); BA is at least ba."""
    j = tl.program_id(1)
    n = tl.arange(0, BA)
    row = tl.program_id(0) * BG + tl.arange(0, BG)
    column = j * ba + n
    columns = (n < ba) & (column < inputs)
    block = a_inverse + j * ba * ba + n[:, None] * ba + n[None, :]
    inside = (row[:, None] < outputs) & columns[None, :]
    at = row[:, None] * inputs + column[None, :]
    right = tl.load(block, mask=columns[:, None] & columns[None, :], other=0.0)
    product = tl.dot(tl.load(gradient + at, mask=inside, other=0.0), right, input_precision="ieee")
    tl.store(out + at, product, mask=inside)
