"""Running a program: lanes walk the traced nodes, instructions act on all of them at once."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

import numpy as np

from . import races
from .banks import conflict
from .errors import LimitError, Location, PoisonError, ScopeError, UninitialisedError
from .expressions import FLOAT_TYPES, Expression
from .independence import independent, lanes_at_once
from .instructions.patterns import Pattern, result_pattern
from .instructions.table import Instruction, Integers
from .machine import Machine
from .memory import DEFINED, Lanes, Operand, Storage, Unit
from .program import Allocation, Assign, Barrier, Block, Branch, Declare, DeclareScalar, Jump, KernelProgram, Loop, REGISTER
from .records import Chunk, Iterations, Operation, Record, ScalarOperation, Subset, Wait
from .tensors import Tensor

CORE_MEMORY_BUDGET = 1 << 28


class Register:
    """A scalar's value for the lanes that declared it: one number, or one per lane; ``defined`` likewise."""

    __slots__ = ("defined", "lanes", "value")

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.value: Any = 0
        self.defined: Any = False


class Execution:
    """One run of a program on all its cores.

    Args:
        program: the traced program.
        ignore: names of checks to skip ("uninitialised", "poison", "bounds").
    """

    def __init__(self, program: KernelProgram, ignore: Iterable[str] = ()) -> None:
        self.program = program
        self.ignore: Set[str] = set(ignore)
        self.records: List[Tuple[np.ndarray, List[Record]]] = []
        self._storages: Dict[int, Storage] = {}
        self._registers: Dict[int, Register] = {}
        self.arguments: Dict[int, Any] = {}
        self._loops: List[Tuple[Lanes, np.ndarray]] = []
        self._returned: Optional[np.ndarray] = None
        self._cores: Lanes = Lanes(0)
        self._core_numbers = np.zeros(0, np.int64)
        self._handlers: Dict[type, Callable[[Any, Lanes, List[Record]], Optional[Lanes]]] = {
            Instruction: self._instruction, Loop: self._loop, Branch: self._branch, Assign: self._assign, Declare: self._declare,
            DeclareScalar: self._declare_scalar, Jump: self._jump, Barrier: self._barrier,
        }

    # Global memory --------------------------------------------------------------------------------------------------

    def place(self, allocation: Allocation, content: Optional[np.ndarray], writable: bool, also_reads: bool) -> Storage:
        """Put a tensor into global memory, with content or unwritten."""
        storage = Storage(allocation, None)
        if content is not None:
            flat = np.ascontiguousarray(content).reshape(-1)
            storage.view(allocation.dtype)[0, : flat.size] = flat
            storage.state[0, : storage.limit(allocation.dtype, False) * flat.itemsize // allocation.granularity] = DEFINED
            storage.clean = allocation.bytes == storage.bytes
        if writable and self.program.block_num > 1:
            races.watch(storage, also_reads)
        self._storages[allocation.identifier] = storage
        return storage

    def storage(self, allocation: Allocation, location: Optional[Location] = None) -> Storage:
        """The memory of a tensor at this moment."""
        try:
            return self._storages[allocation.identifier]
        except KeyError:
            raise ScopeError(
                f"{allocation.name} has no memory here; a tensor in global memory must be an input, an output or a workspace", location
            ) from None

    def reuse(self) -> Dict[int, Tuple[int, float]]:
        """Per global tensor that was read: its bytes, and the part of all bytes read that were read for the first time."""
        return {key: s.reuse() for key, s in self._storages.items() if s.lanes is None and s.bytes_read}

    def note_read(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about a read of global memory."""
        races.note_read(operand, pattern, self._cores_of(lanes))

    def note_write(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about a write to global memory."""
        if operand.storage.last_writer is not None:
            races.note_write(operand, pattern, self._cores_of(lanes))

    def note_atomic(self, lanes: Lanes, operand: Operand, pattern: Pattern) -> None:
        """Tell the race check about an atomic add to global memory."""
        if operand.storage.last_writer is not None:
            races.note_atomic(operand, pattern, self._cores_of(lanes))

    def _cores_of(self, lanes: Lanes) -> np.ndarray:
        rows = lanes.rows(self._cores)
        return self._core_numbers if rows is None else self._core_numbers[rows]

    # Values ---------------------------------------------------------------------------------------------------------

    def evaluate(self, value: Any, lanes: Lanes, location: Optional[Location] = None) -> Any:
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

    def lookup(self, identifier: int, lanes: Lanes, location: Optional[Location] = None) -> Any:
        """A loop variable or register for these lanes."""
        register = self._registers.get(identifier)
        if register is None:
            return lanes.value(identifier)
        rows = lanes.rows(register.lanes)
        defined = register.defined if isinstance(register.defined, bool) or rows is None else register.defined[rows]
        if defined is not True and not np.all(defined):
            raise UninitialisedError("an expression reads a scalar that has no value yet; give it init_value or set_as first", location)
        return register.value[rows] if isinstance(register.value, np.ndarray) and rows is not None else register.value

    def _assign(self, node: Assign, lanes: Lanes, records: List[Record]) -> None:
        if isinstance(node.value, Tensor):
            value = self._element(node, lanes)
        else:
            value = _typed(self.evaluate(node.value, lanes, node.location), node.scalar.dtype)
        records.append(ScalarOperation(node))
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
        if poison is not None and poison.any() and "poison" not in self.ignore:
            raise PoisonError(f"scalar {node.scalar.name} reads an undefined value from {node.value.name}", node.location)
        flat = values.reshape(-1)
        if flat.size == 1:
            return flat[0] if node.scalar.dtype in FLOAT_TYPES else int(flat[0])
        return flat if node.scalar.dtype in FLOAT_TYPES else flat.astype(np.int64)

    # Nodes ----------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the program on every core, as many cores together as memory allows."""
        count = self.program.block_num
        step = count if _contains(self.program.body, Barrier) else max(1, min(count, CORE_MEMORY_BUDGET // _local_bytes(self.program)))
        for first in range(0, count, step):
            numbers = np.arange(first, min(first + step, count))
            self._cores, self._core_numbers = Lanes(len(numbers)), numbers
            self._cores.values.update(self.arguments)
            self._returned = np.zeros(len(numbers), bool)
            records: List[Record] = []
            with np.errstate(all="ignore"):
                self._block(self.program.body, self._cores, records)
            self.records.append((numbers, records))

    def _block(self, block: Block, lanes: Lanes, records: List[Record]) -> Lanes:
        """Run nodes in order; the result are the lanes that reach the end (breaks and returns drop out)."""
        for node in block.nodes:
            left = self._handlers[type(node)](node, lanes, records)
            if left is not None and left is not lanes:
                inner: List[Record] = []
                records.append(Subset(left.rows(lanes), inner))  # type: ignore[arg-type]
                lanes, records = left, inner
                if not lanes.count:
                    break
        return lanes

    def _declare(self, node: Declare, lanes: Lanes, records: List[Record]) -> None:
        room = self._room(node.allocation) if "bounds" in self.ignore else 0
        storage = Storage(node.allocation, lanes, room)
        if node.allocation.initial is not None:
            values = np.array(node.allocation.initial, node.allocation.dtype)
            storage.view(node.allocation.dtype)[:, : node.allocation.size] = values
            storage.state[:] = DEFINED
        self._storages[node.allocation.identifier] = storage

    @staticmethod
    def _room(allocation: Allocation) -> int:
        """Bytes of a tensor whose bounds are not checked: as if the rest of its buffer were its own."""
        return allocation.bytes if allocation.scope == REGISTER else Machine().capacity(allocation.scope)

    def _declare_scalar(self, node: DeclareScalar, lanes: Lanes, records: List[Record]) -> None:
        self._registers[node.scalar.identifier] = Register(lanes)

    def _instruction(self, node: Instruction, lanes: Lanes, records: List[Record]) -> None:
        if node.fixed:
            records_of = self._execute(node, node.integers, lanes)
        else:
            integers = {name: self._integer(value, lanes, node) for name, value in node.integers.items()}
            varying = [name for name, value in integers.items() if _varies(value)]
            if varying:
                self._grouped(node, integers, lanes, records)
                return
            records_of = self._execute(node, {n: _plain(v) for n, v in integers.items()}, lanes)
        if records_of is not None:
            records.append(records_of)

    def _integer(self, value: Any, lanes: Lanes, node: Instruction) -> Any:
        if isinstance(value, tuple):
            return tuple(self.evaluate(v, lanes, node.location) for v in value)
        return self.evaluate(value, lanes, node.location)

    def _grouped(self, node: Instruction, integers: Integers, lanes: Lanes, records: List[Record]) -> None:
        """Lanes that disagree about an integer run in groups that agree."""
        columns = {n: np.broadcast_to(v, (lanes.count,)) for n, v in integers.items() if not isinstance(v, tuple)}
        rows = np.stack(list(columns.values()), axis=1)
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        for group, row in enumerate(distinct):
            index = np.flatnonzero(inverse.reshape(-1) == group)
            chosen = {**integers, **{n: int(v) for n, v in zip(columns, row)}}
            record = self._execute(node, chosen, lanes.select(index))
            if record is not None:
                records.append(Subset(index, [record]))

    def _execute(self, node: Instruction, integers: Integers, lanes: Lanes) -> Optional[Operation]:
        plan = node.plan(integers)
        if plan is None:
            return None
        unit = Unit(self, lanes)
        operands = {name: unit.operand(name, tensor, node) for name, tensor in node.operands.items()}
        for name, operand in operands.items():
            unit.check_operand(operand, plan.patterns[name], plan.alignment.get(name, 1), plan.whole_blocks)
        values = {name: self.evaluate(value, lanes, node.location) for name, value in node.values.items()}
        node.entry.run(unit, node, plan, operands, values)
        factor = conflict(node, plan, operands) if node.entry.banked else 1.0
        return Operation(node, plan, factor)

    def _branch(self, node: Branch, lanes: Lanes, records: List[Record]) -> Optional[Lanes]:
        waiting = np.arange(lanes.count)
        alive: List[np.ndarray] = []
        for condition, block in node.arms:
            if not waiting.size:
                break
            here = lanes if waiting.size == lanes.count else lanes.select(waiting)
            holds = np.broadcast_to(True if condition is None else self.evaluate(condition, here, node.location), waiting.shape)
            chosen, waiting = waiting[holds.astype(bool)], waiting[~holds.astype(bool)]
            if chosen.size:
                alive.append(self._arm(block, lanes, chosen, records))
        alive.append(waiting)
        left = np.sort(np.concatenate(alive))
        return None if left.size == lanes.count else lanes.select(left)

    def _arm(self, block: Block, lanes: Lanes, chosen: np.ndarray, records: List[Record]) -> np.ndarray:
        """Run one arm for some lanes; the result are those that reach its end."""
        if chosen.size == lanes.count:
            left = self._block(block, lanes, records)
            rows = left.rows(lanes)
            return chosen if rows is None else rows
        inner: List[Record] = []
        records.append(Subset(chosen, inner))
        left = self._block(block, lanes.select(chosen), inner)
        rows = left.rows(lanes)
        assert rows is not None
        return rows

    def _loop(self, node: Loop, lanes: Lanes, records: List[Record]) -> Optional[Lanes]:
        if node.block_num > 1:
            numbers = self._core_numbers
            lanes.values[node.variable.identifier] = int(numbers[0]) if numbers.size == 1 else numbers
            self._block(node.body, lanes, records)
            return self._without_returned(lanes)
        begin = self.evaluate(node.begin, lanes, node.location)
        trips = self.evaluate(node.end, lanes, node.location) - begin
        if np.any(np.asarray(trips) < 0):
            raise LimitError(f"for_range ends {-int(np.min(trips))} before it begins", node.location)
        record = Iterations(node)
        records.append(record)
        if np.max(trips) > 1 and independent(self, node, lanes, begin, trips):
            self._together(node, lanes, begin, trips, record)
            return None
        self._in_turn(node, lanes, begin, trips, record)
        return self._without_returned(lanes)

    def _together(self, node: Loop, lanes: Lanes, begin: Any, trips: Any, record: Iterations) -> None:
        longest = int(np.max(trips))
        step = max(1, lanes_at_once(node) // lanes.count)
        per_lane = np.broadcast_to(trips, (lanes.count,))
        first_value = np.broadcast_to(begin, (lanes.count,))
        for first in range(0, longest, step):
            counts = np.clip(per_lane - first, 0, step)
            starts = np.concatenate([[0], np.cumsum(counts)])
            index = np.repeat(np.arange(lanes.count), counts)
            within = np.arange(index.size) - starts[index]
            child = lanes.select(index)
            child.values[node.variable.identifier] = first_value[index] + first + within
            chunk = Chunk([], starts)
            record.chunks.append(chunk)
            self._block(node.body, child, chunk.records)

    def _in_turn(self, node: Loop, lanes: Lanes, begin: Any, trips: Any, record: Iterations) -> None:
        active = np.ones(lanes.count, bool)
        self._loops.append((lanes, active))
        uniform = not isinstance(trips, np.ndarray)
        for t in range(int(np.max(trips))):
            chosen = None if uniform and active.all() else np.flatnonzero(active & (t < np.asarray(trips)))
            if chosen is not None and not chosen.size:
                break
            here = lanes if chosen is None or chosen.size == lanes.count else lanes.select(chosen)
            value = begin + t
            here.values[node.variable.identifier] = value if here is lanes or not isinstance(value, np.ndarray) else value[chosen]
            chunk = Chunk([], None, None if here is lanes else chosen)
            record.chunks.append(chunk)
            self._block(node.body, here, chunk.records)
        self._loops.pop()

    def _jump(self, node: Jump, lanes: Lanes, records: List[Record]) -> Lanes:
        if node.kind == "return":
            rows = lanes.rows(self._cores)
            assert self._returned is not None
            self._returned[slice(None) if rows is None else rows] = True
        loops = {"break": self._loops[-1:], "continue": [], "return": self._loops}[node.kind]
        for outer, active in loops:
            rows = lanes.rows(outer)
            active[slice(None) if rows is None else rows] = False
        return lanes.select(np.zeros(0, np.int64))

    def _without_returned(self, lanes: Lanes) -> Optional[Lanes]:
        assert self._returned is not None
        if not self._returned.any():
            return None
        rows = lanes.rows(self._cores)
        gone = self._returned if rows is None else self._returned[rows]
        return lanes.select(np.flatnonzero(~gone)) if gone.any() else None

    def _barrier(self, node: Barrier, lanes: Lanes, records: List[Record]) -> None:
        if lanes.count != self._cores.count:
            raise LimitError("block_barrier is reached by some cores only", node.location)
        for storage in self._storages.values():
            races.forget(storage)
        records.append(Wait(node))


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


def _varies(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_varies(v) for v in value)
    return isinstance(value, np.ndarray) and value.ndim > 0


def _plain(value: Any) -> Any:
    return tuple(int(v) for v in value) if isinstance(value, tuple) else int(value)


def _contains(block: Block, kind: type) -> bool:
    return any(isinstance(node, kind) for node in walk(block))


def walk(block: Block) -> Iterable[Any]:
    """All nodes of a block, in program order, loops and branches opened."""
    for node in block.nodes:
        yield node
        blocks: Sequence[Block] = [node.body] if isinstance(node, Loop) else [b for _, b in node.arms] if isinstance(node, Branch) else ()
        for inner in blocks:
            yield from walk(inner)


def _local_bytes(program: KernelProgram) -> int:
    return max(1, sum(2 * node.allocation.bytes for node in walk(program.body) if isinstance(node, Declare)))
