"""Running a program: lanes walk the traced nodes, instructions act on all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable

import numpy as np

from ..errors import LimitError
from ..instructions.allocation import REGISTER, Allocation
from ..instructions.program import Assign, Barrier, Block, Branch, Declare, DeclareScalar, Jump, KernelProgram, Loop
from ..instructions.table import Instruction, Integers
from ..machine import Machine
from . import races
from .banks import conflict
from .independence import independent, lanes_at_once
from .memory import DEFINED, Lanes, Storage
from .records import Chunk, Iterations, Operation, Record, ScalarOperation, Subset, Wait
from .state import Register, State
from .unit import Unit

CORE_MEMORY_BUDGET = 1 << 28
MAX_STEPS = 5_000_000  # about 64 bytes and 15 microseconds each
MAX_LOCAL_BYTES = 1 << 30


class Execution(State):
    """One run of a program on all its cores; the arguments are ``State``'s."""

    def __init__(self, program: KernelProgram, ignore: Iterable[str] = ()) -> None:
        super().__init__(program, ignore)
        self.records: list[tuple[np.ndarray, list[Record]]] = []
        self._steps = 0
        self._loops: list[tuple[Lanes, np.ndarray]] = []
        self._returned: np.ndarray | None = None
        self._handlers: dict[type, Callable[[Any, Lanes, list[Record]], Lanes | None]] = {
            Instruction: self._instruction,
            Loop: self._loop,
            Branch: self._branch,
            Assign: self._assign,
            Declare: self._declare,
            DeclareScalar: self._declare_scalar,
            Jump: self._jump,
            Barrier: self._barrier,
        }

    def run(self) -> None:
        """Run the program on every core, as many cores together as memory allows."""
        count = self.program.block_num
        step = (
            count
            if _contains(self.program.body, Barrier)
            else max(1, min(count, CORE_MEMORY_BUDGET // _local_bytes(self.program)))
        )
        for first in range(0, count, step):
            numbers = np.arange(first, min(first + step, count))
            self._cores, self._core_numbers = Lanes(len(numbers)), numbers
            self._cores.values.update(self.arguments)
            self._returned = np.zeros(len(numbers), bool)
            records: list[Record] = []
            with np.errstate(all="ignore"):
                self._block(self.program.body, self._cores, records)
            self.records.append((numbers, records))

    def _block(self, block: Block, lanes: Lanes, records: list[Record]) -> Lanes:
        """Run nodes in order; the result are the lanes that reach the end (breaks and returns drop out)."""
        for node in block.nodes:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise LimitError(
                    f"the program takes more than {MAX_STEPS} steps; run it on a smaller shape",
                    getattr(node, "location", None),
                )
            left = self._handlers[type(node)](node, lanes, records)
            if left is not None and left is not lanes:
                inner: list[Record] = []
                records.append(Subset(left.rows(lanes), inner))  # type: ignore[arg-type]
                lanes, records = left, inner
                if not lanes.count:
                    break
        return lanes

    def _assign(self, node: Assign, lanes: Lanes, records: list[Record]) -> None:
        self.assign(node, lanes)
        records.append(ScalarOperation(node))

    def _declare(self, node: Declare, lanes: Lanes, records: list[Record]) -> None:
        room = self._room(node.allocation) if "bounds" in self.ignore else 0
        needed = 2 * lanes.count * max(node.allocation.bytes, room)
        if needed > MAX_LOCAL_BYTES:
            raise LimitError(
                f"{node.allocation.name} needs {needed} B for {lanes.count} cores and iterations at once; the interpreter has "
                f"{MAX_LOCAL_BYTES}",
                node.allocation.location,
            )
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

    def _declare_scalar(self, node: DeclareScalar, lanes: Lanes, records: list[Record]) -> None:
        self._registers[node.scalar.identifier] = Register(lanes)

    def _instruction(self, node: Instruction, lanes: Lanes, records: list[Record]) -> None:
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

    def _grouped(self, node: Instruction, integers: Integers, lanes: Lanes, records: list[Record]) -> None:
        """Lanes that disagree about an integer run in groups that agree."""
        parts = [(n, v if isinstance(v, tuple) else (v,)) for n, v in integers.items()]
        columns = np.stack([np.broadcast_to(x, (lanes.count,)) for _, values in parts for x in values], axis=1)
        distinct, inverse = np.unique(columns, axis=0, return_inverse=True)
        for group, row in enumerate(distinct):
            index = np.flatnonzero(inverse.reshape(-1) == group)
            numbers = iter(row.tolist())
            chosen = {n: tuple(next(numbers) for _ in values) for n, values in parts}
            chosen = {n: v if isinstance(integers[n], tuple) else v[0] for n, v in chosen.items()}
            record = self._execute(node, chosen, lanes.select(index))
            if record is not None:
                records.append(Subset(index, [record]))

    def _execute(self, node: Instruction, integers: Integers, lanes: Lanes) -> Operation | None:
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

    def _branch(self, node: Branch, lanes: Lanes, records: list[Record]) -> Lanes | None:
        waiting = np.arange(lanes.count)
        alive: list[np.ndarray] = []
        for condition, block in node.arms:
            if not waiting.size:
                break
            here = lanes if waiting.size == lanes.count else lanes.select(waiting)
            holds = np.broadcast_to(
                True if condition is None else self.evaluate(condition, here, node.location), waiting.shape
            )
            chosen, waiting = waiting[holds.astype(bool)], waiting[~holds.astype(bool)]
            if chosen.size:
                alive.append(self._arm(block, lanes, chosen, records))
        alive.append(waiting)
        left = np.sort(np.concatenate(alive))
        return None if left.size == lanes.count else lanes.select(left)

    def _arm(self, block: Block, lanes: Lanes, chosen: np.ndarray, records: list[Record]) -> np.ndarray:
        """Run one arm for some lanes; the result are those that reach its end."""
        if chosen.size == lanes.count:
            left = self._block(block, lanes, records)
            rows = left.rows(lanes)
            return chosen if rows is None else rows
        inner: list[Record] = []
        records.append(Subset(chosen, inner))
        left = self._block(block, lanes.select(chosen), inner)
        rows = left.rows(lanes)
        assert rows is not None
        return rows

    def _loop(self, node: Loop, lanes: Lanes, records: list[Record]) -> Lanes | None:
        if node.over_cores:
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
            here.values[node.variable.identifier] = (
                value if here is lanes or not isinstance(value, np.ndarray) else value[chosen]
            )
            chunk = Chunk([], None, None if here is lanes else chosen)
            record.chunks.append(chunk)
            self._block(node.body, here, chunk.records)
        self._loops.pop()

    def _jump(self, node: Jump, lanes: Lanes, records: list[Record]) -> Lanes:
        if node.kind == "return":
            rows = lanes.rows(self._cores)
            assert self._returned is not None
            self._returned[slice(None) if rows is None else rows] = True
        loops = {"break": self._loops[-1:], "continue": [], "return": self._loops}[node.kind]
        for outer, active in loops:
            rows = lanes.rows(outer)
            active[slice(None) if rows is None else rows] = False
        return lanes.select(np.zeros(0, np.int64))

    def _without_returned(self, lanes: Lanes) -> Lanes | None:
        assert self._returned is not None
        if not self._returned.any():
            return None
        rows = lanes.rows(self._cores)
        gone = self._returned if rows is None else self._returned[rows]
        return lanes.select(np.flatnonzero(~gone)) if gone.any() else None

    def _barrier(self, node: Barrier, lanes: Lanes, records: list[Record]) -> None:
        if lanes.count != self._cores.count:
            raise LimitError("block_barrier is reached by some cores only", node.location)
        for storage in self._storages.values():
            races.forget(storage)
        records.append(Wait(node))


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
        blocks: Sequence[Block] = (
            [node.body] if isinstance(node, Loop) else [b for _, b in node.arms] if isinstance(node, Branch) else ()
        )
        for inner in blocks:
            yield from walk(inner)


def _local_bytes(program: KernelProgram) -> int:
    return max(1, sum(2 * node.allocation.bytes for node in walk(program.body) if isinstance(node, Declare)))
