"""A kernel in Triton's own interpreter (NumPy, no compiler, no torch): says whether the Triton text is right.

Triton decides when it is imported, by TRITON_INTERPRET=1, whether kernels are interpreted or compiled: one process does
one of the two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import wheels
from .compile import Argument
from .errors import ArgumentError

TYPES = {
    "float32": "float32",
    "float16": "float16",
    "uint16": "bfloat16",
    "int32": "int32",
    "int8": "int8",
    "uint8": "uint8",
}


class _HostArray:
    """What the interpreter asks of a tensor, over a NumPy array that it reads and writes in place."""

    def __init__(self, array: np.ndarray) -> None:
        import triton.language as tl

        self.array, self.device, self.data = array, "cpu", self
        self.dtype = getattr(tl, TYPES[array.dtype.name])

    def data_ptr(self) -> int:
        return int(self.array.ctypes.data)

    def cpu(self) -> _HostArray:
        return self

    def to(self, *_: object, **__: object) -> _HostArray:
        return self

    def copy_(self, other: object) -> None:
        """Results are already in place."""


def _place(value: Any) -> int:
    """An offset in a slice: a number, a constant or a scalar of the interpreter."""
    value = getattr(value, "value", value)
    return int(value.handle.data.reshape(-1)[0]) if hasattr(value, "handle") else int(value)


def _slice(source: Any, offsets: Sequence[Any], sizes: Sequence[Any], strides: Sequence[Any]) -> Any:
    """`tl.extract_slice`, which the interpreter lacks."""
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    index = tuple(
        slice(_place(first), _place(first) + _place(size) * _place(step), _place(step))
        for first, size, step in zip(offsets, sizes, strides)
    )
    kind = source.type.scalar
    return tl.core.tensor(
        TensorHandle(source.handle.data[index].copy(), kind), tl.block_type(kind, [_place(size) for size in sizes])
    )


def _element(source: Any, places: Sequence[Any]) -> Any:
    """`tl.get_element`, which the interpreter lacks."""
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    index = tuple(_place(place) for place in places)
    kind = source.type.scalar
    return tl.core.tensor(TensorHandle(np.array([source.handle.data[index]]), kind), kind)


def interpret(kernel: Any, grid: Sequence[int], arguments: Sequence[Argument], constants: Mapping[str, Any]) -> None:
    """Runs a kernel that was loaded under TRITON_INTERPRET=1; arrays are read and written in place."""
    wheels.require()
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise ArgumentError("set TRITON_INTERPRET=1 before the kernel is loaded: Triton chooses then how to run it")
    import triton.language as tl

    tl.extract_slice, tl.get_element = _slice, _element
    wrapped = [_HostArray(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
    kernel[tuple([*grid, 1, 1][:3])](*wrapped, **constants)
