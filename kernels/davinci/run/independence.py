"""Whether the iterations of a loop may run together.

They may when no iteration touches what another one writes. Tensors declared in the body are private to an iteration. For
every other tensor that the body writes, the byte range that iteration t touches is bounded by interval arithmetic over
the inner loops; the ranges of different iterations must not meet. A tensor that a single instruction writes once per
iteration and nothing reads needs no proof: later iterations store later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DavinciError
from ..instructions.allocation import Allocation
from ..instructions.expressions import Expression, Interval
from ..instructions.program import Assign, Barrier, Block, Branch, Declare, DeclareScalar, Jump, Loop
from ..instructions.table import Instruction
from ..instructions.tensors import Tensor
from .memory import Lanes
from .state import State

LANE_BYTES_BUDGET = 48 << 20
BYTES_PER_INDEX = 8


@dataclass(frozen=True)
class Access:
    """One operand of one instruction (or of a set_as) in a loop's body; ``once``: it is not inside a further loop."""

    tensor: Tensor
    instruction: Instruction | None
    operand: str
    writes: bool
    once: bool


@dataclass
class Summary:
    """What a loop's body does, found once from the program text.

    Attributes:
        carried: iterations depend on each other whatever the addresses are.
        shared: accesses to tensors declared outside, by tensor, where the body writes.
        inner: bounds of the loops inside, by variable.
        assigned: the one expression assigned to a scalar of the body, by scalar.
        lane_bytes: memory that one iteration needs.
    """

    carried: bool = False
    shared: dict[Allocation, list[Access]] = field(default_factory=dict)
    inner: dict[int, Loop] = field(default_factory=dict)
    assigned: dict[int, Expression | None] = field(default_factory=dict)
    lane_bytes: int = 1


