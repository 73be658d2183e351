"""Weighted softmax cross-entropy and its gradient for Atlas A2 and A3, on the vector core, one row at a time in chunks.

Two kernels forward: `rows_of_softmax_cross_entropy` leaves three numbers per row, `sum_of_rows` adds them up in a fixed order.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOWEST = tl.constexpr(-3.0e38)


@triton.jit
def rows_of_softmax_cross_entropy(
    logits, bias, labels, weights, terms, log_sum_exp, rows, classes, WIDTH: tl.constexpr
):
    """Of row r: log_sum_exp[r]; terms[0, r] = weight (log_sum_exp - z[label]), terms[1, r] = weight where the label is the
    first largest of z = logits + bias, terms[2, r] = weight. Rows of weight 0 give 0, whatever they hold.

    logits [rows, classes] float32, float16 or bfloat16; bias [classes], weights [rows], terms [3, rows] float32; labels [rows]
    int32. Program p takes the p-th, (p + programs)-th, ... row.
    """
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        label = tl.load(labels + row)
        weight = tl.load(weights + row)
        largest = LOWEST
        before = LOWEST  # the largest of the classes before the label
        chosen = 0.0
        for first in range(0, classes, WIDTH):
            column = first + tl.arange(0, WIDTH)
            inside = column < classes
            z = tl.load(logits + row * classes + column, mask=inside, other=0.0).to(tl.float32)
            z = tl.where(inside, z + tl.load(bias + column, mask=inside, other=0.0), LOWEST)
            largest = tl.maximum(largest, tl.max(z, axis=0))
            before = tl.maximum(before, tl.max(tl.where(column < label, z, LOWEST), axis=0))
            chosen += tl.sum(tl.where(column == label, z, 0.0), axis=0)
        total = 0.0
        for first in range(0, classes, WIDTH):
            column = first + tl.arange(0, WIDTH)
            inside = column < classes
            z = tl.load(logits + row * classes + column, mask=inside, other=0.0).to(tl.float32)
            z = tl.where(inside, z + tl.load(bias + column, mask=inside, other=0.0), LOWEST)
            total += tl.sum(tl.exp(z - largest), axis=0)
        logarithm = largest + tl.log(total)
        tl.store(log_sum_exp + row, logarithm)
        counts = weight != 0.0
        tl.store(terms + row, tl.where(counts, weight * (logarithm - chosen), 0.0))
        first_largest = (chosen == largest) & (before < chosen)
        tl.store(terms + rows + row, tl.where(counts & first_largest, weight, 0.0))
        tl.store(terms + 2 * rows + row, weight)


@triton.jit
def sum_of_rows(terms, loss, correct, rows, WIDTH: tl.constexpr):
    """loss [1] = sum terms[0] / (sum terms[2] + 1e-5), correct [1] = sum terms[1]; one program."""
    nll = 0.0
    right = 0.0
    weight = 0.0
    for first in range(0, rows, WIDTH):
        row = first + tl.arange(0, WIDTH)
        inside = row < rows
        nll += tl.sum(tl.load(terms + row, mask=inside, other=0.0), axis=0)
        right += tl.sum(tl.load(terms + rows + row, mask=inside, other=0.0), axis=0)
        weight += tl.sum(tl.load(terms + 2 * rows + row, mask=inside, other=0.0), axis=0)
    tl.store(loss, nll / (weight + 1e-5))
    tl.store(correct, right)
