"""Suppression of boxes that overlap: areas and intersections of proposals, and the vector of those that are suppressed.

Proposals are eight float16 each (x1, y1, x2, y2, score, ...), in groups of 16. A suppression matrix has one bit per pair of
proposals, bit j of word i being 1 when i suppresses j; a suppression vector has one uint16 per proposal, 1 for suppressed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError
from .allocation import REGISTER, UB
from .patterns import BLOCK_BYTES, Pattern, result_pattern
from .sort import FIELDS, GROUP
from .table import Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types, join
from .vector import repeat_of, vector_cycles

DEFAULT_OFFSET = 1.0
CORNERS = 4


def _in_ub(*names: str, dtype: str = "float16") -> Any:
    def check(instruction: Instruction) -> None:
        check_scopes(instruction, {n: (UB, REGISTER) if n in ("offset", "register") else (UB,) for n in names})
        check_types(instruction, [tuple("float16" if n == "offset" else dtype for n in names)], names)

    return check


def _corners(repeat: int) -> Pattern:
    """The four corners of the 16 proposals of each repeat."""
    proposal = np.arange(repeat * GROUP).reshape(repeat, GROUP, 1)
    return Pattern(proposal * FIELDS + np.arange(CORNERS))


def _plan(sources: dict[str, str], per_repeat: int) -> Any:
    """The plan: what each source is ("boxes" or "areas", with "first" when every repeat reads the first group)."""

    def plan(instruction: Instruction, integers: Integers) -> Plan | None:
        repeat = repeat_of(instruction, integers)
        if repeat == 0:
            return None
        patterns = {"dst": result_pattern(repeat, per_repeat, per_repeat), "offset": result_pattern(1, 1, 1)}
        for name, kind in sources.items():
            count = 1 if "first" in kind else repeat
            patterns[name] = _corners(count) if "boxes" in kind else result_pattern(count, GROUP, GROUP)
        patterns = {name: pattern for name, pattern in patterns.items() if name in instruction.operands}
        alignment = {name: BLOCK_BYTES for name in patterns if name != "offset"}
        return Plan(patterns, alignment, repeat, integers=integers)

    return plan


def _extent(boxes: np.ndarray, offset: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(boxes[..., 2 + axis] - boxes[..., axis] + offset)


def _run_area(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """(x2 - x1 + offset) (y2 - y1 + offset) of each proposal."""
    boxes, poison = unit.read(operands["src"], plan.patterns["src"])
    offset, _ = unit.read(operands["offset"], plan.patterns["offset"])
    area = _extent(boxes, offset, 0) * _extent(boxes, offset, 1)
    unit.write(operands["dst"], plan.patterns["dst"], area, None if poison is None else poison.any(axis=-1))


def _run_intersection(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """dst[r, i, j] is the area that proposal i of src0's group r shares with proposal j of src1's first group."""
    first, bad_first = unit.read(operands["src0"], plan.patterns["src0"])
    second, bad_second = unit.read(operands["src1"], plan.patterns["src1"])
    offset, _ = unit.read(operands["offset"], plan.patterns["offset"])
    a, b = first[:, :, :, None], second[:, :, None, :]
    sides = [
        np.maximum(np.minimum(a[..., 2 + k], b[..., 2 + k]) - np.maximum(a[..., k], b[..., k]) + offset[..., None], 0)
        for k in range(2)
    ]
    poison = join(
        None if bad_first is None else bad_first.any(axis=-1)[..., None],
        None if bad_second is None else bad_second.any(axis=-1)[:, :, None, :],
    )
    _write_pairs(unit, plan, operands, sides[0] * sides[1], poison)


def _run_sum(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """dst[r, i, j] = src0[r, i] + src1[j]."""
    first, bad_first = unit.read(operands["src0"], plan.patterns["src0"])
    second, bad_second = unit.read(operands["src1"], plan.patterns["src1"])
    poison = join(
        None if bad_first is None else bad_first[..., None], None if bad_second is None else bad_second[:, :, None, :]
    )
    _write_pairs(unit, plan, operands, first[..., None] + second[:, :, None, :], poison)


def _write_pairs(unit: Unit, plan: Plan, operands: Any, pairs: np.ndarray, poison: np.ndarray | None) -> None:
    shape = (pairs.shape[0], *plan.patterns["dst"].shape)
    bad = None if poison is None else np.broadcast_to(poison, pairs.shape).reshape(shape)
    unit.write(operands["dst"], plan.patterns["dst"], pairs.reshape(shape), bad)


def _plan_suppressed(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat = repeat_of(instruction, integers)
    if repeat == 0:
        return None
    patterns = {n: result_pattern(repeat, GROUP, integers[f"{n}_rep_stride"] * GROUP) for n in ("src0", "src1")}
    patterns["register"] = result_pattern(1, 1, 1)
    return Plan(patterns, {"src0": BLOCK_BYTES, "src1": BLOCK_BYTES}, repeat, integers=integers)


def _run_suppressed(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """Add to the register the bits of every proposal that one which is kept suppresses."""
    arrays, poison = unit.read_all(operands, plan.patterns, ("src0", "src1"))
    words, vector = arrays
    found, bad = unit.read(operands["register"], plan.patterns["register"])
    kept = np.bitwise_or.reduce(np.where(vector == 0, words, 0), axis=(1, 2)).astype(np.uint16)
    undefined = join(bad, None if poison is None else poison.any(axis=(1, 2), keepdims=True))
    unit.write(operands["register"], plan.patterns["register"], found | kept[:, None, None], undefined)


def _plan_diagonal(instruction: Instruction, integers: Integers) -> Plan | None:
    pattern = result_pattern(1, GROUP, GROUP)
    patterns = {"dst": pattern, "src": pattern, "register": result_pattern(1, 1, 1)}
    return Plan(patterns, {"dst": BLOCK_BYTES, "src": BLOCK_BYTES}, 1, integers=integers)


def _run_diagonal(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """The vector of a group: suppressed by the register's earlier proposals, or by a kept one before it in the group."""
    words, poison = unit.read(operands["src"], plan.patterns["src"])
    found, bad = unit.read(operands["register"], plan.patterns["register"])
    words, gathered = np.broadcast_arrays(words[:, 0], found[:, 0])
    gathered = gathered[:, 0].copy()
    result = np.zeros(words.shape, np.uint16)
    for j in range(GROUP):
        result[:, j] = (gathered >> j) & 1
        gathered |= np.where(result[:, j] == 0, words[:, j], 0).astype(np.uint16)
    undefined = join(bad, None if poison is None else poison.any(axis=(1, 2), keepdims=True))
    spread = None if undefined is None else np.broadcast_to(undefined, (undefined.shape[0], 1, GROUP))
    unit.write(operands["dst"], plan.patterns["dst"], result[:, None], spread)


