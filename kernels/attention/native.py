"""Multi-head self-attention by the compiled kernel; `reference.py` says what it means."""

from __future__ import annotations

from typing import Optional

import numpy as np

from bert_thor.kernels.arrays import Array, check_array, check_site, make_outputs
from bert_thor.kernels.library import load_native


def attention(
    qkv: Array,
    bias: Array,
    mask: Array,
    heads: int,
    probability: float,
    seed: Array,
    site: int,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array]] = None,
) -> tuple[Array, ...]:
    """(out, log_sum_exp) of `reference.attention`.

    qkv float32, or uint16 holding bfloat16 bit patterns, and out like it; the others float32, seed int32 [4].

    `threads` 0: `library.num_threads()`; the bits do not depend on it. `out`: arrays to write into. Raises TypeError,
    ValueError or KernelError.
    """
    batch, length, size = _check("attention", qkv, bias, mask, heads, seed)
    shapes = ((batch * length, heads * size), (batch, heads, length))
    outputs = make_outputs("attention", out, shapes, (qkv.dtype.type, np.float32))
    sizes = (batch, heads, length, size)
    native = load_native()
    call = native.attention_f32 if qkv.dtype == np.float32 else native.attention_bf16
    call(qkv, bias, mask, float(probability), seed, check_site("attention", site), *sizes, *outputs, threads)
    return outputs


def attention_grad(
    dout: Array,
    qkv: Array,
    bias: Array,
    mask: Array,
    log_sum_exp: Array,
    probability: float,
    seed: Array,
    site: int,
    *,
    threads: int = 0,
    out: Optional[tuple[Array, Array]] = None,
) -> tuple[Array, ...]:
    """(dqkv, dbias) of `reference.attention_grad`; log_sum_exp [batch, heads, length] is what `attention` returned.

    dout has the type of qkv, and dqkv too.
    """
    check_array("attention_grad", "log_sum_exp", log_sum_exp, (np.float32,))
    heads = log_sum_exp.shape[1] if log_sum_exp.ndim == 3 else 0
    batch, length, size = _check("attention_grad", qkv, bias, mask, heads, seed)
    check_array("attention_grad", "log_sum_exp", log_sum_exp, (np.float32,), (batch, heads, length))
    check_array("attention_grad", "dout", dout, (qkv.dtype.type,), (batch * length, heads * size))
    outputs = make_outputs("attention_grad", out, (qkv.shape, bias.shape), (qkv.dtype.type, np.float32))
    sizes = (batch, heads, length, size)
    native = load_native()
    call = native.attention_grad_f32 if qkv.dtype == np.float32 else native.attention_grad_bf16
    checked = check_site("attention_grad", site)
    call(dout, qkv, bias, mask, log_sum_exp, float(probability), seed, checked, *sizes, *outputs, threads)
    return outputs


def _check(operation: str, qkv: Array, bias: Array, mask: Array, heads: int, seed: Array) -> tuple[int, int, int]:
    """Batch, length and head size."""
    for name, array, kinds in (("qkv", qkv, (np.float32, np.uint16)), ("mask", mask, (np.float32,))):
        check_array(operation, name, array, kinds)
        if array.ndim != 2:
            raise ValueError(f"{operation}: {name} has shape {array.shape}; pass a matrix.")
    columns = qkv.shape[1]
    if heads < 1 or columns == 0 or columns % (3 * heads) != 0:
        raise ValueError(
            f"{operation}: qkv has {columns} columns; pass a multiple of 3 * heads = {3 * heads}, above 0."
        )
    batch, length = mask.shape
    if length == 0 or qkv.shape[0] != batch * length:
        raise ValueError(
            f"{operation}: qkv has {qkv.shape[0]} rows; pass batch * length = {batch} * {length}, length > 0."
        )
    check_array(operation, "bias", bias, (np.float32,), (columns,))
    check_array(operation, "seed", seed, (np.int32,), (4,))
    return batch, length, columns // (3 * heads)
