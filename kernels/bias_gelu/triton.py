"""GELU of x + bias and its gradient for Atlas A2 and A3, on the vector core: the formula of the CPU kernels.

Phi(-a) = exp(-a^2 / 2) q(t), t = 1 / (1 + 0.27 a), for a >= 0, with a polynomial for q that is accurate to 3e-8
(`common/elementary.h`), so both tails keep their relative accuracy.
"""

from __future__ import annotations

import triton
import triton.language as tl

DENSITY = tl.constexpr(0.398942280)  # 1 / sqrt(2 pi)
LARGE = tl.constexpr(1e30)  # keeps infinity times 0 finite
SIGN = tl.constexpr(-(2**31))  # the bits of float32's sign, and those of 1
ONE = tl.constexpr(0x3F800000)


@triton.jit
def _tail(size):
    """(Phi(-size), exp(-size^2 / 2)) for size >= 0."""
    bell = tl.exp(size * size * -0.5)
    # t <= 1 anyhow; without the minimum the compiler divides in all nine places where t is a factor
    t = tl.minimum(1.0 / (size * 0.27 + 1.0), 1.0, propagate_nan=tl.PropagateNan.ALL)
    q = t * 0.0293430891 - 0.128315911
    q = q * t + 0.173502684
    q = q * t - 0.0733767971
    q = q * t + 0.110635772
    q = q * t + 0.0708854124
    q = q * t + 0.102098994
    q = q * t + 0.107503928
    q = q * t + 0.107722849
    return bell * t * q, bell


@triton.jit
def bias_gelu(x, bias, y, rows, FEATURES: tl.constexpr, ROWS: tl.constexpr):
    """y as `reference.bias_gelu`; program p takes the p-th, (p + programs)-th, ... group of ROWS rows.

    x, y [rows, FEATURES] float32, float16 or bfloat16; bias [FEATURES] float32.
    """
    column = tl.arange(0, FEATURES)
    shift = tl.load(bias + column)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        u = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) + shift[None, :]
        size = tl.abs(u)
        tail, _ = _tail(size)
        finite = tl.minimum(size, LARGE, propagate_nan=tl.PropagateNan.ALL)
        result = 0.5 * (u + size) - finite * tail  # u Phi(u) on both sides of 0
        tl.store(y + at, result.to(y.dtype.element_ty), mask=valid)


@triton.jit
def bias_gelu_grad(dy, x, bias, dx, dbias, rows, FEATURES: tl.constexpr, ROWS: tl.constexpr):
    """dx as `reference.bias_gelu_grad`, and each program's share of dbias [programs, FEATURES]."""
    column = tl.arange(0, FEATURES)
    shift = tl.load(bias + column)
    total = tl.zeros((FEATURES,), dtype=tl.float32)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        u = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) + shift[None, :]
        tail, bell = _tail(tl.abs(u))
        side = ((u.to(tl.int32, bitcast=True) & SIGN) | ONE).to(tl.float32, bitcast=True)  # -1 or 1
        distribution = 0.5 * (side + 1.0) - side * tail
        upstream = tl.load(dy + at, mask=valid, other=0.0).to(tl.float32)
        change = upstream * (distribution + u * bell * DENSITY)
        total += tl.sum(change, axis=0)
        tl.store(dx + at, change.to(dx.dtype.element_ty), mask=valid)
    tl.store(dbias + tl.program_id(0) * FEATURES + column, total)
