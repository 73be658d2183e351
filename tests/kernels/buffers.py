"""Arrays at chosen addresses: misaligned inputs, and outputs with canaries at both ends."""

from __future__ import annotations

from typing import Any

import numpy as np

OFFSETS = (0, 1, 3)  # elements past a cache line: aligned, worst case, and one that no vector width divides
_LINE = 64
_CANARY = 0xA5


def misaligned(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy of `array` that starts `offset` elements past a cache line."""
    copy = Guarded(array.shape, array.dtype, offset).array
    copy[...] = array
    return copy


class Guarded:
    """An output `array` that starts `offset` elements past a cache line, between canaries, full of NaN or of 0x5A."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> None:
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        self._bytes = np.full(size + 4 * _LINE + offset * dtype.itemsize, _CANARY, np.uint8)
        self._begin = 2 * _LINE - self._bytes.ctypes.data % _LINE + offset * dtype.itemsize
        self._end = self._begin + size
        self.array = self._bytes[self._begin : self._end].view(dtype).reshape(shape)
        self.array[...] = np.nan if dtype.kind == "f" else 0x5A

    def assert_intact(self) -> None:
        """Nothing was written before or after `array`."""
        assert (self._bytes[: self._begin] == _CANARY).all(), "written before the output"
        assert (self._bytes[self._end :] == _CANARY).all(), "written past the output"
