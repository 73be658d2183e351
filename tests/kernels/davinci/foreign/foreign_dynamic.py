"""CANN's kernels for any shape. What its host code would compute, the numbers of the tiling tensor, is written out here."""

from __future__ import annotations

import numpy as np
from foreign_arithmetic import HALF, wide
from foreign_cases import CANN, Array, Case, case, described, numbers

FOLDER = f"{CANN}/dynamic"


def tiling(dtype: str, length: int, *values: int) -> Array:
    """The tiling tensor."""
    return np.array([*values, *(0,) * (length - len(values))], dtype)


@case
def any_shape_cross() -> Case:
    """Rows of three vectors: [interval, rows]."""
    a, b = numbers(0, 4, 3, 10), numbers(1, 4, 3, 10)
    y = np.cross(wide(a), wide(b), axis=1).astype(np.float16)
    arguments = [described(x) for x in (a, b, y)]
    return Case("cross", arguments, [a, b, tiling("int32", 8, 10, 4)], [y], error=2 * HALF, folder=FOLDER)


@case
def any_shape_rnn_gen_mask() -> Case:
    """[cores, batch, steps, steps per core, steps left over, hidden]."""
    length, x = np.array([3, 5, 1, 7], np.int32), numbers(2, 7, 4, 8)
    mask = (np.arange(7)[:, None] < length).astype(np.float16)[:, :, None].repeat(32, axis=2)
    numbers_ = tiling("int32", 32, 3, 4, 7, 2, 1, 32)
    arguments = [*(described(a) for a in (length, x, mask)), 32]
    return Case("rnn_gen_mask_v2", arguments, [length, x, numbers_], [mask], folder=FOLDER)


@case
def any_shape_eye() -> Case:
    """[rows, columns, batches, ones per core, ones left over, mode: rows longer than a block, cores]."""
    y = np.eye(26, 24, dtype=np.float32)
    arguments = [described(y), 26, 24, []]
    return Case("eye", arguments, [tiling("int64", 8, 26, 24, 1, 3, 3, 2, 7)], [y], folder=FOLDER)
