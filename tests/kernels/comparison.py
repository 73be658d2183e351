"""Comparisons that a NaN fails, error bounds of sums, and calls between canaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import aot
import numpy as np
from buffers import Guarded, misaligned

from bert_thor.kernels.status import Status

UNIT = 2.0**-24  # unit roundoff of fp32
BF16_UNIT = 2.0**-8  # and of bfloat16


def assert_within(actual: np.ndarray, expected: np.ndarray, bound: Any) -> None:
    """|actual - expected| <= bound everywhere."""
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    assert (error <= bound).all(), f"error {error.max()} at {np.unravel_index(error.argmax(), error.shape)}"


def lane_sum_units(terms: int) -> float:
    """Roundings on the longest path of a sum over a row in 64 partial sums, and of the few operations around it."""
    return terms / 64 + 24


def column_sum_bound(terms: np.ndarray) -> np.ndarray:
    """Error of summing `terms` over their first axis, in any order, with four roundings in each term."""
    return UNIT * (len(terms) + 5) * np.abs(terms).sum(axis=0) + 1e-37


def call_guarded(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[Any],
    offset: int,
    single: bool = False,
) -> list[np.ndarray]:
    """`function(*inputs, out=...)` with every array `offset` elements past a cache line and canaries round the outputs."""
    outputs = [Guarded(shape, dtype, offset) for shape, dtype in zip(shapes, dtypes)]
    moved = [misaligned(value, offset) if isinstance(value, np.ndarray) else value for value in inputs]
    result = function(*moved, out=tuple(output.array for output in outputs))
    for output, returned in zip(outputs, (result,) if single else result):
        output.assert_intact()
        assert returned is output.array
    return [output.array for output in outputs]


def to_bf16(x: np.ndarray) -> np.ndarray:
    """bfloat16 bit patterns of float32 numbers, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, bits >> 16 | 0x40, rounded).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def assert_entry_point(operation: str, inputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """`thor_<operation>` gives `expected` bit for bit, between canaries."""
    outputs = [Guarded(value.shape, value.dtype, 1) for value in expected]
    assert aot.call(operation, *inputs, *(output.array for output in outputs)) == Status.OK
    for output, value in zip(outputs, expected):
        output.assert_intact()
        assert (output.array == value).all()


def assert_entry_point_refuses(operation: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """Every tensor in turn cut short, of another type, or missing, and one tensor too few; nothing is written."""
    outputs = [np.full(value.shape, np.nan if value.dtype.kind == "f" else 0x5A5A, value.dtype) for value in outputs]
    tensors = [*inputs, *outputs]
    assert aot.call(operation, *tensors[:-1]) == Status.BAD_ARGUMENT_COUNT
    for k, tensor in enumerate(tensors):
        before, after = tensors[:k], tensors[k + 1 :]
        assert aot.call(operation, *before, tensor[:-1].copy(), *after) == Status.BAD_SHAPE
        assert aot.call(operation, *before, tensor.astype(np.float64), *after) == Status.BAD_DTYPE
        if tensor.dtype == np.float32:
            shapes = [value.shape for value in tensors]
            assert aot.call(operation, *before, None, *after, shapes=shapes) == Status.NULL_POINTER
    assert all((np.isnan(output) if output.dtype.kind == "f" else output == 0x5A5A).all() for output in outputs)
