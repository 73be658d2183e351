"""``h_reduce_*`` of TIK 1.5: sums, extremes and their places along axes of a tensor in UB.

Composed here of vector instructions down to one block, whose lanes the scalar unit joins; TIK's own composition is not public.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, DataTypeError, LimitError, caller_location
from .allocation import UB
from .expressions import FLOAT_TYPES, Expression, call
from .tensors import Builder, Scalar, Tensor
from .whole_parts import BLOCK_BYTES, REPEAT_BYTES, filled

Join = Callable[[Any, Any], Expression]
VECTOR = {"sum": "vadd", "max": "vmax", "min": "vmin"}
JOIN: dict[str, Join] = {
    "sum": lambda a, b: a + b,
    "max": lambda a, b: call("max", a, b),
    "min": lambda a, b: call("min", a, b),
}


def _neutral(kind: str, dtype: str) -> Any:
    """What changes nothing."""
    if kind == "sum":
        return 0
    sign = -1 if kind == "max" else 1
    if dtype in FLOAT_TYPES:
        return sign * float("inf")
    return np.iinfo(dtype).min if kind == "max" else np.iinfo(dtype).max


def _axes(name: str, src: Tensor, axis: Any) -> tuple[int, ...]:
    rank = len(src.extents)
    axes = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(set(axes)) != len(axes) or not all(isinstance(a, int) and 0 <= a < rank for a in axes):
        raise ArgumentError(f"{name}: axis {axis} does not fit a tensor of {rank} dimensions", caller_location())
    return axes


def _reduction(kind: str) -> Callable[..., None]:
    name = f"h_reduce_{kind}"

    def reduce(tik: Builder, dst: Any, src: Tensor, axis: Any = None) -> None:
        axes = _axes(name, src, axis)
        if dst.dtype != src.dtype:
            raise DataTypeError(f"{name}: dst is {dst.dtype} and src {src.dtype}", caller_location())
        kept = tuple(e for i, e in enumerate(src.extents) if i not in axes)
        _check_target(name, dst, kept)
        with tik.new_stmt_scope():
            if not kept:
                dst.set_as(_whole(tik, kind, src, src.count))
                return
            shape, source = list(src.extents), src
            for number, axis_of_src in enumerate(sorted(axes)):  # the last axis last: rows stay whole blocks
                a = axis_of_src - number
                left = shape[:a] + shape[a + 1 :]
                is_last = number == len(axes) - 1
                target = dst if is_last else tik.Tensor(src.dtype, tuple(left), scope=UB, name="reduced")
                _along(tik, kind, (target, source), (shape[:a], shape[a], shape[a + 1 :]))
                shape, source = left, target

    return reduce


def _check_target(name: str, dst: Any, kept: tuple[int, ...]) -> None:
    if not kept and not isinstance(dst, Scalar):
        raise ArgumentError(f"{name}: over all axes, dst is a scalar", caller_location())
    if kept and (not isinstance(dst, Tensor) or dst.extents != kept):
        shape = dst.extents if isinstance(dst, Tensor) else "of a scalar"
        raise ArgumentError(f"{name}: dst has the shape {shape}; the result has {kept}", caller_location())


def _along(tik: Builder, kind: str, tensors: tuple[Tensor, Tensor], extents: tuple[list[int], int, list[int]]) -> None:
    """Reduce one axis: rows of the last one, or whole slices of an earlier one."""
    dst, src = tensors
    outer, length, inner = int(np.prod(extents[0])), extents[1], int(np.prod(extents[2]))
    if not extents[2]:
        _require_aligned(f"h_reduce_{kind}", src, length)
        with tik.for_range(0, outer) as row:
            dst[row].set_as(_whole(tik, kind, src[row * length], length))
        return
    _require_aligned(f"h_reduce_{kind}", src, inner)
    with tik.for_range(0, outer) as row:
        target = dst[row * inner]
        _first_slice(tik, target, src[row * length * inner], inner)
        if length > 1:
            with tik.for_range(1, length) as step:
                _join_slices(tik, VECTOR[kind], target, src[(row * length + step) * inner], inner)


def _require_aligned(name: str, tensor: Tensor, length: int) -> None:
    if length * np.dtype(tensor.dtype).itemsize % BLOCK_BYTES:
        raise LimitError(
            f"{name}: slices of {length} {tensor.dtype} are not whole blocks of {BLOCK_BYTES} B", caller_location()
        )


def _pieces(length: int, dtype: str) -> list[tuple[int, int]]:
    """(first element, lanes) of one instruction each."""
    width = REPEAT_BYTES // np.dtype(dtype).itemsize
    return [(i, min(width, length - i)) for i in range(0, length, width)]


def _first_slice(tik: Builder, dst: Tensor, src: Tensor, length: int) -> None:
    tik.data_move(dst, src, 0, 1, length * np.dtype(src.dtype).itemsize // BLOCK_BYTES, 0, 0)


def _join_slices(tik: Builder, instruction: str, dst: Tensor, src: Tensor, length: int) -> None:
    for first, lanes in _pieces(length, dst.dtype):
        tik.emit(instruction, (lanes, dst[first], dst[first], src[first], 1, 1, 1, 1, 8, 8, 8), {})


def _whole(tik: Builder, kind: str, src: Tensor, length: int) -> Expression:
    """The reduction of ``length`` elements, as a scalar."""
    width = REPEAT_BYTES // np.dtype(src.dtype).itemsize
    with tik.new_stmt_scope():
        lanes = filled(tik, src.dtype, width, _neutral(kind, src.dtype))
        for first, active in _pieces(length, src.dtype):
            tik.emit(VECTOR[kind], (active, lanes, lanes, src[first], 1, 1, 1, 1, 8, 8, 8), {})
        block = BLOCK_BYTES // np.dtype(src.dtype).itemsize
        while width > block:
            width //= 2
            tik.emit(VECTOR[kind], (width, lanes, lanes, lanes[width], 1, 1, 1, 1, 8, 8, 8), {})
        values = [tik.Scalar(src.dtype, "lane", lanes[i]) for i in range(block)]
        while len(values) > 1:
            values = [JOIN[kind](values[i], values[i + 1]) for i in range(0, len(values), 2)]
    return values[0]  # type: ignore[no-any-return]


def _place(kind: str) -> Callable[..., None]:
    """The first place of the largest or smallest element: found by the scalar unit, from the end to the start."""
    name = f"h_reduce_arg{kind}"

    def find(tik: Builder, dst: Any, src: Tensor, axis: Any = None) -> None:
        if dst.dtype != "int32":
            raise DataTypeError(f"{name}: dst is int32, not {dst.dtype}", caller_location())
        if isinstance(axis, tuple):
            raise ArgumentError(f"{name}: axis is a number or None, not {axis}", caller_location())
        axes = _axes(name, src, axis)
        kept = tuple(e for i, e in enumerate(src.extents) if i not in axes)
        _check_target(name, dst, kept)
        if not kept:
            dst.set_as(_first_place(tik, kind, src, src.count, 1))
            return
        a = axes[0]
        length, inner = src.extents[a], int(np.prod(src.extents[a + 1 :]))
        with tik.for_range(0, int(np.prod(src.extents[:a]))) as row, tik.for_range(0, inner) as column:
            place = _first_place(tik, kind, src[row * length * inner + column], length, inner)
            dst[row * inner + column].set_as(place)

    return find


def _first_place(tik: Builder, kind: str, src: Tensor, length: int, stride: int) -> Scalar:
    best, value = tik.Scalar(src.dtype, "best", src[(length - 1) * stride]), tik.Scalar(src.dtype, "value")
    place: Scalar = tik.Scalar("int32", "place", length - 1)
    if length > 1:
        with tik.for_range(1, length) as back:
            value.set_as(src[(length - 1 - back) * stride])
            with tik.if_scope(value >= best if kind == "max" else value <= best):
                best.set_as(value)
                place.set_as(length - 1 - back)
    return place


REDUCE: dict[str, Callable[..., Any]] = {
    **{f"h_reduce_{kind}": _reduction(kind) for kind in VECTOR},
    **{f"h_reduce_arg{kind}": _place(kind) for kind in ("max", "min")},
}
