"""Calls of TIK 1.5 on whole tensors (``h_*``): the vector instructions over all elements, in repeats and a rest."""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np

from ..errors import DataTypeError, caller_location
from .allocation import UB
from .tensors import Builder, Tensor
from .whole_parts import BLOCK_BYTES, filled, parts_of, same_length, stride_of, width_of
from .whole_reduce import REDUCE
from .whole_select import SELECT

BINARY = ("add", "sub", "mul", "div", "max", "min", "and", "or")
UNARY = ("abs", "exp", "ln", "rec", "rsqrt", "relu", "not")
WITH_SCALAR = ("add", "mul")
FLOATS = ("float16", "float32")


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
        name, width = f"h_{operation}", width_of(dst)
        with tik.new_stmt_scope():
            sources = [s if isinstance(s, Tensor) else filled(tik, dst.dtype, width, s) for s in (src0, src1)]
            moving = [isinstance(s, Tensor) for s in (src0, src1)]
            count = same_length(name, dst, *(s for s, given in zip(sources, moving) if given))
            for mask, first, repeats in parts_of(count, width):
                operands = [s[first] if given else s for s, given in zip(sources, moving)]
                strides = [stride_of(width, s) if given else 0 for s, given in zip(sources, moving)]
                tik.emit(
                    f"v{operation}",
                    (mask, dst[first], *operands, repeats, 1, 1, 1, stride_of(width, dst), *strides),
                    {},
                )

    return call


def _scaled(tik: Builder, instruction: str, dst: Tensor, src: Tensor, scalar: Any) -> None:
    width = width_of(dst)
    for mask, first, repeats in parts_of(same_length(f"h_{instruction[1:-1]}", dst, src), width):
        tik.emit(instruction, (mask, dst[first], src[first], scalar, repeats, 1, 1, 8, 8), {})


def _unary(operation: str) -> Callable[..., None]:
    def call(tik: Builder, dst: Tensor, src: Tensor) -> None:
        width = width_of(dst)
        for mask, first, repeats in parts_of(same_length(f"h_{operation}", dst, src), width):
            tik.emit(f"v{operation}", (mask, dst[first], src[first], repeats, 1, 1, 8, 8), {})

    return call


def _sine(quarter_turn: bool) -> Callable[..., None]:
    """sin(src), or cos(src) = sin(src + pi / 2), in float32: with k = round(src / pi) and r = src - k pi, (-1)^k sin(r).

    r comes in three subtractions of parts of pi, sin(r) from its series to r^11; for |src| < 100 the error is below
    4e-7. TIK's own series is not public.
    """

    def call(tik: Builder, dst: Tensor, src: Tensor) -> None:
        count = same_length("h_cos" if quarter_turn else "h_sin", dst, src)
        if (dst.dtype, src.dtype) != ("float32", "float32"):
            raise DataTypeError(f"h_sin and h_cos take float32 here, not {src.dtype} to {dst.dtype}", caller_location())
        with tik.new_stmt_scope():
            turns, rest, square, whole = (
                tik.Tensor(t, (count,), scope=UB, name=n)
                for n, t in (("turns", "float32"), ("rest", "float32"), ("square", "float32"), ("whole", "int32"))
            )
            tik.h_mul(turns, src, 1 / math.pi)
            if quarter_turn:
                tik.h_add(turns, turns, 0.5)
            h_cast(tik, whole, turns, "round")
            h_cast(tik, turns, whole, "none")
            _reduced(tik, rest, src, turns, square, 0.5 if quarter_turn else 0.0)
            _series(tik, dst, rest, square)
            _alternating(tik, turns, whole, square)
            tik.h_mul(dst, dst, turns)

    return call


PI_PARTS = (3.140625, 9.670257568359375e-4, 6.2771141529083252e-7)  # 8, 11 and 24 bits; products with k are exact
SINE = (-1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6)


def _reduced(tik: Builder, rest: Tensor, src: Tensor, turns: Tensor, product: Tensor, half: float) -> None:
    """Rest = src - (turns - half) pi."""
    tik.h_add(turns, turns, -half)
    tik.h_add(rest, src, 0.0)
    for part in PI_PARTS:
        tik.h_mul(product, turns, part)
        tik.h_sub(rest, rest, product)


def _series(tik: Builder, dst: Tensor, rest: Tensor, square: Tensor) -> None:
    """Dst = sin(rest) by Horner's rule in rest^2."""
    tik.h_mul(square, rest, rest)
    tik.h_mul(dst, square, SINE[0])
    for coefficient in SINE[1:]:
        tik.h_add(dst, dst, coefficient)
        tik.h_mul(dst, dst, square)
    tik.h_mul(dst, dst, rest)
    tik.h_add(dst, dst, rest)


def _alternating(tik: Builder, sign: Tensor, whole: Tensor, product: Tensor) -> None:
    """Sign = (-1)^whole = 1 - 2 (whole - 2 floor(whole / 2))."""
    h_cast(tik, sign, whole, "none")
    tik.h_mul(product, sign, 0.5)
    h_cast(tik, whole, product, "floor")
    h_cast(tik, product, whole, "none")
    tik.h_mul(product, product, 4.0)
    tik.h_mul(sign, sign, -2.0)
    tik.h_add(sign, sign, product)
    tik.h_add(sign, sign, 1.0)


def h_duplicate(tik: Builder, dst: Tensor, src: Any) -> None:
    """Every element of dst = src."""
    for mask, first, repeats in parts_of(dst.count, width_of(dst)):
        tik.vector_dup(mask, dst[first], src, repeats, 1, 8)


def h_cast(tik: Builder, dst: Tensor, src: Tensor, round_mode: str) -> None:
    """Dst = src in dst's type, rounded as named."""
    width = width_of(dst, src)
    for mask, first, repeats in parts_of(same_length("h_cast", dst, src), width):
        tik.vconv(mask, round_mode, dst[first], src[first], repeats, 1, 1, stride_of(width, dst), stride_of(width, src))


def h_quant(tik: Builder, dst: Tensor, src: Tensor, deqscale: Any) -> None:
    """Dst, float16, = src, int32, times deqscale."""
    width = width_of(dst, src)
    for mask, first, repeats in parts_of(same_length("h_quant", dst, src), width):
        strides = stride_of(width, dst), stride_of(width, src)
        tik.vconv(mask, "none", dst[first], src[first], repeats, 1, 1, *strides, deqscale)


def h_data_move(tik: Builder, dst: Tensor, src: Tensor) -> None:
    """Copy whole tensors."""
    size = np.dtype(src.dtype).itemsize * same_length("h_data_move", dst, src)
    if size % BLOCK_BYTES:
        raise DataTypeError(f"h_data_move: {size} B are not whole blocks of {BLOCK_BYTES} B", caller_location())
    tik.data_move(dst, src, 0, 1, size // BLOCK_BYTES, 0, 0)


WHOLE: dict[str, Callable[..., Any]] = {
    **{f"h_{operation}": _binary(operation) for operation in BINARY},
    **{f"h_{operation}": _unary(operation) for operation in UNARY},
    "h_sin": _sine(quarter_turn=False),
    "h_cos": _sine(quarter_turn=True),
    **SELECT,
    **REDUCE,
    "h_duplicate": h_duplicate,
    "h_cast": h_cast,
    "h_conv": h_cast,
    "h_quant": h_quant,
    "h_data_move": h_data_move,
}
