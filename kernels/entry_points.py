"""Would an entry point of the C ABI take tensors of these types and shapes? Asked without the tensors."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from math import prod

from bert_thor.kernels.library import library_path
from bert_thor.kernels.status import KernelError, Status

TensorType = tuple[str, tuple[int, ...]]
"""Name of the element type, as `float32`; shape."""
FEW_ELEMENTS = 16
"""Tensors of so few elements an entry point may read itself, before it has looked at all of them: kFewElements in common/aot.h."""
_OF_TYPES_AND_SHAPES = (
    Status.BAD_SIZE, Status.BAD_BLOCK, Status.BAD_SHAPE, Status.BAD_DTYPE, Status.BAD_ARGUMENT_COUNT
)  # fmt: skip


@lru_cache(maxsize=1024)
def check_types(name: str, *tensors: TensorType) -> None:
    """Raise the `KernelError` of `thor_<name>` for the types and shapes of its tensors, inputs first.

    The entry point is called with null pointers, which the kernel refuses after types and shapes; zeros where it may read.
    """
    status = _call(name, tensors)
    if status in _OF_TYPES_AND_SHAPES:
        raise KernelError(name, status)


def _call(name: str, tensors: tuple[TensorType, ...]) -> int:
    data = [
        ctypes.create_string_buffer(8 * FEW_ELEMENTS) if prod(shape) <= FEW_ELEMENTS else None for _, shape in tensors
    ]
    sizes = [(ctypes.c_int64 * max(1, len(shape)))(*shape) for _, shape in tensors]
    count = len(tensors)
    status: int = getattr(_library(), f"thor_{name}")(
        count,
        (ctypes.c_void_p * count)(*(ctypes.addressof(values) if values else None for values in data)),
        (ctypes.c_int * count)(*(len(shape) for _, shape in tensors)),
        (ctypes.POINTER(ctypes.c_int64) * count)(*(ctypes.cast(s, ctypes.POINTER(ctypes.c_int64)) for s in sizes)),
        (ctypes.c_char_p * count)(*(kind.encode() for kind, _ in tensors)),
        None,
        None,
    )
    return status


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(library_path()))
