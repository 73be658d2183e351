"""The products of a linear layer by the compiled kernel; `reference.py` says what they mean."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native

_STORAGE = (np.float32, np.uint16)


def linear(x: Array, weight: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """y [..., outputs] of `reference.linear`, stored like x.

    x [..., inputs] float32, or uint16 holding bfloat16 bit patterns; weight [outputs, inputs] float32. `threads` 0:
    `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into.
    Raises TypeError, ValueError or KernelError.
    """
    rows, inputs, outputs = _sizes("linear", x, weight)
    (result,) = make_outputs("linear", out, ((*x.shape[:-1], outputs),), (x.dtype.type,))
    call = getattr(load_native(), f"linear_{_suffix(x)}")
    call(x, weight, rows, inputs, outputs, result, threads)
    return result


def linear_grad(
    dy: Array, x: Array, weight: Array, *, threads: int = 0, out: Optional[tuple[Array, Array]] = None
) -> tuple[Array, ...]:
    """(dx, dw) of `reference.linear_grad`: dy [..., outputs] and dx are stored like x, dw is float32."""
    rows, inputs, outputs = _sizes("linear_grad", x, weight)
    check_array("linear_grad", "dy", dy, (x.dtype.type,), (*x.shape[:-1], outputs))
    results = make_outputs("linear_grad", out, (x.shape, weight.shape), (x.dtype.type, np.float32))
    call = getattr(load_native(), f"linear_grad_{_suffix(x)}")
    call(dy, x, weight, rows, inputs, outputs, *results, threads)
    return results


def _sizes(operation: str, x: Array, weight: Array) -> tuple[int, int, int]:
    check_array(operation, "x", x, _STORAGE)
    check_array(operation, "weight", weight, (np.float32,))
    if x.ndim == 0 or weight.ndim != 2 or weight.shape[1] != x.shape[-1]:
        raise ValueError(
            f"{operation}: x has shape {x.shape} and weight {weight.shape}; pass x [..., inputs] and weight [outputs, inputs]."
        )
    return prod(x.shape[:-1]), x.shape[-1], weight.shape[0]


def _suffix(x: Array) -> str:
    return "f32" if x.dtype == np.float32 else "bf16"