def lanes_at_once(loop: Loop) -> int:
    """How many lanes of the loop's body fit into the memory budget."""
    return max(1, LANE_BYTES_BUDGET // summary(loop).lane_bytes)


def summary(loop: Loop) -> Summary:
    """The loop's summary, made on first use."""
    if loop.summary is None:
        loop.summary = _summarise(loop)
    found: Summary = loop.summary
    return found


def _summarise(loop: Loop) -> Summary:
    result = Summary()
    local: set[Any] = set()
    accesses: list[Access] = []
    _visit(loop.body, result, local, accesses, True)
    for access in accesses:
        allocation = access.tensor.allocation
        if allocation not in local:
            result.shared.setdefault(allocation.lies_on or allocation, []).append(access)
    if any(scalar not in local for scalar in result.assigned):
        result.carried = True
    result.shared = {a: list_ for a, list_ in result.shared.items() if any(x.writes for x in list_)}
    result.carried |= any(_always_meets(loop, result, a, list_) for a, list_ in result.shared.items())
    return result


def _visit(block: Block, result: Summary, local: set[Any], accesses: list[Access], once: bool) -> None:
    for node in block.nodes:
        if isinstance(node, Declare):
            local.add(node.allocation)
            result.lane_bytes += node.allocation.bytes * 2
        elif isinstance(node, DeclareScalar):
            local.add(node.scalar.identifier)
        elif isinstance(node, Assign):
            _visit_assign(node, result, accesses)
        elif isinstance(node, (Jump, Barrier)):
            result.carried = True
        elif isinstance(node, Loop):
            result.inner[node.variable.identifier] = node
            _visit(node.body, result, local, accesses, False)
        elif isinstance(node, Branch):
            for _, arm in node.arms:
                _visit(arm, result, local, accesses, once)
        else:
            _visit_instruction(node, result, accesses, once)


def _visit_assign(node: Assign, result: Summary, accesses: list[Access]) -> None:
    identifier = node.scalar.identifier
    single = identifier not in result.assigned and not isinstance(node.value, Tensor)
    result.assigned[identifier] = node.value if single else None
    if isinstance(node.value, Tensor):
        accesses.append(Access(node.value, None, "src", False, False))


def _visit_instruction(node: Instruction, result: Summary, accesses: list[Access], once: bool) -> None:
    plan = node.plan(node.integers) if node.fixed else None
    for name, tensor in node.operands.items():
        if node.is_read(name) or node.continues(name):
            accesses.append(Access(tensor, node, name, False, once))
        if node.is_written(name):
            accesses.append(Access(tensor, node, name, True, once))
        count = plan.patterns[name].count if plan else tensor.allocation.size
        result.lane_bytes = max(result.lane_bytes, BYTES_PER_INDEX * count)


def _written_in_order(accesses: list[Access]) -> bool:
    """One instruction stores once per iteration with the same lengths for all lanes, and nothing reads."""
    only = accesses[0]
    return len(accesses) == 1 and only.writes and only.once and only.instruction is not None and only.instruction.fixed


def _always_meets(loop: Loop, found: Summary, allocation: Allocation, accesses: list[Access]) -> bool:
    """Some write goes to the same place in every iteration, and it matters."""
    if _written_in_order(accesses):
        return False
    moving = _moving(loop, found)
    return any(a.writes and not (_variables(a.tensor.offset) & moving) for a in accesses)


def _moving(loop: Loop, found: Summary) -> frozenset[int]:
    """Variables whose value may differ from one iteration to the next because of the loop variable."""
    moving = {loop.variable.identifier}
    for _ in range(len(found.inner) + len(found.assigned) + 1):
        before = len(moving)
        for identifier, inner in found.inner.items():
            if (_variables(inner.begin) | _variables(inner.end)) & moving:
                moving.add(identifier)
        for identifier, value in found.assigned.items():
            if value is None or _variables(value) & moving:
                moving.add(identifier)
        if len(moving) == before:
            break
    return frozenset(moving)


def _variables(value: Any) -> frozenset[int]:
    return value.variables() if isinstance(value, Expression) else frozenset()


def independent(state: State, loop: Loop, lanes: Lanes, begin: Any, trips: Any) -> bool:
    """Whether the iterations begin, begin + 1, ... may run together for all lanes."""
    found = summary(loop)
    if found.carried:
        return False
    bounds = _Bounds(state, loop, lanes, begin, trips, found)
    return all(_written_in_order(accesses) or bounds.apart(accesses) for accesses in found.shared.values())


class _Bounds:
    """Byte ranges of accesses, per lane and iteration: arrays of shape (lanes or 1, iterations)."""

    def __init__(self, state: State, loop: Loop, lanes: Lanes, begin: Any, trips: Any, found: Summary) -> None:
        self._state = state
        self._lanes = lanes
        self._found = found
        self._count = int(np.max(trips))
        iteration = np.arange(self._count)[None, :]
        self._valid = iteration < np.atleast_1d(trips)[:, None]
        self._known: dict[int, Interval] = {}
        value = np.atleast_1d(begin)[:, None] + iteration
        self._known[loop.variable.identifier] = (value, value)

    def apart(self, accesses: list[Access]) -> bool:
        """Whether no iteration's range meets another's."""
        ranges = [self._range(a) for a in accesses]
        known = [r for r in ranges if r is not None]
        if len(known) != len(ranges):
            return False
        low, high = known[0]
        for other_low, other_high in known[1:]:
            low, high = np.minimum(low, other_low), np.maximum(high, other_high)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            return False
        shape = np.broadcast_shapes(np.shape(low), np.shape(high), self._valid.shape)
        low, high, valid = (np.broadcast_to(x, shape) for x in (low, high, self._valid))
        low, high = np.where(valid, low, np.inf), np.where(valid, high, np.inf)
        order = np.argsort(low, axis=1, kind="stable")
        low, high = np.take_along_axis(low, order, 1), np.take_along_axis(high, order, 1)
        return bool((high[:, :-1] <= low[:, 1:]).all())

    def _range(self, access: Access) -> tuple[Any, Any] | None:
        """First byte and end of the bytes that the access may touch."""
        extent = self._extent(access)
        if extent is None:
            return None
        itemsize = np.dtype(access.tensor.dtype).itemsize
        low, high = self._interval(access.tensor.offset)
        return (low + extent[0]) * itemsize, (high + extent[1]) * itemsize

    def _extent(self, access: Access) -> tuple[int, int] | None:
        if access.instruction is None:
            return 0, 1
        instruction = access.instruction
        integers = instruction.integers
        if not instruction.fixed:
            largest = {name: self._largest(value) for name, value in integers.items()}
            if any(value is None for value in largest.values()):
                return None
            integers = largest
        try:
            plan = instruction.plan(integers)
        except DavinciError:
            return None
        return (plan.patterns[access.operand].low, plan.patterns[access.operand].high) if plan else (0, 0)

    def _largest(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return value if not any(isinstance(v, Expression) for v in value) else None
        high = np.max(self._interval(value)[1])
        return int(high) if np.isfinite(high) else None

    def _interval(self, value: Any) -> Interval:
        return value.interval(self._variable) if isinstance(value, Expression) else (value, value)

    def _variable(self, identifier: int) -> Interval:
        if identifier not in self._known:
            self._known[identifier] = self._bound(identifier)
        return self._known[identifier]

    def _bound(self, identifier: int) -> Interval:
        if identifier in self._found.inner:
            loop = self._found.inner[identifier]
            return self._interval(loop.begin)[0], self._interval(loop.end)[1] - 1
        if identifier in self._found.assigned:
            value = self._found.assigned[identifier]
            return (-np.inf, np.inf) if value is None else self._interval(value)
        try:
            value = self._state.lookup(identifier, self._lanes)
        except (KeyError, DavinciError):
            return -np.inf, np.inf
        column = value[:, None] if isinstance(value, np.ndarray) and value.ndim else value
        return column, column
