"""Residual + dropout + layer norm by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from math import prod
from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, check_site, make_outputs
from bert_thor.kernels.library import load_native

_FORWARD, _BACKWARD = "residual_dropout_layer_norm", "residual_dropout_layer_norm_grad"


def residual_dropout_layer_norm(
    x: Array,
    bias: Array,
    residual: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    probability: float,
    seed: Array,
    site: int,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(y, sum, mean, rstd) of `reference.residual_dropout_layer_norm`.

    x and residual [..., features] share shape and type: float32, or uint16 holding bfloat16 bit patterns, and y and sum
    are stored like them; bias, gamma, beta [features] float32; seed int32 [4]. mean and rstd are float32 [rows], flat.
    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: arrays to write into. Raises TypeError,
    ValueError or KernelError.
    """
    rows, features = _sizes(_FORWARD, "x", x)
    check_array(_FORWARD, "residual", residual, (x.dtype.type,), x.shape)
    for name, array in (("bias", bias), ("gamma", gamma), ("beta", beta)):
        check_array(_FORWARD, name, array, (np.float32,), (features,))
    check_array(_FORWARD, "seed", seed, (np.int32,), (4,))
    shapes = (x.shape, x.shape, (rows,), (rows,))
    outputs = make_outputs(_FORWARD, out, shapes, (x.dtype.type, x.dtype.type, np.float32, np.float32))
    call = getattr(load_native(), f"{_FORWARD}_{_suffix(x)}")
    scalars = (float(eps), float(probability), seed, check_site(_FORWARD, site), rows, features)
    call(x, bias, residual, gamma, beta, *scalars, *outputs, threads)
    return outputs


def residual_dropout_layer_norm_grad(
    dy: Array,
    total: Array,
    gamma: Array,
    mean: Array,
    rstd: Array,
    probability: float,
    seed: Array,
    site: int,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array, Array, Array, Array]] = None,
) -> tuple[Array, ...]:
    """(dx, dbias, dresidual, dgamma, dbeta) of `reference.residual_dropout_layer_norm_grad`; `total` is the forward sum."""
    rows, features = _sizes(_BACKWARD, "total", total)
    check_array(_BACKWARD, "dy", dy, (total.dtype.type,), total.shape)
    check_array(_BACKWARD, "gamma", gamma, (np.float32,), (features,))
    for name, array in (("mean", mean), ("rstd", rstd)):
        check_array(_BACKWARD, name, array, (np.float32,), (rows,))
    check_array(_BACKWARD, "seed", seed, (np.int32,), (4,))
    storage = total.dtype.type
    shapes = (total.shape, (features,), total.shape, (features,), (features,))
    outputs = make_outputs(_BACKWARD, out, shapes, (storage, np.float32, storage, np.float32, np.float32))
    call = getattr(load_native(), f"{_BACKWARD}_{_suffix(total)}")
    call(
        dy,
        total,
        gamma,
        mean,
        rstd,
        float(probability),
        seed,
        check_site(_BACKWARD, site),
        rows,
        features,
        *outputs,
        threads,
    )
    return outputs


def _sizes(operation: str, name: str, x: Array) -> tuple[int, int]:
    check_array(operation, name, x, (np.float32, np.uint16))
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{operation}: {name} has shape {x.shape}; its last axis needs at least one feature.")
    return prod(x.shape[:-1]), x.shape[-1]


def _suffix(x: Array) -> str:
    return "f32" if x.dtype == np.float32 else "bf16"
