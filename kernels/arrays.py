"""What every `native.py` checks before a kernel sees an array: element type, shape, contiguity."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CACHE_LINE = 64  # bytes
INT32_MAX = 2**31 - 1


def empty_array(shape: tuple[int, ...], dtype: type) -> Array:
    """A new array that starts at a cache line, as kernels like their outputs best; NumPy's own start 16 bytes past one."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def check_array(
    operation: str, name: str, array: Array, dtypes: tuple[type, ...], shape: tuple[int, ...] | None = None
) -> None:
    """Refuse `array` unless it is a C-contiguous NumPy array of one of `dtypes` and, where given, of `shape`."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{operation}: {name} is a {type(array).__name__}; pass a NumPy array.")
    if array.dtype not in [np.dtype(dtype) for dtype in dtypes]:
        allowed = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"{operation}: {name} has element type {array.dtype}; cast it to {allowed}.")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{operation}: {name} has shape {array.shape}; pass shape {shape}.")
    if not array.flags.c_contiguous:
        raise ValueError(f"{operation}: {name} is not C-contiguous; pass np.ascontiguousarray({name}).")


def check_blocks(operation: str, name: str, array: Array, shape: tuple[int, ...] | None = None) -> tuple[int, int]:
    """(blocks, edge) of packed float32 blocks [blocks, edge, edge]; refuses everything else, as `check_array` does."""
    check_array(operation, name, array, (np.float32,), shape)
    if array.ndim != 3 or array.shape[1] != array.shape[2] or array.shape[1] < 1:
        raise ValueError(f"{operation}: {name} has shape {array.shape}; pass [blocks, edge, edge] with edge >= 1.")
    return array.shape[0], array.shape[1]


def make_outputs(
    operation: str, out: Optional[tuple[Array, ...]], shapes: tuple[tuple[int, ...], ...], dtypes: tuple[type, ...]
) -> tuple[Array, ...]:
    """New arrays of these shapes and types, or the ones in `out` once they are checked to fit and to be writable."""
    if out is None:
        return tuple(empty_array(shape, dtype) for shape, dtype in zip(shapes, dtypes))
    if len(out) != len(shapes):
        raise ValueError(f"{operation}: out has {len(out)} arrays; pass {len(shapes)}.")
    for i, (array, shape, dtype) in enumerate(zip(out, shapes, dtypes)):
        check_array(operation, f"out[{i}]", array, (dtype,), shape)
        if not array.flags.writeable:
            raise ValueError(f"{operation}: out[{i}] is read-only; pass a writable array.")
    return out


def check_threads(operation: str, threads: object) -> int:
    """`threads` where it is a number of threads, 0 meaning `library.num_threads()`."""
    return _check_number(operation, "threads", threads, f"0 for all that there are, or 1 to {INT32_MAX}")


def check_site(operation: str, site: object) -> int:
    """`site` where it can say which dropout of the network is meant."""
    return _check_number(operation, "site", site, f"a number from 0 to {INT32_MAX}")


def _check_number(operation: str, name: str, value: object, allowed: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{operation}: {name} is {value!r}, of type {type(value).__name__}; pass {allowed}.")
    if not 0 <= value <= INT32_MAX:
        raise ValueError(f"{operation}: {name} is {value}; pass {allowed}.")
    return int(value)


def elements_of_parts(operation: str, name: str, array: Array, factors: Array) -> tuple[int, int]:
    """(parts, elements of each) when `factors` [parts] has a number for each of that many equal parts of `array`."""
    check_array(operation, "factors", factors, (np.float32,))
    if factors.ndim != 1 or len(factors) == 0 or array.size % len(factors) != 0:
        raise ValueError(
            f"{operation}: factors has shape {factors.shape}; pass [parts], where parts divides the {array.size} "
            f"elements of {name}."
        )
    return len(factors), array.size // len(factors)
