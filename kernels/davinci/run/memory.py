"""Run-time memory: lanes, and storage with its written map.

A lane is one execution of the code at hand: a core, or a core together with the iterations of the loops that run
vectorised. Every storage has one row per lane of the place where its tensor was declared, and a map beside it with one
cell per item: 0 nothing wrote it, 1 defined, 2 poison (the hardware leaves the value undefined). What nothing wrote reads
as poison; its bytes are ``FILL``, which no kernel takes for a number by accident (NaN, -1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from ..errors import Location
from ..instructions.allocation import Allocation
from ..instructions.patterns import BLOCK_BYTES, Pattern
from ..instructions.table import Instruction

UNWRITTEN, DEFINED, POISON = 0, 1, 2
FILL = 0xFF
BEHIND = BLOCK_BYTES  # the allocator of global memory adds a block behind each tensor
Rows = Optional[np.ndarray]


class Lanes:
    """A set of lanes, derived from a parent by selecting or repeating its lanes."""

    __slots__ = ("_rows", "count", "index", "parent", "values")

    def __init__(self, count: int, parent: Lanes | None = None, index: Rows = None) -> None:
        self.count = count
        self.parent = parent
        self.index = index
        self.values: dict[int, Any] = {}
        self._rows: dict[int, Rows] = {}

    def select(self, index: np.ndarray) -> Lanes:
        """Lanes that are copies of this set's lanes ``index``."""
        return Lanes(len(index), self, index)

    def rows(self, ancestor: Lanes | None) -> Rows:
        """Per lane the number of the lane of ``ancestor`` that it comes from; None when they are the same."""
        if ancestor is self:
            return None
        key = id(ancestor)
        if key not in self._rows:
            if ancestor is None:
                self._rows[key] = np.zeros(self.count, np.int64)
            else:
                assert self.parent is not None, "the lanes do not descend from where the memory was declared"
                above = self.parent.rows(ancestor)
                self._rows[key] = self.index if above is None else above[self.index]
        return self._rows[key]

    def value(self, identifier: int) -> Any:
        """A loop variable's value: an integer, or one per lane."""
        if identifier in self.values:
            return self.values[identifier]
        if self.parent is None:
            raise KeyError(identifier)
        value = self.parent.value(identifier)
        return value[self.index] if isinstance(value, np.ndarray) else value