def _plan_register(instruction: Instruction, integers: Integers) -> Plan | None:
    if instruction.tensors["dst"].scope != REGISTER:
        raise instruction.fail(ArgumentError, "only the unit's own register is set")
    return Plan({"dst": result_pattern(1, 1, 1)}, {}, 1, integers=integers)


def _run_register(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    column = unit.column(values["value"], instruction.tensors["dst"].dtype, 2)
    unit.write(operands["dst"], plan.patterns["dst"], column, None)


def entries() -> list[Entry]:
    """vrpac, viou, vaadd, rpn_cor, rpn_cor_diag and the registers that they use."""
    pairs, cost = GROUP * GROUP, vector_cycles("vrpsort16")
    return [
        Entry(
            "vrpac", "dst src repeat_times offset", "V", _plan({"src": "boxes"}, GROUP), _run_area, cost,
            reads=("src", "offset"), check=_in_ub("dst", "src", "offset"),
        ),
        Entry(
            "viou", "dst src0 src1 repeat_times offset", "V",
            _plan({"src0": "boxes", "src1": "first boxes"}, pairs), _run_intersection, cost,
            reads=("src0", "src1", "offset"), check=_in_ub("dst", "src0", "src1", "offset"),
        ),
        Entry(
            "vaadd", "dst src0 src1 repeat_times", "V", _plan({"src0": "areas", "src1": "first areas"}, pairs), _run_sum,
            cost, reads=("src0", "src1"), check=_in_ub("dst", "src0", "src1"),
        ),
        Entry(
            "rpn_cor", "register src0 src1 src0_rep_stride src1_rep_stride repeat_times", "V", _plan_suppressed,
            _run_suppressed, cost, reads=("src0", "src1", "register"), writes=("register",),
            check=_in_ub("src0", "src1", "register", dtype="uint16"),
        ),
        Entry(
            "rpn_cor_diag", "dst src register", "V", _plan_diagonal, _run_diagonal, cost, reads=("src", "register"),
            check=_in_ub("dst", "src", "register", dtype="uint16"),
        ),
        Entry(
            "set_register", "dst value", "V", _plan_register, _run_register, cost, reads=(), values=("value",),
        ),
    ]  # fmt: skip
