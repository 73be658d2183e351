"""Cycles: one core's pipes as a dependency timeline over the recorded instructions.

The scalar unit issues instructions in program order into one queue per pipe. A pipe starts an instruction when it is free,
when the instruction has been issued, and when the tensors that it touches are ready: what it reads has been written, what
it writes has been read. Across pipes that costs a flag; on one pipe a reader waits for the writer's latency. Dependencies
are per tensor, as TIK's automatic synchronisation has them; a loop with ``thread_num`` n has n copies of what it declares.

Cores whose instructions cost the same are timed once. A loop whose iterations all cost the same is timed until the state
of the pipes, relative to the issue time, repeats; from there on the remaining iterations are exact multiples.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..instructions.allocation import GLOBAL
from ..instructions.expressions import Expression
from ..instructions.program import Block, Branch, Declare, Loop
from ..instructions.table import Instruction, Plan
from ..instructions.tensors import Tensor
from ..machine import Machine
from ..run.records import Chunk, Iterations, Operation, Record, ScalarOperation, Subset
from .signature import signature

PIPES = ("S", "V", "M", "MTE1", "MTE2", "MTE3")
SHORTEST_PERIODIC_LOOP = 6
SEARCH_ITERATIONS = 64
MAX_EVENTS = 20000

Key = Any
LineKey = tuple[str, int]


@dataclass
class Statistics:
    """Sums over one core's run; all scale with the number of loop iterations."""

    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PIPES, 0.0))
    lines: dict[LineKey, float] = field(default_factory=dict)
    bytes: dict[tuple[str, str], float] = field(default_factory=dict)
    instructions: dict[str, float] = field(default_factory=dict)
    flop: float = 0.0

    def copy(self) -> Statistics:
        """An independent copy."""
        return Statistics(dict(self.busy), dict(self.lines), dict(self.bytes), dict(self.instructions), self.flop)

    def add(self, other: Statistics, factor: float, base: Statistics | None = None) -> None:
        """Add factor x (other - base)."""
        for mine, theirs, old in (
            (self.busy, other.busy, base.busy if base else {}),
            (self.lines, other.lines, base.lines if base else {}),
            (self.bytes, other.bytes, base.bytes if base else {}),
            (self.instructions, other.instructions, base.instructions if base else {}),
        ):
            for key, value in list(theirs.items()):
                mine[key] = mine.get(key, 0.0) + factor * (value - old.get(key, 0.0))  # type: ignore[index,attr-defined,call-overload]
        self.flop += factor * (other.flop - (base.flop if base else 0.0))


@dataclass(frozen=True)
class Event:
    """One instruction on one pipe, for the trace."""

    pipe: str
    start: float
    end: float
    name: str
    line: LineKey


@dataclass
class CoreTime:
    """The timing of one core (or of all cores that time alike)."""

    cycles: float
    segments: list[float]
    statistics: Statistics
    events: list[Event]
    skipped_iterations: int


class Costs:
    """Occupancy and latency of recorded operations, computed once each."""

    def __init__(self, machine: Machine, read_rates: dict[int, float], write_rate: float) -> None:
        self.machine = machine
        self._read_rates = read_rates
        self._write_rate = write_rate
        self._known: dict[tuple[int, int], tuple[float, float]] = {}

    def of(self, operation: Operation) -> tuple[float, float]:
        """Occupancy without bank conflicts, and latency, in cycles."""
        key = (id(operation.instruction), id(operation.plan))
        if key not in self._known:
            self._known[key] = self._compute(operation.instruction, operation)
        return self._known[key]

    def _compute(self, instruction: Instruction, operation: Operation) -> tuple[float, float]:
        plan, machine = operation.plan, self.machine
        occupancy, latency = instruction.entry.cycles(machine, instruction, plan)
        source = instruction.tensors.get("src")
        scopes = {t.scope for t in instruction.operands.values()}
        if instruction.pipe.startswith("MTE") and GLOBAL in scopes:
            occupancy += machine["gm.move_overhead"] + self._transfer(plan, source)
        return occupancy, latency

    def _transfer(self, plan: Plan, source: Any) -> float:
        """Cycles on the way to or from global memory, burst by burst."""
        if source.scope == GLOBAL:
            rate = self._read_rates.get(source.allocation.identifier, self.machine["gm.read_cold"])
        else:
            rate = self._write_rate
        bursts: int = plan.detail["bursts"]
        return bursts * math.ceil(plan.detail["bytes"] / bursts / rate)


