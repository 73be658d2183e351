"""Adam's moments and direction by the compiled kernel; `reference.py` says what they mean."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, elements_of_parts, make_outputs
from bert_thor.kernels.library import load_native


def adam(
    first: Array,
    second: Array,
    gradient: Array,
    factors: Array,
    betas: tuple[float, float],
    correction: float,
    eps: float,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(next_first, next_second, direction) of `reference.adam`; the arrays are float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: the three arrays to write into; the first
    two may be `first` and `second`, the third `gradient`. Raises TypeError, ValueError or KernelError.
    """
    check_array("adam", "gradient", gradient, (np.float32,))
    check_array("adam", "first", first, (np.float32,), gradient.shape)
    check_array("adam", "second", second, (np.float32,), gradient.shape)
    parts, elements = elements_of_parts("adam", "gradient", gradient, factors)
    outputs = make_outputs("adam", out, (gradient.shape,) * 3, (np.float32,) * 3)
    weights = np.array([betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1]], np.float32)
    call = load_native().adam_f32
    call(first, second, gradient, factors, parts, elements, weights, correction, eps, *outputs, threads)
    return outputs
