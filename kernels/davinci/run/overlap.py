"""The rules for vector operands that share memory, and whether a repeat reads what an earlier repeat wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OverlapError
from ..instructions.patterns import byte_addresses
from ..instructions.table import Instruction, Plan
from .memory import Operand


def feeds_itself(plan: Plan, operands: dict[str, Operand], sources: Sequence[str]) -> bool:
    """Check every source that lies in the destination's tensor; True when repeats must run one after another."""
    destination = operands["dst"]
    result = False
    for name in sources:
        source = operands[name]
        if name == "dst":
            result |= _accumulates_in_place(plan)
        elif source.storage is destination.storage:
            for start_source, start_destination in _distinct_starts(source, destination):
                key = (name, start_source - start_destination, start_destination % 32)
                if key not in plan.sequential:
                    plan.sequential[key] = _verdict(plan, source, destination, name, start_source, start_destination)
                result |= plan.sequential[key]
    return result


def _accumulates_in_place(plan: Plan) -> bool:
    """Whether the destination, which is also read, comes back in a later repeat."""
    key = "dst read and written"
    if key not in plan.sequential:
        repeats = plan.patterns["dst"].index.reshape(plan.patterns["dst"].shape)
        distinct = sum(len(np.unique(row)) for row in repeats)
        plan.sequential[key] = len(np.unique(repeats)) < distinct
    return plan.sequential[key]


def _distinct_starts(source: Operand, destination: Operand) -> Any:
    pairs = np.stack(np.broadcast_arrays(np.atleast_1d(source.offset), np.atleast_1d(destination.offset)), axis=1)
    if len(pairs) > 1:
        difference = pairs[:, 0] - pairs[:, 1]
        pairs = pairs[:1] if (difference == difference[0]).all() else np.unique(pairs, axis=0)
    return pairs.tolist()


def _verdict(
    plan: Plan, source: Operand, destination: Operand, name: str, start_source: int, start_destination: int
) -> bool:
    sizes = [np.dtype(o.dtype).itemsize for o in (source, destination)]
    unit = min(sizes)
    read = byte_addresses(plan.patterns[name], sizes[0], unit, start_source)
    written = byte_addresses(plan.patterns["dst"], sizes[1], unit, start_destination)
    repeats = len(read)
    instruction = destination.instruction
    if not instruction.entry.overlap:
        return repeats > 1 and _reads_earlier(read, written)
    if repeats == 1:
        if not np.array_equal(read, written) and np.intersect1d(read, written).size:
            raise instruction.fail(
                OverlapError, f"dst and {name} overlap in part; with repeat_times 1 they must be identical or disjoint"
            )
        return False
    if _accumulates(instruction, plan, name) and np.array_equal(read, written):
        return True
    for r in range(repeats - 1):
        if np.intersect1d(written[r], read[r + 1]).size:
            raise instruction.fail(
                OverlapError,
                f"repeat {r} writes what repeat {r + 1} reads through {name}; the hardware does not order them",
            )
    return _reads_earlier(read, written)


def _reads_earlier(read: np.ndarray, written: np.ndarray) -> bool:
    if read.max() < written.min() or written.max() < read.min():
        return False
    first_write = {}
    for r in range(len(written) - 1, -1, -1):
        first_write.update(dict.fromkeys(written[r].tolist(), r))
    return any(first_write.get(address, len(read)) < r for r in range(len(read)) for address in read[r].tolist())


def _accumulates(instruction: Instruction, plan: Plan, name: str) -> bool:
    if not instruction.entry.accumulates:
        return False
    strides = plan.detail["strides"]
    return (
        name == "src1"
        and strides["dst"][1] == strides["src1"][1] == 0
        and strides["dst"][0] == strides["src1"][0]
        and instruction.tensors["dst"].dtype in ("float16", "float32", "int32")
    )
