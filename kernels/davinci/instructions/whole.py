"""Calls of TIK 1.5 on whole tensors (``h_*``): the vector instructions over all elements, in repeats and a rest."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, DataTypeError, caller_location
from .allocation import UB
from .tensors import Builder, Tensor

REPEAT_BYTES, BLOCK_BYTES, MAX_REPEAT = 256, 32, 255
BINARY = ("add", "sub", "mul", "div", "max", "min", "and", "or")
UNARY = ("abs", "exp", "ln", "rec", "rsqrt", "relu", "not")
WITH_SCALAR = ("add", "mul")
FLOATS = ("float16", "float32")


def _parts(count: int, width: int) -> list[tuple[int, int, int]]:
    """(mask, first element, repeats) that cover ``count`` elements, ``width`` per repeat."""
    whole, rest = divmod(count, width)
    parts = [(width, i * width, min(MAX_REPEAT, whole - i)) for i in range(0, whole, MAX_REPEAT)]
    return parts + ([(rest, whole * width, 1)] if rest else [])


def _width(*tensors: Tensor) -> int:
    return REPEAT_BYTES // max(np.dtype(t.dtype).itemsize for t in tensors)


def _stride(width: int, tensor: Tensor) -> int:
    """Blocks from one repeat to the next."""
    return width * np.dtype(tensor.dtype).itemsize // BLOCK_BYTES


def _same_length(name: str, *tensors: Tensor) -> int:
    counts = {t.count for t in tensors}
    if len(counts) > 1:
        raise ArgumentError(
            f"{name}: the tensors have {', '.join(map(str, sorted(counts)))} elements", caller_location()
        )
    return counts.pop()


def _binary(operation: str) -> Callable[..., None]:
    def call(tik: Builder, dst: Tensor, src0: Any, src1: Any) -> None:
        if (
            isinstance(src0, Tensor)
            and not isinstance(src1, Tensor)
            and operation in WITH_SCALAR
            and dst.dtype in FLOATS
        ):
            _scaled(tik, f"v{operation}s", dst, src0, src1)
            return
        name, width = f"h_{operation}", _width(dst)
        with tik.new_stmt_scope():
            sources = [s if isinstance(s, Tensor) else _filled(tik, dst.dtype, width, s) for s in (src0, src1)]
            moving = [isinstance(s, Tensor) for s in (src0, src1)]
            count = _same_length(name, dst, *(s for s, given in zip(sources, moving) if given))
            for mask, first, repeats in _parts(count, width):
                operands = [s[first] if given else s for s, given in zip(sources, moving)]
                strides = [_stride(width, s) if given else 0 for s, given in zip(sources, moving)]
                tik.emit(
                    f"v{operation}", (mask, dst[first], *operands, repeats, 1, 1, 1, _stride(width, dst), *strides), {}
                )

    return call


def _filled(tik: Builder, dtype: str, width: int, value: Any) -> Tensor:
    """One repeat of a scalar."""
    tensor: Tensor = tik.Tensor(dtype, (width,), scope=UB, name="scalar")
    tik.vector_dup(width, tensor, value, 1, 1, 8)
    return tensor


def _scaled(tik: Builder, instruction: str, dst: Tensor, src: Tensor, scalar: Any) -> None:
    width = _width(dst)
    for mask, first, repeats in _parts(_same_length(f"h_{instruction[1:-1]}", dst, src), width):
        tik.emit(instruction, (mask, dst[first], src[first], scalar, repeats, 1, 1, 8, 8), {})


def _unary(operation: str) -> Callable[..., None]:
    def call(tik: Builder, dst: Tensor, src: Tensor) -> None:
        width = _width(dst)
        for mask, first, repeats in _parts(_same_length(f"h_{operation}", dst, src), width):
            tik.emit(f"v{operation}", (mask, dst[first], src[first], repeats, 1, 1, 8, 8), {})

    return call


def h_duplicate(tik: Builder, dst: Tensor, src: Any) -> None:
    """Every element of dst = src."""
    for mask, first, repeats in _parts(dst.count, _width(dst)):
        tik.vector_dup(mask, dst[first], src, repeats, 1, 8)


def h_cast(tik: Builder, dst: Tensor, src: Tensor, round_mode: str) -> None:
    """Dst = src in dst's type, rounded as named."""
    width = _width(dst, src)
    for mask, first, repeats in _parts(_same_length("h_cast", dst, src), width):
        tik.vconv(mask, round_mode, dst[first], src[first], repeats, 1, 1, _stride(width, dst), _stride(width, src))


def h_data_move(tik: Builder, dst: Tensor, src: Tensor) -> None:
    """Copy whole tensors."""
    size = np.dtype(src.dtype).itemsize * _same_length("h_data_move", dst, src)
    if size % BLOCK_BYTES:
        raise DataTypeError(f"h_data_move: {size} B are not whole blocks of {BLOCK_BYTES} B", caller_location())
    tik.data_move(dst, src, 0, 1, size // BLOCK_BYTES, 0, 0)


WHOLE: dict[str, Callable[..., Any]] = {
    **{f"h_{operation}": _binary(operation) for operation in BINARY},
    **{f"h_{operation}": _unary(operation) for operation in UNARY},
    "h_duplicate": h_duplicate,
    "h_cast": h_cast,
    "h_conv": h_cast,
    "h_data_move": h_data_move,
}
