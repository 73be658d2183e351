"""The unit through which an instruction reads and writes: bounds, alignment, poison, and the race check's news."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import AlignmentError, BoundsError, Location
from ..instructions.allocation import Allocation
from ..instructions.patterns import Pattern
from ..instructions.table import Instruction, Plan, join
from ..instructions.tensors import Tensor
from .memory import DEFINED, POISON, UNWRITTEN, Lanes, Operand, Rows, Storage, gather, scatter
from .overlap import feeds_itself
from .races import Stored


class Memory(Protocol):
    """What the unit needs of the run; ``State`` is one."""

    ignore: set[str]

    def evaluate(self, value: Any, lanes: Lanes, location: Location | None = None) -> Any:
        """A number or expression for these lanes."""

    def storage(self, allocation: Allocation, location: Location | None = None) -> Storage:
        """The memory of a tensor at this moment."""

    def note_read(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about a read of global memory."""

    def note_write(self, lanes: Lanes, operand: Operand, pattern: Pattern, stored: Stored) -> None:
        """Tell the race check about a write to global memory."""

    def note_atomic(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about an atomic add to global memory."""


class Unit:
    """Access to memory for one execution of an instruction over a set of lanes."""

    __slots__ = ("execution", "lanes")

    def __init__(self, execution: Memory, lanes: Lanes) -> None:
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
        unchecked = "bounds" in self.execution.ignore
        if unchecked and operand.storage.lanes is None and operand.instruction.is_read(operand.name) and low >= 0:
            return
        padded = padded or unchecked
        limit = operand.storage.limit(operand.dtype, padded, behind=padded)
        if low + pattern.low < 0 or high + pattern.high > limit:
            name = operand.storage.allocation.name
            touched = f"elements {low + pattern.low} to {high + pattern.high - 1}"
            limit = operand.storage.limit(operand.dtype, padded)
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

    def read(self, operand: Operand, pattern: Pattern) -> tuple[np.ndarray, Rows]:
        """Values of shape (lanes or 1, *pattern.shape), and which of them are poison (None when none is)."""
        storage = operand.storage
        rows = self.lanes.rows(storage.lanes)
        if storage.lanes is None and operand.bounds()[1] + pattern.high > storage.limit(
            operand.dtype, True, behind=True
        ):
            return self._read_past_the_end(operand, pattern)
        values = gather(storage.view(operand.dtype), rows, operand.offset, pattern)
        clean = storage.clean
        if storage.lanes is None:
            storage.note_touch(operand, pattern, self.lanes.count)
            if storage.last_writer is not None:
                self.execution.note_read(self.lanes, operand, pattern)
            clean = clean and operand.bounds()[1] + pattern.high <= storage.limit(operand.dtype, True)
        if clean:
            return values, None
        cells, defined = storage.cells(operand.dtype)
        state = gather(cells, rows, operand.offset, pattern)
        if (state == defined).all():
            storage.clean = pattern.count == cells.shape[1] and state.shape[0] == cells.shape[0]
            return values, None
        item = np.ascontiguousarray(state).view(np.uint8).reshape((*state.shape, -1))
        return values, (item != DEFINED).any(axis=-1)

    @staticmethod
    def _read_past_the_end(operand: Operand, pattern: Pattern) -> tuple[np.ndarray, Rows]:
        """A read whose bounds are not checked: what lies past the end of global memory is undefined."""
        cells, defined = operand.storage.cells(operand.dtype)
        index = np.atleast_1d(operand.offset)[:, None] + pattern.index
        inside = np.minimum(index, cells.shape[1] - 1)
        poison = (cells[0, inside] != defined) | (index != inside)
        values = operand.storage.view(operand.dtype)[0, inside]
        return values.reshape(-1, *pattern.shape), poison.reshape(-1, *pattern.shape)

    def unwritten(self, operand: Operand, pattern: Pattern) -> bool:
        """Whether nothing wrote some of the elements."""
        rows = self.lanes.rows(operand.storage.lanes)
        state = gather(operand.storage.cells(operand.dtype)[0], rows, operand.offset, pattern)
        return bool((np.ascontiguousarray(state).view(np.uint8) == UNWRITTEN).any())

    def read_bits(self, operand: Operand, pattern: Pattern) -> tuple[np.ndarray, Rows]:
        """Items of a bit mask, and as a second mask which of their bits are poison."""
        values, poison = self.read(operand, pattern)
        if poison is None:
            return values, None
        every = values.dtype.type(np.iinfo(values.dtype).max)
        if operand.storage.poison_bits is None:
            return values, np.where(poison, every, values.dtype.type(0))
        bits = gather(
            operand.storage.bits(operand.dtype), self.lanes.rows(operand.storage.lanes), operand.offset, pattern
        )
        return values, np.where(poison & (bits == 0), every, bits)

    def write_bits(self, operand: Operand, pattern: Pattern, values: np.ndarray, poison: Rows) -> None:
        """Store items of a bit mask; the bits of ``poison`` say which of them are."""
        self.write(operand, pattern, values, None if poison is None else poison != 0)
        if poison is not None:
            rows, bits = self.lanes.rows(operand.storage.lanes), operand.storage.bits(operand.dtype)
            scatter(bits, rows, operand.offset, pattern, poison.reshape(poison.shape[0], -1))

    def write(self, operand: Operand, pattern: Pattern, values: np.ndarray, poison: Rows) -> None:
        """Store values of shape (lanes or 1, *pattern.shape), rounded to the operand's type."""
        storage = operand.storage
        data = storage.view(operand.dtype)
        rows = self.lanes.rows(storage.lanes)
        flat = values.reshape(values.shape[0], -1)
        if flat.dtype != data.dtype:
            flat = flat.astype(data.dtype)
        watched = storage.lanes is None and storage.last_writer is not None
        old = gather(data, rows, operand.offset, pattern).copy() if watched else None
        scatter(data, rows, operand.offset, pattern, flat)
        if old is not None:
            parts = (x.reshape(x.shape[0], -1) for x in (old, flat, gather(data, rows, operand.offset, pattern)))
            self.execution.note_write(self.lanes, operand, pattern, Stored.between(*parts))
        if storage.clean and poison is None:
            return
        self._mark(operand, pattern, rows, poison)

    def _mark(self, operand: Operand, pattern: Pattern, rows: Rows, poison: Rows) -> None:
        storage = operand.storage
        cells, defined = storage.cells(operand.dtype)
        if poison is None:
            scatter(cells, rows, operand.offset, pattern, cells.dtype.type(defined))
            whole = pattern.contiguous and pattern.count == cells.shape[1] and rows is None
            storage.clean = whole or storage.clean
            return
        storage.clean = False
        if storage.lanes is None and poison.any():
            storage.note_poison(operand, pattern, poison)
        if storage.poison_bits is not None:  # a mask that is overwritten by something else has no known bits
            scatter(
                storage.bits(operand.dtype),
                rows,
                operand.offset,
                pattern,
                np.zeros((), storage.bits(operand.dtype).dtype),
            )
        state = np.where(poison, cells.dtype.type(POISON * defined), cells.dtype.type(defined))
        scatter(
            cells,
            rows,
            operand.offset,
            pattern,
            np.broadcast_to(state, (state.shape[0], *pattern.shape)).reshape(state.shape[0], -1),
        )

    def add_atomically(self, operand: Operand, pattern: Pattern, values: np.ndarray, poison: Rows) -> None:
        """Add to global memory, lane after lane."""
        self.execution.note_atomic(self.lanes, operand, pattern)
        data = operand.storage.view(operand.dtype)[0]
        index = np.atleast_1d(operand.offset)[:, None] + pattern.index
        shape = (self.lanes.count, pattern.count)
        np.add.at(data, np.broadcast_to(index, shape), np.broadcast_to(values.reshape(values.shape[0], -1), shape))
        if poison is not None and poison.any():
            bad = np.broadcast_to(poison.reshape(poison.shape[0], -1), shape)
            cells, defined = operand.storage.cells(operand.dtype)
            cells[0, np.broadcast_to(index, shape)[bad]] = POISON * defined
            operand.storage.clean = False
            operand.storage.note_poison(operand, pattern, poison)

    def column(self, value: Any, dtype: str, dimensions: int) -> np.ndarray:
        """A scalar operand as an array of shape (lanes or 1, 1, ...)."""
        return np.asarray(value).astype(dtype).reshape((-1, *(1,) * dimensions))
