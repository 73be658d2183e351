"""Residual + dropout + layer norm and its gradient for Atlas A2 and A3, ROWS rows per tile on the vector core.

The mask is an argument: one byte per item, 1 for what is kept. Philox takes 20 upper halves of 32-bit products per four items,
which the vector core does not give; put together from 16-bit parts they are about 60 instructions per item beside the 30 here.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def residual_dropout_layer_norm(
    x,
    bias,
    residual,
    mask,
    gamma,
    beta,
    y,
    total,
    mean,
    rstd,
    rows,
    scale_kept,
    eps,
    FEATURES: tl.constexpr,
    ROWS: tl.constexpr,
):
    """y, total (the sum), mean, rstd as `reference.residual_dropout_layer_norm`; program p takes the p-th, (p + programs)-th, ...
    group of ROWS rows.

    x, residual, y, total [rows, FEATURES] float32, float16 or bfloat16; mask [rows, FEATURES] int8; bias, gamma, beta [FEATURES],
    mean, rstd [rows] float32; scale_kept is 1 / (1 - probability).
    """
    column = tl.arange(0, FEATURES)
    added = tl.load(bias + column)
    scale = tl.load(gamma + column)
    shift = tl.load(beta + column)
    for first in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = first + tl.arange(0, ROWS)
        at = row[:, None] * FEATURES + column[None, :]
        valid = (row < rows)[:, None]
        kept = tl.load(mask + at, mask=valid, other=0).to(tl.float32) * scale_kept
        values = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) + added[None, :]
        values = tl.load(residual + at, mask=valid, other=0.0).to(tl.float32) + values * kept
        tl.store(total + at, values.to(total.dtype.element_ty), mask=valid)
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