class CoreTimeline:
    """The pipes of one core while a lane's records are walked."""

    def __init__(self, machine: Machine, costs: Costs, copies: dict[int, tuple[int, ...]], with_events: bool) -> None:
        self._machine = machine
        self._costs = costs
        self._copies = copies
        self._with_events = with_events
        self._now = 0.0
        self._free = dict.fromkeys(PIPES, 0.0)
        self._queues: dict[str, deque[float]] = {p: deque(maxlen=int(machine["queue.depth"])) for p in PIPES}
        self._writes: dict[Key, tuple[float, str]] = {}
        self._reads: dict[Key, dict[str, float]] = {}
        self._parity: dict[int, int] = {}
        self._segment_start = 0.0
        self.segments: list[float] = []
        self.statistics = Statistics()
        self.events: list[Event] = []
        self.skipped_iterations = 0
        self._dispatch = machine["scalar.dispatch"]
        self._operation = machine["scalar.operation"]
        self._sync = machine["sync.cycles"]

    def finish(self) -> CoreTime:
        """Drain the pipes."""
        self._drain()
        return CoreTime(sum(self.segments), self.segments, self.statistics, self.events, self.skipped_iterations)

    def walk(self, records: list[Record], lane: int) -> None:
        """Issue the records of one lane."""
        for record in records:
            if isinstance(record, Operation):
                self._operate(record, lane)
            elif isinstance(record, ScalarOperation):
                self._scalar(record)
            elif isinstance(record, Subset):
                place = int(np.searchsorted(record.index, lane))
                if place < record.index.size and record.index[place] == lane:
                    self.walk(record.records, place)
            elif isinstance(record, Iterations):
                self._iterations(record, lane)
            else:
                self._drain()

    def _drain(self) -> None:
        ends = [self._now, *self._free.values(), *(w[0] for w in self._writes.values())]
        self._now = max(ends)
        self.segments.append(self._now - self._segment_start)
        self._segment_start = self._now

    def _operate(self, record: Operation, lane: int) -> None:
        instruction = record.instruction
        occupancy, latency = self._costs.of(record)
        factor = record.conflict if isinstance(record.conflict, float) else float(record.conflict[lane])
        occupancy = math.ceil(occupancy * factor)
        pipe = instruction.pipe
        issue = self._dispatch + self._operation * instruction.operations
        issued = self._now + issue
        self.statistics.busy["S"] += issue
        queue = self._queues[pipe]
        if len(queue) == queue.maxlen:
            issued = max(issued, queue[0])
        start = max(issued, self._free[pipe], self._ready(instruction, pipe))
        end = start + occupancy
        queue.append(start)
        self._free[pipe] = end
        self._now = end if pipe == "S" else issued
        self._touch(instruction, pipe, end, max(start, end + math.ceil(latency)))
        self._count(record, pipe, start, end, occupancy)

    def _keys(self, instruction: Instruction) -> Iterable[tuple[str, Key]]:
        for name, tensor in instruction.operands.items():
            yield name, self._key(tensor)

    def _key(self, tensor: Tensor) -> Key:
        identifier = tensor.allocation.identifier
        loops = self._copies.get(identifier)
        return identifier if loops is None else (identifier, *[self._parity.get(v, 0) for v in loops])

    def _flag(self, producer: str) -> float:
        """Cycles of a flag from another pipe; the scalar unit issues in order and needs none."""
        return 0.0 if producer == "S" else self._sync

    def _ready(self, instruction: Instruction, pipe: str) -> float:
        ready = 0.0
        for name, key in self._keys(instruction):
            written = self._writes.get(key)
            if written is not None:
                end, producer = written
                if producer != pipe:
                    ready = max(ready, end + self._flag(producer))
                elif instruction.is_read(name):
                    ready = max(ready, end)
            if instruction.is_written(name):
                for other, end in self._reads.get(key, {}).items():
                    if other != pipe:
                        ready = max(ready, end + self._flag(other))
        return ready

    def _touch(self, instruction: Instruction, pipe: str, end: float, complete: float) -> None:
        for name, key in self._keys(instruction):
            if instruction.is_written(name):
                self._writes[key] = (complete, pipe)
                self._reads.pop(key, None)
            if instruction.is_read(name):
                self._reads.setdefault(key, {})[pipe] = end

    def _count(self, record: Operation, pipe: str, start: float, end: float, occupancy: float) -> None:
        instruction, totals = record.instruction, self.statistics
        line = (instruction.location.file, instruction.location.line)
        totals.busy[pipe] += occupancy
        totals.lines[line] = totals.lines.get(line, 0.0) + occupancy
        totals.instructions[instruction.entry.name] = totals.instructions.get(instruction.entry.name, 0.0) + 1
        detail = record.plan.detail
        if "bytes" in detail:
            path = (instruction.tensors["src"].scope, instruction.tensors["dst"].scope)
            totals.bytes[path] = totals.bytes.get(path, 0.0) + detail["bytes"]
        totals.flop += detail.get("flop", 0)
        if self._with_events and len(self.events) < MAX_EVENTS:
            self.events.append(Event(pipe, start, end, instruction.entry.name, line))

    def _scalar(self, record: ScalarOperation) -> None:
        node = record.node
        line = (node.location.file, node.location.line)
        start = self._now
        if isinstance(node.value, Tensor):
            written = self._writes.get(self._key(node.value))
            if written is not None:
                start = max(start, written[0] + self._flag(written[1]))
            cost = self._machine["scalar.load"]
            self._reads.setdefault(self._key(node.value), {})["S"] = start + cost
        else:
            cost = self._operation * (node.value.operations() if isinstance(node.value, Expression) else 1)
        waited = start + cost - self._now
        self._now = start + cost
        totals = self.statistics
        totals.busy["S"] += cost
        totals.lines[line] = totals.lines.get(line, 0.0) + waited
        totals.instructions["set_as"] = totals.instructions.get("set_as", 0.0) + 1
        if self._with_events and len(self.events) < MAX_EVENTS:
            self.events.append(Event("S", start, self._now, "set_as", line))

    # Loops ----------------------------------------------------------------------------------------------------------

    def _iterations(self, record: Iterations, lane: int) -> None:
        iteration = 0
        for chunk in record.chunks:
            if chunk.starts is not None:
                iteration = self._together(record.loop, chunk, lane, iteration)
                continue
            place = lane
            if chunk.index is not None:
                place = int(np.searchsorted(chunk.index, lane))
                if place == chunk.index.size or chunk.index[place] != lane:
                    continue
            self._one(record.loop, chunk, place, iteration)
            iteration += 1
        self._parity.pop(record.loop.variable.identifier, None)

    def _one(self, loop: Loop, chunk: Chunk, place: int, iteration: int) -> None:
        if loop.thread_num > 1:
            self._parity[loop.variable.identifier] = iteration % loop.thread_num
        overhead = self._machine["scalar.loop"]
        self._now += overhead
        self.statistics.busy["S"] += overhead
        self.walk(chunk.records, place)

    def _together(self, loop: Loop, chunk: Chunk, lane: int, iteration: int) -> int:
        assert chunk.starts is not None
        first, last = int(chunk.starts[lane]), int(chunk.starts[lane + 1])
        alike = last - first >= SHORTEST_PERIODIC_LOOP and self._alike(chunk, first, last)
        seen: list[tuple[Any, float, Statistics]] = []
        place, period = first, loop.thread_num
        while place < last:
            self._one(loop, chunk, place, iteration)
            place += 1
            iteration += 1
            if not alike or len(seen) > SEARCH_ITERATIONS:
                continue
            seen.append((self._state(), self._now, self.statistics.copy()))
            if len(seen) > period and seen[-1][0] == seen[-1 - period][0]:
                times = (last - place) // period
                self._skip(times, self._now - seen[-1 - period][1], seen[-1 - period][2])
                place += times * period
                iteration += times * period
                self.skipped_iterations += times * period
                alike = False
        return iteration

    def _alike(self, chunk: Chunk, first: int, last: int) -> bool:
        assert chunk.starts is not None
        marks = signature(chunk.records, int(chunk.starts[-1]))[first:last]
        return bool((marks == marks[0]).all())

    def _state(self) -> Any:
        """Everything that decides the future, relative to the issue time; what is past does not matter."""
        now = self._now
        return (
            tuple(max(t - now, 0.0) for t in self._free.values()),
            tuple(tuple(max(t - now, 0.0) for t in q) for q in self._queues.values()),
            {k: (t - now, p) for k, (t, p) in self._writes.items() if t + self._sync > now},
            {
                k: {p: t - now for p, t in r.items() if t + self._sync > now}
                for k, r in self._reads.items()
                if any(t + self._sync > now for t in r.values())
            },
        )

    def _skip(self, times: int, cycles: float, base: Statistics) -> None:
        shift = times * cycles
        self._now += shift
        self._free = {p: t + shift for p, t in self._free.items()}
        for pipe, queue in self._queues.items():
            self._queues[pipe] = deque((t + shift for t in queue), maxlen=queue.maxlen)
        self._writes = {k: (t + shift, p) for k, (t, p) in self._writes.items()}
        self._reads = {k: {p: t + shift for p, t in r.items()} for k, r in self._reads.items()}
        self.statistics.add(self.statistics.copy(), times, base)


def copy_loops(block: Block, around: tuple[int, ...] = ()) -> dict[int, tuple[int, ...]]:
    """For each tensor that exists in copies: the variables of the thread loops that select the copy."""
    found: dict[int, tuple[int, ...]] = {}
    for node in block.nodes:
        if isinstance(node, Declare) and around:
            found[node.allocation.identifier] = around
        elif isinstance(node, Loop):
            inside = (*around, node.variable.identifier) if node.thread_num > 1 else around
            found.update(copy_loops(node.body, inside))
        elif isinstance(node, Branch):
            for _, arm in node.arms:
                found.update(copy_loops(arm, around))
    return found
