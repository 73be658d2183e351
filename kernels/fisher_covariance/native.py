"""Fisher covariance by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def fisher_covariance(
    x: Array, block: int, weights: Optional[Array] = None, *, threads: int = 0, out: Optional[tuple[Array]] = None
) -> Array:
    """[ceil(d / block), block, block] float32 of `reference.fisher_covariance`.

    x [..., d] float32, or uint16 holding bfloat16 bit patterns; block >= 1; weights [...] float32, a number of 0 or more for
    each row: a negative one stands for NaN. `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple
    with the array to write into. Raises TypeError, ValueError or KernelError.
    """
    check_array("fisher_covariance", "x", x, (np.float32, np.uint16))
    if x.ndim == 0:
        raise ValueError("fisher_covariance: x is a scalar; pass an array whose last axis holds the features.")
    if block < 1:
        raise ValueError(f"fisher_covariance: block is {block}; pass a block edge of 1 or more.")
    rows, features = prod(x.shape[:-1]), x.shape[-1]
    shape = (-(-features // block), block, block)
    (result,) = make_outputs("fisher_covariance", out, (shape,), (np.float32,))
    suffix, native = "f32" if x.dtype == np.float32 else "bf16", load_native()
    if weights is None:
        getattr(native, f"fisher_covariance_{suffix}")(x, rows, features, block, result, threads)
        return result
    check_array("fisher_covariance", "weights", weights, (np.float32,), x.shape[:-1])
    getattr(native, f"weighted_fisher_covariance_{suffix}")(x, weights, rows, features, block, result, threads)
    return result
