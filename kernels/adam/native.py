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
    parts, elements = _check("adam", first, second, gradient, factors)
    outputs = make_outputs("adam", out, (gradient.shape,) * 3, (np.float32,) * 3)
    call = load_native().adam_f32
    call(first, second, gradient, factors, parts, elements, _weights(betas), correction, eps, *outputs, threads)
    return outputs


def adam_update(
    weight: Array,
    first: Array,
    second: Array,
    gradient: Array,
    factors: Array,
    betas: tuple[float, float],
    correction: float,
    eps: float,
    rate: float,
    decay: float,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(next_weight, next_first, next_second) of `reference.adam_update`; each may be what it follows. Otherwise as `adam`."""
    parts, elements = _check("adam_update", first, second, gradient, factors)
    check_array("adam_update", "weight", weight, (np.float32,), gradient.shape)
    outputs = make_outputs("adam_update", out, (gradient.shape,) * 3, (np.float32,) * 3)
    numbers = (_weights(betas), correction, eps, rate, decay)
    call = load_native().adam_update_f32
    call(weight, first, second, gradient, factors, parts, elements, *numbers, *outputs, threads)
    return outputs


def _check(operation: str, first: Array, second: Array, gradient: Array, factors: Array) -> tuple[int, int]:
    check_array(operation, "gradient", gradient, (np.float32,))
    check_array(operation, "first", first, (np.float32,), gradient.shape)
    check_array(operation, "second", second, (np.float32,), gradient.shape)
    return elements_of_parts(operation, "gradient", gradient, factors)


def _weights(betas: tuple[float, float]) -> Array:
    return np.array([betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1]], np.float32)
