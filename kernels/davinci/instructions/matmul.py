"""The matrix calls of TIK 1.5: ``matmul`` on operands in L1, and ``fixpipe`` from L0C to global memory through UB."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DataTypeError, LimitError, ScopeError, UnavailableError, caller_location
from .allocation import GLOBAL, L0C, L1, UB
from .cube_tiles import ROWS, Product, check_operands, multiply
from .tensors import Builder, Tensor

MAX_EXTENT = 4096
QUANTIZE_MODES = {"fp322fp16": ("float32", "float16"), "int322fp16": ("int32", "float16")}


def matmul(
    tik: Builder,
    dst: Tensor,
    a: Tensor,
    b: Tensor,
    m: int,
    k: int,
    n: int,
    init_l1out: bool = True,
    bias: Tensor | None = None,
) -> None:
    """dst[N1, M, 16] = a[K1, M, K0] x b[K1, N, K0] (+ dst when init_l1out is False)."""
    where = caller_location()
    if bias is not None:
        raise UnavailableError("matmul with a bias is not modelled; add it with fixpipe", where)
    check_operands("matmul", dst, a, b, where)
    for name, extent in (("m", m), ("k", k), ("n", n)):
        if not isinstance(extent, int) or not 1 <= extent <= MAX_EXTENT:
            raise LimitError(f"matmul: {name} is {extent!r}; it is a Python integer from 1 to {MAX_EXTENT}", where)
    items, m1 = ROWS * 32 // np.dtype(a.dtype).itemsize, -(-m // ROWS)

    def load(left: Tensor, first_row: int, rows: int, first: Any, blocks: int) -> None:
        for row in range(rows):
            source = a[(first * m1 + first_row + row) * items]
            tik.load2dv1(left[row * blocks * items], source, 0, blocks, m1, 0, False)

    multiply(tik, Product(dst, b, load, m, k, n, init_l1out))


def fixpipe(
    tik: Builder,
    dst: Tensor,
    src: Tensor,
    cburst_num: int,
    burst_len: int,
    dst_stride: int,
    src_stride: int,
    extend_params: dict[str, Any] | None = None,
) -> None:
    """L0C[N1, M, 16] to global memory, burst by burst through UB, with bias, relu and conversion.

    Args:
        tik: the kernel.
        dst: in global memory.
        src: in L0C, float32 or int32.
        cburst_num: number of bursts, usually N1.
        burst_len: length of a burst in 32 bytes of src, even.
        dst_stride: gap between bursts in dst, in 32 bytes.
        src_stride: gap between bursts in src, in 256 elements.
        extend_params: "bias" (a vector in L1 in src's type), "relu", "quantize_params" {"mode", "mode_param"}.
    """
    where = caller_location()
    options = dict(extend_params or {})
    bias, relu, quantize = (
        options.pop("bias", None),
        bool(options.pop("relu", False)),
        options.pop("quantize_params", None),
    )
    if options:
        raise UnavailableError(f"fixpipe: extend_params {', '.join(options)} is not modelled", where)
    if src.scope != L0C or dst.scope != GLOBAL:
        raise ScopeError(f"fixpipe goes from L0C to global memory, not from {src.scope} to {dst.scope}", where)
    if burst_len % 2:
        raise LimitError(f"fixpipe: burst_len is {burst_len}; it must be even", where)
    mode = _quantize_mode(src, dst, quantize)
    elements = burst_len * 32 // np.dtype(src.dtype).itemsize
    _bursts(tik, (dst, src), cburst_num, elements, (dst_stride, src_stride), (bias, relu, mode, quantize))


def _quantize_mode(src: Tensor, dst: Tensor, quantize: dict[str, Any] | None) -> str | None:
    mode = (quantize or {}).get("mode")
    if mode is None:
        if src.dtype != dst.dtype:
            raise DataTypeError(f"fixpipe: {src.dtype} to {dst.dtype} needs quantize_params", caller_location())
        return None
    if QUANTIZE_MODES.get(mode) != (src.dtype, dst.dtype):
        raise DataTypeError(f"fixpipe: mode {mode!r} does not convert {src.dtype} to {dst.dtype}", caller_location())
    return str(mode)


def _bursts(tik: Builder, ends: Any, count: int, elements: int, strides: tuple[int, int], options: Any) -> None:
    dst, src = ends
    bias, relu, mode, quantize = options
    fractals = -(-elements // (ROWS * ROWS))
    step_src = fractals * ROWS * ROWS + strides[1] * ROWS * ROWS
    per_block = 32 // np.dtype(dst.dtype).itemsize
    if elements % per_block:
        raise ArgumentError(
            f"fixpipe: a burst of {elements} {dst.dtype} is not a whole number of 32 bytes", caller_location()
        )
    with tik.new_stmt_scope():
        bias_ub = _bias(tik, bias, src.dtype)
        with tik.for_range(0, count, thread_num=2 if count > 1 else 1) as i:
            raw = tik.Tensor(src.dtype, (fractals * ROWS * ROWS,), scope=UB, name="fixpipe_raw")
            tik.data_move(raw, src[i * step_src], 0, 1, fractals, 0, 0, 0)
            if bias_ub is not None:
                _add_bias(tik, raw, bias_ub[i * ROWS], elements // ROWS)
            out = _converted(tik, raw, dst.dtype, fractals * ROWS * ROWS, mode, quantize)
            if relu:
                _clamp(tik, out, fractals * ROWS * ROWS)
            tik.data_move(dst[i * (elements + strides[0] * per_block)], out, 0, 1, elements // per_block, 0, 0)


def _bias(tik: Builder, bias: Tensor | None, dtype: str) -> Tensor | None:
    if bias is None:
        return None
    if bias.scope != L1 or bias.dtype != dtype:
        raise ScopeError(
            f"fixpipe: the bias is a {dtype} vector in L1, not {bias.dtype} in {bias.scope}", caller_location()
        )
    local = tik.Tensor(dtype, (bias.size,), scope=UB, name="fixpipe_bias")
    tik.data_move(local, bias, 0, 1, -(-bias.size * np.dtype(dtype).itemsize // 32), 0, 0)
    return local


def _in_repeats(total: int, width: int = 64, limit: int = 255) -> Any:
    """(start, repeats) of the instructions that cover total elements, a multiple of width."""
    return [(first * width, min(limit, total // width - first)) for first in range(0, total // width, limit)]


def _add_bias(tik: Builder, raw: Tensor, bias: Tensor, rows: int) -> None:
    for start, repeats in _in_repeats(rows * ROWS, ROWS):
        tik.vadd(ROWS, raw[start], raw[start], bias, repeats, 1, 1, 1, 2, 2, 0)


def _converted(
    tik: Builder, raw: Tensor, dtype: str, total: int, mode: str | None, quantize: dict[str, Any] | None
) -> Tensor:
    if mode is None:
        return raw
    out = tik.Tensor(dtype, (total,), scope=UB, name="fixpipe_out")
    scale = (quantize or {}).get("mode_param") if mode == "int322fp16" else None
    for start, repeats in _in_repeats(total):
        tik.vconv(64, "none", out[start], raw[start], repeats, 1, 1, 4, 8, scale)
    return out


def _clamp(tik: Builder, out: Tensor, total: int) -> None:
    if out.dtype == "float16":
        for start, repeats in _in_repeats(total, 128):
            tik.vrelu(128, out[start], out[start], repeats, 1, 1, 8, 8)
        return
    zeros = tik.Tensor(out.dtype, (64,), scope=UB, name="fixpipe_zero")
    tik.vector_dup(64, zeros, 0, 1, 1, 8)
    for start, repeats in _in_repeats(total):
        tik.vmax(64, out[start], out[start], zeros, repeats, 1, 1, 1, 8, 8, 0)
