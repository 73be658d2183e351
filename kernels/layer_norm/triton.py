"""Layer normalisation and its gradient for Atlas A2 and A3: ROWS rows per tile on the vector core, two-pass statistics.

FEATURES is the width itself, not a power of two above it: nothing has to be masked along a row. What x - mean still has in the
mean, because float32 rounded it, leaves x - mean and the variance, as in `layer_norm.h`.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def layer_norm(x, gamma, beta, y, mean, rstd, rows, eps, FEATURES: tl.constexpr, ROWS: tl.constexpr):
    """y, mean, rstd as `reference.layer_norm`; program p takes the p-th, (p + programs)-th, ... group of ROWS rows.

    x, y [rows, FEATURES] float32, float16 or bfloat16; gamma, beta [FEATURES], mean, rstd [rows] float32.
    """
    column = tl.arange(0, FEATURES)
    scale = tl.load(gamma + column)
    shift = tl.load(beta + column)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        values = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
        center = tl.sum(values, axis=1) / FEATURES
        values = values - center[:, None]
        rest = tl.sum(values, axis=1) / FEATURES
        mean_square = tl.sum(values * values, axis=1) / FEATURES
        in_range = mean_square - mean_square  # 0, or NaN where the squares left the range of float32
        variance = tl.maximum(mean_square - rest * rest, 0.0) + in_range
        inverse_deviation = 1.0 / tl.sqrt(variance + eps)
        values = (values - rest[:, None]) * inverse_deviation[:, None]
        result = values * scale[None, :] + shift[None, :]
        tl.store(y + at, result.to(y.dtype.element_ty), mask=valid)
        tl.store(mean + row, center + rest, mask=row < rows)
        tl.store(rstd + row, inverse_deviation, mask=row < rows)


@triton.jit
def layer_norm_grad(dy, x, gamma, mean, rstd, dx, dgamma, dbeta, rows, FEATURES: tl.constexpr, ROWS: tl.constexpr):
    """dx as `reference.layer_norm_grad`, and each program's share of dgamma and dbeta, which `sum_of_programs` adds.

    dy, x, dx [rows, FEATURES] float32, float16 or bfloat16; gamma [FEATURES], mean, rstd [rows], dgamma, dbeta
    [programs, FEATURES] float32.
    """
    column = tl.arange(0, FEATURES)
    scale = tl.load(gamma + column)
    sum_gamma = tl.zeros((FEATURES,), dtype=tl.float32)
    sum_beta = tl.zeros((FEATURES,), dtype=tl.float32)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        inverse_deviation = tl.load(rstd + row, mask=row < rows, other=0.0)
        center = tl.load(mean + row, mask=row < rows, other=0.0)
        values = tl.load(x + at, mask=valid, other=0.0).to(tl.float32)
        values = values - center[:, None]
        rest = tl.sum(values, axis=1) / FEATURES
        normalized = (values - rest[:, None]) * inverse_deviation[:, None]
        upstream = tl.load(dy + at, mask=valid, other=0.0).to(tl.float32)
        sum_gamma += tl.sum(upstream * normalized, axis=0)
        sum_beta += tl.sum(upstream, axis=0)
        scaled = upstream * scale[None, :]
        along = tl.sum(scaled * normalized, axis=1) / FEATURES
        average = tl.sum(scaled, axis=1) / FEATURES
        change = (scaled - average[:, None] - normalized * along[:, None]) * inverse_deviation[:, None]
        tl.store(dx + at, change.to(dx.dtype.element_ty), mask=valid)
    tl.store(dgamma + tl.program_id(0) * FEATURES + column, sum_gamma)
    tl.store(dbeta + tl.program_id(0) * FEATURES + column, sum_beta)


@triton.jit
def sum_of_programs(partial, out, programs, features, WIDTH: tl.constexpr, GROUP: tl.constexpr):
    """out[i] = sum over p of partial[p, i], i < features; program q takes the q-th WIDTH of them, GROUP rows at a time."""
    item = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    total = tl.zeros((WIDTH,), dtype=tl.float32)
    for first in range(0, programs, GROUP):
        row = first + tl.arange(0, GROUP)
        inside = (row[:, None] < programs) & (item[None, :] < features)
        total += tl.sum(tl.load(partial + row[:, None] * features + item[None, :], mask=inside, other=0.0), axis=0)
    tl.store(out + item, total, mask=item < features)
