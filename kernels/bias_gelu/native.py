"""GELU of x + bias by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native


def bias_gelu(x: Array, bias: Array, *, threads: int = 0, out: Optional[tuple[Array]] = None) -> Array:
    """`reference.bias_gelu`: bias [features] float32; x [..., features] float32, or uint16 holding bfloat16 bit patterns,
    and the result like x.

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: a tuple with the array to write into.
    Raises TypeError, ValueError or KernelError.
    """
    rows, features = _check("bias_gelu", x, bias)
    outputs = make_outputs("bias_gelu", out, (x.shape,), (x.dtype.type,))
    native = load_native()
    call = native.bias_gelu_f32 if x.dtype == np.float32 else native.bias_gelu_bf16
    call(x, bias, rows, features, outputs[0], threads)
    return outputs[0]


def bias_gelu_grad(
    dy: Array, x: Array, bias: Array, *, threads: int = 0, out: Optional[tuple[Array, Array]] = None
) -> tuple[Array, ...]:
    """(dx, dbias) of `reference.bias_gelu_grad`; dy has the shape and the type of x, and dx too."""
    rows, features = _check("bias_gelu_grad", x, bias)
    check_array("bias_gelu_grad", "dy", dy, (x.dtype.type,), x.shape)
    outputs = make_outputs("bias_gelu_grad", out, (x.shape, (features,)), (x.dtype.type, np.float32))
    native = load_native()
    call = native.bias_gelu_grad_f32 if x.dtype == np.float32 else native.bias_gelu_grad_bf16
    call(dy, x, bias, rows, features, *outputs, threads)
    return outputs


def _check(operation: str, x: Array, bias: Array) -> tuple[int, int]:
    check_array(operation, "x", x, (np.float32, np.uint16))
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{operation}: x has shape {x.shape}; its last axis needs at least one feature.")
    check_array(operation, "bias", bias, (np.float32,), x.shape[-1:])
    return prod(x.shape[:-1]), x.shape[-1]
