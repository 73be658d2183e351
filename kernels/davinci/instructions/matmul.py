"""The matrix calls of TIK 1.5: ``matmul`` on operands in L1, and ``fixpipe`` from L0C to global memory through UB."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DataTypeError, LimitError, ScopeError, UnavailableError, caller_location
from .allocation import GLOBAL, L0A, L0B, L0C, L1, UB
from .tensors import Builder, Tensor

ROWS = 16
MAX_EXTENT = 4096
HALF_L0_FRACTALS = 64
TYPES = (("float16", "float32"), ("int8", "int32"))
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
    """dst[N1, M, 16] = a[K1, M, K0] x b[K1, N, K0] (+ dst when init_l1out is False).

    Tiles are as large as half of L0A and L0B allow, so that the loop over k double-buffers; CANN searches its own tiling.
    """
    where = caller_location()
    if bias is not None:
        raise UnavailableError("matmul with a bias is not modelled; add it with fixpipe", where)
    for tensor, scope in ((dst, L0C), (a, L1), (b, L1)):
        if tensor.scope != scope:
            raise ScopeError(f"matmul: {tensor.name} is in {tensor.scope}; it must be in {scope}", where)
    if (a.dtype, dst.dtype) not in TYPES or a.dtype != b.dtype:
        raise DataTypeError(
            f"matmul takes float16 x float16 to float32 or int8 x int8 to int32; not {a.dtype}, {b.dtype}, {dst.dtype}",
            where,
        )
    for name, extent in (("m", m), ("k", k), ("n", n)):
        if not isinstance(extent, int) or not 1 <= extent <= MAX_EXTENT:
            raise LimitError(f"matmul: {name} is {extent!r}; it is a Python integer from 1 to {MAX_EXTENT}", where)
    k0 = 32 // np.dtype(a.dtype).itemsize
    m1, k1, n1 = -(-m // ROWS), -(-k // k0), -(-n // ROWS)
    m_tile = min(m1, HALF_L0_FRACTALS)
    n_tile = min(n1, HALF_L0_FRACTALS) if m_tile == m1 else 1
    k_tile = max(1, min(k1, HALF_L0_FRACTALS // max(m_tile, n_tile)))
    for i in range(0, m1, m_tile):
        for j in range(0, n1, n_tile):
            rows, columns = min(m_tile, m1 - i), min(n_tile, n1 - j)
            tile = (i, rows, min(m - i * ROWS, rows * ROWS)), (j, columns, min(n - j * ROWS, columns * ROWS))
            _tile(tik, (dst, a, b), (m1, k, k0, n1), tile, k_tile, init_l1out)


def _tile(
    tik: Builder, tensors: tuple[Tensor, Tensor, Tensor], sizes: Any, tile: Any, k_tile: int, overwrite: bool
) -> None:
    """One tile of the result, accumulated over k."""
    m1, k, k0, _n1 = sizes
    (i, _, _), (j, _, _) = tile
    start = (j * m1 + i) * ROWS * ROWS
    k1 = -(-k // k0)
    whole, rest = divmod(k1, k_tile)
    with tik.for_range(0, whole, thread_num=2 if whole > 1 else 1) as step:
        extent = k_tile * k0 if rest or k % k0 == 0 else None
        if extent is not None:
            _first_or_later(tik, tensors, sizes, tile, (step * k_tile, k_tile, extent, start), step == 0, overwrite)
        else:
            with tik.if_scope(step == whole - 1):
                last = (step * k_tile, k_tile, k - (whole - 1) * k_tile * k0, start)
                _first_or_later(tik, tensors, sizes, tile, last, step == 0, overwrite)
            with tik.else_scope():
                _first_or_later(
                    tik, tensors, sizes, tile, (step * k_tile, k_tile, k_tile * k0, start), step == 0, overwrite
                )
    if rest:
        first = k1 - rest
        _multiply(tik, tensors, sizes, tile, (first, rest, k - first * k0, start), int(whole > 0 or not overwrite))


def _first_or_later(
    tik: Builder, tensors: Any, sizes: Any, tile: Any, part: Any, is_first: Any, overwrite: bool
) -> None:
    if not overwrite:
        _multiply(tik, tensors, sizes, tile, part, 1)
        return
    with tik.if_scope(is_first):
        _multiply(tik, tensors, sizes, tile, part, 0)
    with tik.else_scope():
        _multiply(tik, tensors, sizes, tile, part, 1)


def _multiply(tik: Builder, tensors: Any, sizes: Any, tile: Any, part: Any, accumulate: int) -> None:
    """Load one slice of k and multiply."""
    dst, a, b = tensors
    m1, _, k0, n1 = sizes
    (i, rows, m), (j, columns, n) = tile
    first, blocks, k, start = part
    items = ROWS * k0
    left = tik.Tensor(a.dtype, (rows * blocks * items,), scope=L0A, name="matmul_l0a")
    right = tik.Tensor(b.dtype, (blocks * columns * items,), scope=L0B, name="matmul_l0b")
    for row in range(rows):
        tik.load2dv1(left[row * blocks * items], a[(first * m1 + i + row) * items], 0, blocks, m1, 0, False)
    for block in range(blocks):
        tik.load2dv1(right[block * columns * items], b[((first + block) * n1 + j) * items], 0, columns, 1, 0, False)
    tik.mmad(dst[start], left, right, m, k, n, accumulate)


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
