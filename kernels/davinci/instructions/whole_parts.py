"""What calls on whole tensors (``h_*``) share: how a tensor is cut into repeats and a rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, caller_location
from .allocation import UB
from .tensors import Builder, Tensor

REPEAT_BYTES, BLOCK_BYTES, MAX_REPEAT = 256, 32, 255


def parts_of(count: int, width: int) -> list[tuple[int, int, int]]:
    """(mask, first element, repeats) that cover ``count`` elements, ``width`` per repeat."""
    whole, rest = divmod(count, width)
    parts = [(width, i * width, min(MAX_REPEAT, whole - i)) for i in range(0, whole, MAX_REPEAT)]
    return parts + ([(rest, whole * width, 1)] if rest else [])


def width_of(*tensors: Tensor) -> int:
    """Elements of a repeat that no operand exceeds."""
    return REPEAT_BYTES // max(np.dtype(t.dtype).itemsize for t in tensors)


def stride_of(width: int, tensor: Tensor) -> int:
    """Blocks from one repeat to the next."""
    return width * np.dtype(tensor.dtype).itemsize // BLOCK_BYTES


def same_length(name: str, *tensors: Tensor) -> int:
    """The number of elements, which must agree."""
    counts = {t.count for t in tensors}
    if len(counts) > 1:
        raise ArgumentError(
            f"{name}: the tensors have {', '.join(map(str, sorted(counts)))} elements", caller_location()
        )
    return counts.pop()


def filled(tik: Builder, dtype: str, width: int, value: Any) -> Tensor:
    """One repeat of a scalar."""
    tensor: Tensor = tik.Tensor(dtype, (width,), scope=UB, name="scalar")
    tik.vector_dup(width, tensor, value, 1, 1, 8)
    return tensor
