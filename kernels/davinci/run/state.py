"""What a run knows: global memory, the storages of local tensors, and the values of registers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, Location, PoisonError, ScopeError, UninitialisedError
from ..instructions.allocation import Allocation
from ..instructions.expressions import FLOAT_TYPES, Expression
from ..instructions.patterns import Pattern, result_pattern
from ..instructions.program import Assign, KernelProgram
from ..instructions.tensors import Tensor
from . import races
from .memory import DEFINED, Lanes, Operand, Reuse, Storage
from .unit import Unit


class Register:
    """A scalar's value for the lanes that declared it: one number, or one per lane; ``defined`` likewise."""

    __slots__ = ("defined", "lanes", "value")

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.value: Any = 0
        self.defined: Any = False


class State:
    """Memory and registers of one run.

    Args:
        program: the traced program.
        ignore: names of checks to skip ("uninitialised", "poison", "bounds").
    """

    def __init__(self, program: KernelProgram, ignore: Iterable[str] = ()) -> None:
        self.program = program
        self.ignore = set(ignore)
        self.arguments: dict[int, Any] = {}
        self._storages: dict[int, Storage] = {}
        self._registers: dict[int, Register] = {}
        self._cores = Lanes(0)
        self._core_numbers = np.zeros(0, np.int64)

    def place(
        self, allocation: Allocation, size: int, content: np.ndarray | None, writable: bool, also_reads: bool
    ) -> Storage:
        """Put a tensor into global memory, with content or unwritten; ``size``: elements of the caller's array."""
        storage = Storage(allocation, None, size * np.dtype(allocation.dtype).itemsize)
        flat = np.zeros(0) if content is None else np.ascontiguousarray(content).reshape(-1)
        if content is not None:
            storage.view(allocation.dtype)[0, : flat.size] = flat
            storage.state[0, : flat.nbytes // allocation.granularity] = DEFINED
            storage.clean = flat.nbytes == storage.bytes
        if writable and self.program.block_num > 1 and "races" not in self.ignore:
            races.watch(storage, also_reads)
        self._storages[allocation.identifier] = storage
        return storage

    def lay(self, allocation: Allocation, below: Allocation) -> None:
        """Let a tensor in global memory be stored over another one."""
        storage = self._storages[below.identifier]
        if (allocation.granularity, allocation.bytes) != (below.granularity, below.bytes):
            raise ArgumentError(
                f"{allocation.name} ({allocation.bytes} B of {allocation.dtype}) cannot lie on {below.name} ({below.bytes} B of "
                f"{below.dtype}); in place, both have one size and type"
            )
        self._storages[allocation.identifier] = storage

    def storage(self, allocation: Allocation, location: Location | None = None) -> Storage:
        """The memory of a tensor at this moment."""
        try:
            return self._storages[allocation.identifier]
        except KeyError:
            raise ScopeError(
                f"{allocation.name} has no memory here; a tensor in global memory must be an input, an output or a workspace",
                location,
            ) from None

    def reuse(self) -> dict[int, Reuse]:
        """Per global tensor that was read, how much of it for the first time."""
        return {key: s.reuse() for key, s in self._storages.items() if s.lanes is None and s.bytes_read}

    def note_read(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about a read of global memory."""
        races.note_read(operand, pattern, self._cores_of(lanes))

    def note_write(self, lanes: Lanes, operand: Operand, pattern: Pattern, stored: races.Stored) -> None:
        """Tell the race check about a write to global memory."""
        races.note_write(operand, pattern, self._cores_of(lanes), stored)

    def note_atomic(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about an atomic add to global memory."""
        if operand.storage.last_writer is not None:
            races.note_atomic(operand, pattern, self._cores_of(lanes))

    def _cores_of(self, lanes: Lanes) -> np.ndarray:
        rows = lanes.rows(self._cores)
        return self._core_numbers if rows is None else self._core_numbers[rows]

    def evaluate(self, value: Any, lanes: Lanes, location: Location | None = None) -> Any:
        """A number or expression for these lanes: one number, or an array with one per lane."""
        if not isinstance(value, Expression):
            return value
        try:
            result = value.evaluate(lambda identifier: self.lookup(identifier, lanes, location))
        except KeyError:
            raise ScopeError("a loop variable is used outside its loop", location) from None
        if isinstance(result, np.ndarray) and result.ndim and lanes.count == 1:
            return result[0].item() if result.dtype.kind in "iub" else result[0]
        return result

    def lookup(self, identifier: int, lanes: Lanes, location: Location | None = None) -> Any:
        """A loop variable or register for these lanes."""
        register = self._registers.get(identifier)
        if register is None:
            return lanes.value(identifier)
        rows = lanes.rows(register.lanes)
        defined = register.defined if isinstance(register.defined, bool) or rows is None else register.defined[rows]
        if defined is not True and not np.all(defined):
            raise UninitialisedError(
                "an expression reads a scalar that has no value yet; give it init_value or set_as first", location
            )
        return register.value[rows] if isinstance(register.value, np.ndarray) and rows is not None else register.value

    def assign(self, node: Assign, lanes: Lanes) -> None:
        """``set_as``: give a register its value for some lanes."""
        if isinstance(node.value, Tensor):
            value = self._element(node, lanes)
        else:
            value = _typed(self.evaluate(node.value, lanes, node.location), node.scalar.dtype)
        register = self._registers.get(node.scalar.identifier)
        if register is None:
            raise ScopeError(f"scalar {node.scalar.name} is used outside the scope that declared it", node.location)
        rows = lanes.rows(register.lanes)
        if rows is None:
            register.value, register.defined = value, True
            return
        count = register.lanes.count
        full = np.array(np.broadcast_to(np.asarray(register.value, dtype=_array_type(node.scalar.dtype)), (count,)))
        defined = np.array(np.broadcast_to(register.defined, (count,)))
        full[rows], defined[rows] = value, True
        register.value, register.defined = full, defined

    def _element(self, node: Assign, lanes: Lanes) -> Any:
        unit = Unit(self, lanes)
        entry = _ElementRead(node)
        operand = unit.operand("src", node.value, entry)  # type: ignore[arg-type]
        pattern = result_pattern(1, 1, 1)
        unit.check_operand(operand, pattern, 1, False)
        values, poison = unit.read(operand, pattern)
        if poison is not None and poison.any():
            self._refuse_poison(node, unit.unwritten(operand, pattern))
        flat = values.flatten()  # a copy: what is written to memory later must not change the scalar
        if flat.dtype != node.scalar.dtype:
            flat = flat.astype(node.scalar.dtype)
        if flat.size == 1:
            return flat[0] if node.scalar.dtype in FLOAT_TYPES else int(flat[0])
        return flat if node.scalar.dtype in FLOAT_TYPES else flat.astype(np.int64)

    def _refuse_poison(self, node: Assign, unwritten: bool) -> None:
        what = f"scalar {node.scalar.name} reads"
        if unwritten and "uninitialised" not in self.ignore:
            raise UninitialisedError(
                f"{what} an element of {node.value.name} that nothing wrote; fill the tensor first", node.location
            )
        if not unwritten and "poison" not in self.ignore:
            raise PoisonError(
                f"{what} an undefined value from {node.value.name} (from unwritten memory, the padding of a tensor or of "
                "a matrix tile); read only the defined part",
                node.location,
            )


class _ElementRead:
    """Stands for ``set_as`` from a tensor where an instruction is expected: it knows its line."""

    def __init__(self, node: Assign) -> None:
        self.location = node.location

    def fail(self, kind: Callable[[str, Location], Exception], sentence: str) -> Exception:
        """An error at the assignment's line."""
        return kind(f"set_as: {sentence}", self.location)


def _typed(value: Any, dtype: str) -> Any:
    if dtype in FLOAT_TYPES:
        return np.asarray(value).astype(dtype)[()]
    if isinstance(value, np.ndarray):
        return value.astype(dtype).astype(np.int64)
    return int(np.array(int(value) & (2 ** (8 * np.dtype(dtype).itemsize) - 1), np.uint64).astype(dtype))


def _array_type(dtype: str) -> str:
    return dtype if dtype in FLOAT_TYPES else "int64"