class Storage:
    """The bytes of one allocation for a set of lanes; ``lanes`` None means global memory, which all lanes share."""

    __slots__ = (
        "_cells",
        "_views",
        "allocation",
        "blame",
        "bytes",
        "bytes_read",
        "clean",
        "culprits",
        "lanes",
        "last_reader",
        "last_writer",
        "own",
        "poison_bits",
        "state",
        "touched",
    )

    def __init__(self, allocation: Allocation, lanes: Lanes | None, room: int = 0) -> None:
        """``room``: bytes of the caller's array in global memory, or of a local tensor whose bounds are not checked."""
        self.allocation = allocation
        self.lanes = lanes
        rows = 1 if lanes is None else lanes.count
        self.own = room if lanes is None and room else allocation.bytes
        self.bytes = -(-max(self.own, room) // BLOCK_BYTES) * BLOCK_BYTES
        held = self.bytes + (BEHIND if lanes is None else 0)
        raw = np.full((rows, held), FILL, np.uint8)
        self._views: dict[str, np.ndarray] = {"uint8": raw}
        self.state = np.zeros((rows, held // allocation.granularity), np.uint8)
        self._cells: dict[int, np.ndarray] = {1: self.state}
        self.clean = False
        self.bytes_read = 0
        self.poison_bits: np.ndarray | None = None
        self.blame: np.ndarray | None = None
        self.culprits: list[Location] = []
        self.touched = np.zeros(held // BLOCK_BYTES, bool) if lanes is None else None
        self.last_writer: np.ndarray | None = None
        self.last_reader: np.ndarray | None = None

    def view(self, dtype: str) -> np.ndarray:
        """The content as items of a type, one row per lane."""
        if dtype not in self._views:
            self._views[dtype] = self._views["uint8"].view(dtype)
        return self._views[dtype]

    def cells(self, dtype: str) -> tuple[np.ndarray, int]:
        """The written map in steps of one item of a type, and the cell value that means wholly defined."""
        ratio = np.dtype(dtype).itemsize // self.allocation.granularity
        if ratio not in self._cells:
            self._cells[ratio] = self.state.view(f"uint{8 * ratio}")
        return self._cells[ratio], int.from_bytes(b"\x01" * ratio, "little")

    def bits(self, dtype: str) -> np.ndarray:
        """Which bits of a mask are poison, as items of a type; made on first use."""
        if self.poison_bits is None:
            self.poison_bits = np.zeros_like(self._views["uint8"])
        return self.poison_bits.view(dtype)

    def note_poison(self, operand: Operand, pattern: Pattern, poison: np.ndarray) -> None:
        """Remember which line stored poison into global memory."""
        if self.blame is None:
            self.blame = np.zeros(self.state.shape[1], np.int32)
        if not self.culprits or self.culprits[-1] != operand.instruction.location:
            self.culprits.append(operand.instruction.location)
        index = np.atleast_1d(operand.offset)[:, None] + pattern.index
        index, bad = np.broadcast_arrays(index, poison.reshape(poison.shape[0], -1))
        ratio = np.dtype(operand.dtype).itemsize // self.allocation.granularity
        for part in range(ratio):
            self.blame[index[bad] * ratio + part] = len(self.culprits) - 1

    def note_touch(self, operand: Operand, pattern: Pattern, lanes: int) -> None:
        """Remember which blocks of global memory were read, for the share that comes from HBM."""
        per_block = BLOCK_BYTES // np.dtype(operand.dtype).itemsize
        self.bytes_read += pattern.count * np.dtype(operand.dtype).itemsize * lanes
        assert self.touched is not None
        if not self.touched.all():
            blocks = pattern.index[:: per_block // 2 or 1]
            self.touched[(np.atleast_1d(operand.offset)[:, None] + blocks) // per_block] = True

    def reuse(self) -> Reuse:
        """How much of the tensor was read, and how much of that for the first time."""
        assert self.touched is not None
        return Reuse(self.bytes, self.bytes_read, min(self.bytes_read, int(self.touched.sum()) * BLOCK_BYTES))

    def limit(self, dtype: str, padded: bool, behind: bool = False) -> int:
        """Number of items: of the tensor, or with the padding to whole blocks, and with what lies behind that."""
        extra = BEHIND if behind and self.lanes is None else 0
        return (self.bytes + extra if padded else self.own) // np.dtype(dtype).itemsize


@dataclass(frozen=True)
class Reuse:
    """Reads of one tensor in global memory, in bytes: its size, all reads, and first reads (which come from HBM)."""

    size: int
    read: int
    first_read: int


class Operand:
    """A tensor operand of one execution: storage, type and start (an integer, or one per lane)."""

    __slots__ = ("dtype", "instruction", "name", "offset", "storage")

    def __init__(self, name: str, storage: Storage, dtype: str, offset: Any, instruction: Instruction) -> None:
        self.name = name
        self.storage = storage
        self.dtype = dtype
        self.offset = offset
        self.instruction = instruction

    def bounds(self) -> tuple[int, int]:
        """Smallest and largest start over the lanes."""
        if isinstance(self.offset, np.ndarray):
            return int(self.offset.min()), int(self.offset.max())
        return self.offset, self.offset


def gather(data: np.ndarray, rows: Rows, offset: Any, pattern: Pattern) -> np.ndarray:
    """The elements of a pattern from ``offset`` on, shape (lanes or 1, *pattern.shape)."""
    if not isinstance(offset, np.ndarray):
        if pattern.contiguous:
            start = offset + pattern.low
            block = data[:, start : start + pattern.count]
            block = block if rows is None or data.shape[0] == 1 else block[rows]
        elif rows is None or data.shape[0] == 1:
            block = data.take(pattern.index + offset, axis=1)
        else:
            block = data.take((rows * data.shape[1] + offset)[:, None] + pattern.index)
    else:
        block = data.take(_flat_starts(data, rows, offset)[:, None] + pattern.index)
    return block.reshape((len(block), *pattern.shape))


def _flat_starts(data: np.ndarray, rows: Rows, offset: np.ndarray) -> np.ndarray:
    if data.shape[0] == 1:
        return offset
    if rows is None:
        rows = np.arange(data.shape[0])
    return rows * data.shape[1] + offset


def scatter(data: np.ndarray, rows: Rows, offset: Any, pattern: Pattern, values: Any) -> None:
    """Store the elements of a pattern from ``offset`` on; later lanes store later."""
    if not isinstance(offset, np.ndarray):
        if pattern.contiguous:
            start = offset + pattern.low
            where: Any = slice(start, start + pattern.count)
        else:
            where = pattern.index + offset
        if rows is None:
            data[:, where] = values
        elif data.shape[0] == 1:
            data[0, where] = values[-1] if isinstance(values, np.ndarray) else values
        elif pattern.contiguous:
            data[rows, where] = values
        else:
            data[rows[:, None], where] = values
    else:
        flat = _flat_starts(data, rows, offset)[:, None] + pattern.index
        data.reshape(-1)[flat] = values
