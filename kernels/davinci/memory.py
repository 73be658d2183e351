"""Run-time memory: lanes, storage with its written map, and the unit through which instructions read and write.

A lane is one execution of the code at hand: a core, or a core together with the iterations of the loops that run
vectorised. Every storage has one row per lane of the place where its tensor was declared, and a map beside it with one
cell per item: 0 nothing wrote it, 1 defined, 2 poison (the hardware leaves the value undefined).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .errors import AlignmentError, BoundsError, PoisonError, UninitialisedError
from .instructions.patterns import BLOCK_BYTES, Pattern
from .instructions.table import join
from .overlap import feeds_itself
from .program import Allocation

if TYPE_CHECKING:
    from .instructions.table import Instruction, Plan
    from .state import State
    from .tensors import Tensor

UNWRITTEN, DEFINED, POISON = 0, 1, 2
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
        "bytes",
        "bytes_read",
        "clean",
        "lanes",
        "last_reader",
        "last_writer",
        "state",
        "touched",
    )

    def __init__(self, allocation: Allocation, lanes: Lanes | None, room: int = 0) -> None:
        self.allocation = allocation
        self.lanes = lanes
        rows = 1 if lanes is None else lanes.count
        self.bytes = -(-max(allocation.bytes, room) // BLOCK_BYTES) * BLOCK_BYTES
        raw = np.zeros((rows, self.bytes), np.uint8)
        self._views: dict[str, np.ndarray] = {"uint8": raw}
        self.state = np.zeros((rows, self.bytes // allocation.granularity), np.uint8)
        self._cells: dict[int, np.ndarray] = {1: self.state}
        self.clean = False
        self.bytes_read = 0
        self.touched = np.zeros(self.bytes // BLOCK_BYTES, bool) if lanes is None else None
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

    def limit(self, dtype: str, padded: bool) -> int:
        """Number of items: of the tensor, or with the padding to whole blocks."""
        return (self.bytes if padded else self.allocation.bytes) // np.dtype(dtype).itemsize


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


def _gather(data: np.ndarray, rows: Rows, offset: Any, pattern: Pattern) -> np.ndarray:
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
    return block.reshape((-1, *pattern.shape))


def _flat_starts(data: np.ndarray, rows: Rows, offset: np.ndarray) -> np.ndarray:
    if data.shape[0] == 1:
        return offset
    if rows is None:
        rows = np.arange(data.shape[0])
    return rows * data.shape[1] + offset


def _scatter(data: np.ndarray, rows: Rows, offset: Any, pattern: Pattern, values: Any) -> None:
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


class Unit:
    """Access to memory for one execution of an instruction over a set of lanes."""

    __slots__ = ("execution", "lanes")

    def __init__(self, execution: State, lanes: Lanes) -> None:
        self.execution = execution
        self.lanes = lanes

    def operand(self, name: str, tensor: Tensor, instruction: Instruction) -> Operand:
        """The tensor's storage and start for these lanes."""
        offset = self.execution.evaluate(tensor.offset, self.lanes, instruction.location)
        storage = self.execution.storage(tensor.allocation, instruction.location)
        return Operand(name, storage, tensor.dtype, offset, instruction)

    def check_operand(self, operand: Operand, pattern: Pattern, alignment: int, padded: bool) -> None:
        """Refuse a misaligned start or an access outside the tensor."""
        low, high = operand.bounds()
        limit = operand.storage.limit(operand.dtype, padded or "bounds" in self.execution.ignore)
        if low + pattern.low < 0 or high + pattern.high > limit:
            name = operand.storage.allocation.name
            touched = f"elements {low + pattern.low} to {high + pattern.high - 1}"
            raise operand.instruction.fail(
                BoundsError,
                f"{operand.name} touches {touched} of {name}, which has {limit}; shorten the access or enlarge the tensor",
            )
        if alignment > 1:
            itemsize = np.dtype(operand.dtype).itemsize
            wrong = np.asarray(operand.offset) * itemsize % alignment
            if wrong.any():
                start = int(np.atleast_1d(operand.offset)[np.argmax(np.atleast_1d(wrong) != 0)])
                raise operand.instruction.fail(
                    AlignmentError,
                    f"{operand.name} starts at element {start} of {operand.storage.allocation.name}, byte {start * itemsize}; "
                    f"it must be {alignment}-byte aligned",
                )

    def steps(self, plan: Plan, operands: dict[str, Operand], sources: Sequence[str]) -> Iterator[dict[str, Pattern]]:
        """The plan's patterns at once, or repeat by repeat when a repeat reads what an earlier one wrote."""
        if not feeds_itself(plan, operands, sources):
            yield plan.patterns
            return
        for r in range(plan.patterns["dst"].shape[0]):
            yield {name: pattern.part(slice(r, r + 1)) for name, pattern in plan.patterns.items()}

    def read_all(
        self, operands: dict[str, Operand], patterns: dict[str, Pattern], names: Sequence[str]
    ) -> tuple[list[np.ndarray], Rows]:
        """Several operands and the poison of their combination."""
        arrays, poison = [], None
        for name in names:
            array, bad = self.read(operands[name], patterns[name])
            arrays.append(array)
            poison = join(poison, bad)
        return arrays, poison

    def read(self, operand: Operand, pattern: Pattern, moves: bool = False) -> tuple[np.ndarray, Rows]:
        """Values of shape (lanes or 1, *pattern.shape), and which of them are poison (None when none is).

        A data move carries the state of a tensor's padding along; everything else refuses what nothing wrote.
        """
        storage = operand.storage
        rows = self.lanes.rows(storage.lanes)
        values = _gather(storage.view(operand.dtype), rows, operand.offset, pattern)
        if storage.lanes is None:
            storage.note_touch(operand, pattern, self.lanes.count)
            if storage.last_writer is not None:
                self.execution.note_read(self.lanes, operand, pattern)
        if storage.clean:
            return values, None
        cells, defined = storage.cells(operand.dtype)
        state = _gather(cells, rows, operand.offset, pattern)
        if (state == defined).all():
            storage.clean = pattern.count == cells.shape[1] and state.shape[0] == cells.shape[0]
            return values, None
        return values, self._poison(operand, pattern, state, moves)

    def _poison(self, operand: Operand, pattern: Pattern, state: np.ndarray, moves: bool) -> Rows:
        item = np.ascontiguousarray(state).view(np.uint8).reshape((*state.shape, -1))
        unwritten = (item == UNWRITTEN).any(axis=-1)
        if moves:
            limit = operand.storage.limit(operand.dtype, False)
            index = np.asarray(operand.offset).reshape(-1, *(1,) * len(pattern.shape)) + pattern.index.reshape(
                pattern.shape
            )
            unwritten_inside = unwritten & (index < limit)
        else:
            unwritten_inside = unwritten
        if unwritten_inside.any() and "uninitialised" not in self.execution.ignore:
            first = np.unravel_index(np.argmax(unwritten_inside), unwritten_inside.shape)
            starts = np.atleast_1d(operand.offset)
            element = int(starts[first[0] if starts.size > 1 else 0]) + int(
                pattern.index.reshape(pattern.shape)[first[1:]]
            )
            raise operand.instruction.fail(
                UninitialisedError,
                f"{operand.name} reads element {element} of {operand.storage.allocation.name}, which nothing wrote; "
                "fill the tensor first or shorten the access",
            )
        return (item != DEFINED).any(axis=-1)

    def write(self, operand: Operand, pattern: Pattern, values: np.ndarray, poison: Rows) -> None:
        """Store values of shape (lanes or 1, *pattern.shape), rounded to the operand's type."""
        storage = operand.storage
        data = storage.view(operand.dtype)
        rows = self.lanes.rows(storage.lanes)
        flat = values.reshape(values.shape[0], -1)
        if flat.dtype != data.dtype:
            flat = flat.astype(data.dtype)
        if storage.lanes is None:
            self._check_poison(operand, pattern, poison)
            self.execution.note_write(self.lanes, operand, pattern)
        _scatter(data, rows, operand.offset, pattern, flat)
        if storage.clean and poison is None:
            return
        self._mark(operand, pattern, rows, poison)

    def _mark(self, operand: Operand, pattern: Pattern, rows: Rows, poison: Rows) -> None:
        storage = operand.storage
        cells, defined = storage.cells(operand.dtype)
        if poison is None:
            _scatter(cells, rows, operand.offset, pattern, cells.dtype.type(defined))
            whole = pattern.contiguous and pattern.count == cells.shape[1] and rows is None
            storage.clean = whole or storage.clean
            return
        storage.clean = False
        state = np.where(poison, cells.dtype.type(POISON * defined), cells.dtype.type(defined))
        _scatter(
            cells,
            rows,
            operand.offset,
            pattern,
            np.broadcast_to(state, (state.shape[0], *pattern.shape)).reshape(state.shape[0], -1),
        )

    def _check_poison(self, operand: Operand, pattern: Pattern, poison: Rows) -> None:
        if poison is not None and poison.any():
            limit = operand.storage.limit(operand.dtype, False)
            index = np.asarray(operand.offset).reshape(-1, *(1,) * len(pattern.shape)) + pattern.index.reshape(
                pattern.shape
            )
            inside = poison & (index < limit)
            if inside.any() and "poison" not in self.execution.ignore:
                first = np.unravel_index(np.argmax(inside), inside.shape)
                element = int(np.broadcast_to(index, inside.shape)[first])
                raise operand.instruction.fail(
                    PoisonError,
                    f"element {element} of {operand.storage.allocation.name} would receive an undefined value "
                    "(unwritten memory or the padding of a matrix tile); store only the defined part",
                )

    def add_atomically(self, operand: Operand, pattern: Pattern, values: np.ndarray, poison: Rows) -> None:
        """Add to global memory, lane after lane."""
        self._check_poison(operand, pattern, poison)
        self.execution.note_atomic(self.lanes, operand, pattern)
        data = operand.storage.view(operand.dtype)[0]
        index = np.atleast_1d(operand.offset)[:, None] + pattern.index
        shape = (self.lanes.count, pattern.count)
        np.add.at(data, np.broadcast_to(index, shape), np.broadcast_to(values.reshape(values.shape[0], -1), shape))

    def column(self, value: Any, dtype: str, dimensions: int) -> np.ndarray:
        """A scalar operand as an array of shape (lanes or 1, 1, ...)."""
        return np.asarray(value).astype(dtype).reshape((-1, *(1,) * dimensions))
