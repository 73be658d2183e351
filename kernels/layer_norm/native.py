"""Layer normalisation by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, make_outputs
from bert_thor.kernels.library import load_native

_STORAGE = (np.float32, np.uint16)


def layer_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float = 1e-12,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(y, mean, rstd) of `reference.layer_norm`.

    x [..., features] float32, or uint16 holding bfloat16 bit patterns (y is stored like x); gamma, beta [features]
    float32; eps >= 0. mean and rstd are float32 [rows], flat. `threads` 0: `library.num_threads()`; the bits do not
    depend on it. `out`: arrays to write into. Raises TypeError, ValueError or KernelError.
    """
    rows, features = _sizes("layer_norm", x)
    for name, array in (("gamma", gamma), ("beta", beta)):
        check_array("layer_norm", name, array, (np.float32,), (features,))
    outputs = make_outputs("layer_norm", out, (x.shape, (rows,), (rows,)), (x.dtype.type, np.float32, np.float32))
    call = getattr(load_native(), f"layer_norm_{_suffix(x)}")
    call(x, gamma, beta, float(eps), rows, features, *outputs, threads)
    return outputs


def layer_norm_grad(
    dy: Array,
    x: Array,
    gamma: Array,
    mean: Array,
    rstd: Array,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(dx, dgamma, dbeta) of `reference.layer_norm_grad`; dy and x share shape and type, dx is stored like them."""
    rows, features = _sizes("layer_norm_grad", x)
    check_array("layer_norm_grad", "dy", dy, (x.dtype.type,), x.shape)
    check_array("layer_norm_grad", "gamma", gamma, (np.float32,), (features,))
    for name, array in (("mean", mean), ("rstd", rstd)):
        check_array("layer_norm_grad", name, array, (np.float32,), (rows,))
    shapes = (x.shape, (features,), (features,))
    outputs = make_outputs("layer_norm_grad", out, shapes, (x.dtype.type, np.float32, np.float32))
    call = getattr(load_native(), f"layer_norm_grad_{_suffix(x)}")
    call(dy, x, gamma, mean, rstd, rows, features, *outputs, threads)
    return outputs


def _sizes(operation: str, x: Array) -> tuple[int, int]:
    check_array(operation, "x", x, _STORAGE)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(
            f"{operation}: x has shape {x.shape}; its last axis needs at least one feature to normalise over."
        )
    return prod(x.shape[:-1]), x.shape[-1]


def _suffix(x: Array) -> str:
    return "f32" if x.dtype == np.float32 else "bf16"
