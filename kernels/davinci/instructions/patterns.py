"""Which elements an operand touches, relative to its start, as index arrays that are built once and reused."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

BLOCK_BYTES = 32
FRACTAL_BYTES = 512


class Pattern:
    """Element indices of one operand, relative to the operand's start.

    Attributes:
        shape: (repeats, elements per repeat), or whatever the instruction's semantics work on.
        index: flat indices in the order of ``shape``.
        low, high: smallest index and largest index + 1.
        contiguous: the indices are low, low + 1, ..., high - 1.
    """

    __slots__ = ("contiguous", "count", "high", "index", "low", "shape")

    def __init__(self, index: np.ndarray) -> None:
        self.shape: tuple[int, ...] = index.shape
        self.index = np.ascontiguousarray(index.reshape(-1), dtype=np.int64)
        self.count = self.index.size
        self.low = int(self.index.min()) if self.count else 0
        self.high = int(self.index.max()) + 1 if self.count else 0
        self.contiguous = bool(self.count and self.high - self.low == self.count and (np.diff(self.index) == 1).all())

    def part(self, selection: Any) -> Pattern:
        """The pattern of some rows of ``shape``."""
        return Pattern(self.index.reshape(self.shape)[selection])


@cache
def active_elements(mask: tuple[int, ...], width: int) -> np.ndarray:
    """Element numbers that a mask selects: ``(n,)`` is the first n, ``(high, low)`` are two 64-bit words."""
    if len(mask) == 1:
        return np.arange(mask[0])
    high, low = mask
    bits = [(low >> i) & 1 for i in range(64)] + [(high >> i) & 1 for i in range(64)]
    return np.flatnonzero(np.array(bits[:width]))


@cache
def touched_blocks(mask: tuple[int, ...], width: int, itemsize: int) -> tuple[int, ...]:
    """Numbers of the 32-byte blocks of one repeat in which a mask selects items of a size."""
    return tuple(int(b) for b in np.unique(active_elements(mask, width) // (BLOCK_BYTES // itemsize)))


@lru_cache(maxsize=4096)
def vector_pattern(
    mask: tuple[int, ...], width: int, itemsize: int, repeat: int, block_stride: int, repeat_stride: int
) -> Pattern:
    """Operand of a vector instruction.

    Element e of repeat r lies at ``r * repeat_stride`` blocks plus ``e // per_block * block_stride`` blocks plus
    ``e % per_block`` elements, a block being 32 bytes.

    Args:
        mask: see ``active_elements``.
        width: elements per repeat, set by the widest operand of the instruction.
        itemsize: bytes per element of this operand.
        repeat: number of repeats.
        block_stride: blocks between the starts of neighbouring blocks.
        repeat_stride: blocks between the starts of neighbouring repeats.
    """
    per_block = BLOCK_BYTES // itemsize
    element = active_elements(mask, width)
    within = element // per_block * (block_stride * per_block) + element % per_block
    return Pattern(np.arange(repeat)[:, None] * (repeat_stride * per_block) + within[None, :])


@lru_cache(maxsize=4096)
def result_pattern(repeat: int, per_repeat: int, stride: int) -> Pattern:
    """Destination of a reduction: ``per_repeat`` neighbouring elements every ``stride`` elements."""
    return Pattern(np.arange(repeat)[:, None] * stride + np.arange(per_repeat)[None, :])


@lru_cache(maxsize=4096)
def burst_pattern(bursts: int, units: int, gap: int, unit_elements: int, gap_elements: int | None = None) -> Pattern:
    """Operand of a data move: ``bursts`` runs of ``units`` units, ``gap`` units between the end of one and the next."""
    run = units * unit_elements
    step = run + gap * (unit_elements if gap_elements is None else gap_elements)
    return Pattern(np.arange(bursts)[:, None] * step + np.arange(run)[None, :])


@lru_cache(maxsize=1024)
def strided_pattern(count: int, step: int, run: int, start: int = 0) -> Pattern:
    """``count`` runs of ``run`` elements, ``step`` elements from start to start."""
    return Pattern(start + np.arange(count)[:, None] * step + np.arange(run)[None, :])


@lru_cache(maxsize=4096)
def _byte_sets(index: bytes, shape: tuple[int, ...], itemsize: int, unit: int, offset: int) -> np.ndarray:
    elements = np.frombuffer(index, dtype=np.int64).reshape(shape[0], -1)
    start = (elements + offset) * itemsize
    return (start[:, :, None] + np.arange(0, itemsize, unit)).reshape(shape[0], -1)


def byte_addresses(pattern: Pattern, itemsize: int, unit: int, offset: int) -> np.ndarray:
    """Byte addresses (multiples of ``unit``) that each repeat touches, shape (repeats, bytes // unit)."""
    return _byte_sets(pattern.index.tobytes(), pattern.shape, itemsize, unit, offset)
