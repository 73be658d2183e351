"""GELU of x + bias by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def bias_gelu(x: Array, bias: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.bias_gelu`: x [..., features] and bias [features] float32.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into.
    Raises TypeError, ValueError or KernelError.
    """
    rows, features = _check("bias_gelu", x, bias)
    outputs = make_outputs("bias_gelu", out, (x.shape,), (np.float32,))
    load_native().bias_gelu_f32(x, bias, rows, features, outputs[0], threads)
    return outputs[0]


def bias_gelu_grad(
    dy: Array, x: Array, bias: Array, *, threads: int = 0, out: Optional[tuple[Array, Array]] = None
) -> tuple[Array, ...]:
    """(dx, dbias) of `reference.bias_gelu_grad`; dy has the shape of x."""
    rows, features = _check("bias_gelu_grad", x, bias)
    check_array("bias_gelu_grad", "dy", dy, (np.float32,), x.shape)
    outputs = make_outputs("bias_gelu_grad", out, (x.shape, (features,)), (np.float32, np.float32))
    load_native().bias_gelu_grad_f32(dy, x, bias, rows, features, *outputs, threads)
    return outputs


def _check(operation: str, x: Array, bias: Array) -> tuple[int, int]:
    check_array(operation, "x", x, (np.float32,))
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{operation}: x has shape {x.shape}; its last axis needs at least one feature.")
    check_array(operation, "bias", bias, (np.float32,), x.shape[-1:])
    return prod(x.shape[:-1]), x.shape[-1]
