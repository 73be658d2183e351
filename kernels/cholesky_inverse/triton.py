"""Damped inverses of symmetric blocks for Atlas A2 and A3: a symmetric sweep on the vector core, one block per program.

Sweeping pivot k of a symmetric matrix A (Beaton 1964; Goodnight 1979) is a rank-one change of the whole of it: with the
pivot d = a_kk, u = a_k / sqrt(d) and u_k replaced by sqrt(d) - 1 / sqrt(d),

    A <- A - u u^T   gives   a_ij - a_ik a_kj / d,   a_kj / d in row and column k,   2 - 1 / d at (k, k).

After all pivots A = 2 I - C^-1. One vector per pivot serves rows and columns, so the result is exactly symmetric; nothing
is masked, and the pivot's row is read where it lies. The block is first scaled by a power of two so that its largest
diagonal element lies in [1/16, 1/8): pivots only shrink, so 1 / d outweighs the 2, and cancellation in u_k costs nothing.
"""

from __future__ import annotations

import triton
import triton.language as tl

SLAB = tl.constexpr(16)  # rows that are checked or stored at a time: a whole block would need a second copy in UB
EXPONENT = tl.constexpr(0x7F800000)  # the bits of float32's exponent
LARGEST = tl.constexpr(249 << 23)  # largest exponent for which that of the factor is a normal number
RECIPROCAL = tl.constexpr(250 << 23)  # minus the exponent of a number: that of 1 / 16 over it


@triton.jit
def _sweep(row, k, pivot, top, bottom, EDGE: tl.constexpr, HALF: tl.constexpr):
    """The rank-one change for pivot k, whose row is `row`; the damping is in `pivot`, not in the matrix."""
    root = tl.sqrt(pivot)
    u = tl.where(tl.arange(0, EDGE) == k, root - 1.0 / root, row / root)
    upper = tl.extract_slice(u, (0,), (HALF,), (1,))
    lower = tl.extract_slice(u, (HALF,), (HALF,), (1,))
    return top - upper[:, None] * u[None, :], bottom - lower[:, None] * u[None, :]


@triton.jit
def _poison(half, factor, EDGE: tl.constexpr, HALF: tl.constexpr):
    """0, or NaN where an element times `factor` is not finite."""
    total = 0.0
    for i in range(0, HALF, SLAB):
        slab = tl.extract_slice(half, (i, 0), (SLAB, EDGE), (1, 1))
        total += tl.sum(tl.sum((slab * factor) * 0.0, axis=0), axis=0)
    return total


@triton.jit
def _store(out, half, first, diagonal, factor, status, edge, EDGE: tl.constexpr, HALF: tl.constexpr):
    """(diagonal I - half) * factor, or zeros where the block has no inverse."""
    column = tl.arange(0, EDGE)
    for i in range(0, HALF, SLAB):
        row = first + i + tl.arange(0, SLAB)
        slab = tl.extract_slice(half, (i, 0), (SLAB, EDGE), (1, 1))
        inverse = (tl.where(row[:, None] == column[None, :], diagonal, 0.0) - slab) * factor
        at = row[:, None] * edge + column[None, :]
        inside = (row[:, None] < edge) & (column[None, :] < edge)
        tl.store(out + at, tl.where(status == 0, inverse, 0.0), mask=inside)


@triton.jit
def cholesky_inverse(c, damping, inverse, status, edge, EDGE: tl.constexpr, HALF: tl.constexpr):
    """inverse[q] = (c[q] + damping[q] I)^-1 and status[q] of block q = the program, as `reference.cholesky_inverse`.

    c, inverse [n, edge, edge] float32, symmetric (all of c is read); damping [n]; status [n] int32. EDGE, a power of two
    from 64 to 128, is at least `edge`, HALF is half of it. The grid is (n,).
    """
    block = tl.program_id(0)
    column = tl.arange(0, EDGE)
    upper = tl.arange(0, HALF)
    lower = HALF + upper
    source = c + block * edge * edge
    inside = column[None, :] < edge
    top = tl.load(source + upper[:, None] * edge + column[None, :], mask=(upper[:, None] < edge) & inside, other=0.0)
    bottom = tl.load(source + lower[:, None] * edge + column[None, :], mask=(lower[:, None] < edge) & inside, other=0.0)
    shift = tl.load(damping + block)
    diagonal = tl.load(source + column * (edge + 1), mask=column < edge, other=0.0)
    largest = tl.max(diagonal, axis=0) + shift
    exponent = tl.minimum(largest.to(tl.int32, bitcast=True) & EXPONENT, LARGEST)
    factor = (exponent * -1 + RECIPROCAL).to(tl.float32, bitcast=True)
    poison = _poison(top, 1.0, EDGE, HALF) + _poison(bottom, 1.0, EDGE, HALF) + shift * 0.0
    top = top * factor
    bottom = bottom * factor
    shift = shift * factor
    failed = 0
    for k in range(tl.minimum(edge, HALF)):
        row = tl.extract_slice(top, (k, 0), (1, EDGE), (1, 1)).reshape(EDGE)
        pivot = tl.get_element(row, (k,)) + shift
        failed = tl.where((failed == 0) & ((pivot > 0.0) == 0), k + 1, failed)
        top, bottom = _sweep(row, k, pivot, top, bottom, EDGE, HALF)
    for k in range(HALF, edge):
        row = tl.extract_slice(bottom, (k - HALF, 0), (1, EDGE), (1, 1)).reshape(EDGE)
        pivot = tl.get_element(row, (k,)) + shift
        failed = tl.where((failed == 0) & ((pivot > 0.0) == 0), k + 1, failed)
        top, bottom = _sweep(row, k, pivot, top, bottom, EDGE, HALF)
    overflow = _poison(top, factor, EDGE, HALF) + _poison(bottom, factor, EDGE, HALF)
    failed = tl.where((failed == 0) & ((overflow == 0.0) == 0), -1, failed)
    failed = tl.where(poison == 0.0, failed, -1)
    target = inverse + block * edge * edge
    _store(target, top, 0, 2.0 - shift, factor, failed, edge, EDGE, HALF)
    _store(target, bottom, HALF, 2.0 - shift, factor, failed, edge, EDGE, HALF)
    tl.store(status + block, failed)
