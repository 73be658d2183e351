"""Proposals (eight float16: x1 y1 x2 y2 score label and two spare): building, reading, sorting and merging them by score."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, UnavailableError
from ..machine import Machine
from .allocation import UB
from .patterns import BLOCK_BYTES, Pattern, result_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types
from .vector import repeat_of, vector_cycles

FIELDS, SCORE = 8, 4
GROUP = 16
QUEUES = 4
MERGE_OVERHEAD = 6
MAX_QUEUE = 4095


def _check(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src": (UB,)})
    check_types(instruction, [("float16", "float16")], ("dst", "src"))


def _field_plan(proposals: str, numbers: str) -> Any:
    """Plan of vconcat and vextract: one field of 16 proposals per repeat on one side, 16 numbers on the other."""

    def plan(instruction: Instruction, integers: Integers) -> Plan | None:
        instruction.require("mode_number", integers["mode_number"], 0, 5)
        repeat = repeat_of(instruction, integers)
        if repeat == 0:
            return None
        item = np.arange(repeat * GROUP).reshape(repeat, GROUP)
        patterns = {proposals: Pattern(item * FIELDS + integers["mode_number"]), numbers: Pattern(item)}
        return Plan(patterns, {"dst": BLOCK_BYTES, "src": BLOCK_BYTES}, repeat, integers=integers)

    return plan


def _copy(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    unit.write(operands["dst"], plan.patterns["dst"], data, poison)


def _sort_plan(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat = repeat_of(instruction, integers)
    if repeat == 0:
        return None
    pattern = result_pattern(repeat, GROUP * FIELDS, GROUP * FIELDS)
    return Plan({"dst": pattern, "src": pattern}, {"dst": BLOCK_BYTES, "src": BLOCK_BYTES}, repeat, integers=integers)


def by_score(proposals: np.ndarray) -> np.ndarray:
    """Proposals (..., count, 8) with the highest score first; equal scores keep their order."""
    return np.take_along_axis(proposals, _order(proposals), axis=-2)


def _order(proposals: np.ndarray) -> np.ndarray:
    return np.argsort(-proposals[..., SCORE].astype(np.float32), axis=-1, kind="stable")[..., None]


def _sorted_poison(proposals: np.ndarray, poison: np.ndarray) -> np.ndarray:
    """Poison goes with its proposal; where a score is poison, so is the order and with it everything."""
    moved = np.take_along_axis(poison, _order(proposals), axis=-2)
    return np.asarray(moved | poison[..., SCORE].any(axis=-1)[..., None, None])


def _run_sort(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    shape = (*data.shape[:2], GROUP, FIELDS)
    proposals = data.reshape(shape)
    bad = None if poison is None else _sorted_poison(proposals, poison.reshape(shape)).reshape(data.shape)
    unit.write(operands["dst"], plan.patterns["dst"], by_score(proposals).reshape(data.shape), bad)


def _check_merge(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src_list": (UB,)})
    check_types(instruction, [("float16",)], ("dst",))
    lists = instruction.tensors["src_list"]
    if len(lists) > QUEUES or any(t.dtype != "float16" for t in lists):
        raise instruction.fail(ArgumentError, f"src_list holds up to {QUEUES} float16 tensors")
    if instruction.switches["if_exhausted_suspension"]:
        raise instruction.fail(UnavailableError, "if_exhausted_suspension is not modelled")
    bits = instruction.switches["valid_bit"]
    instruction.switches["valid_bit"] = int(bits, 2) if isinstance(bits, str) else int(bits)
    lengths = instruction.integers["element_lengths"]
    if not isinstance(lengths, tuple):
        instruction.integers["element_lengths"] = (lengths,) * len(lists)


def _merge_plan(instruction: Instruction, integers: Integers) -> Plan | None:
    lengths, valid = integers["element_lengths"], instruction.switches["valid_bit"]
    repeat = repeat_of(instruction, integers)
    queues = [i for i in range(len(instruction.tensors["src_list"])) if valid >> i & 1]
    for i in queues:
        instruction.require(f"element_lengths[{i}]", lengths[i], 1, MAX_QUEUE)
    if not queues or len(lengths) < len(instruction.tensors["src_list"]):
        raise instruction.fail(
            ArgumentError, "valid_bit must select a queue and element_lengths must have one entry per queue"
        )
    if repeat == 0:
        return None
    total = sum(lengths[i] for i in queues)
    patterns = {
        f"src_list[{i}]": Pattern(np.zeros((1, 0), np.int64)) for i in range(len(instruction.tensors["src_list"]))
    }
    for i in queues:
        patterns[f"src_list[{i}]"] = result_pattern(repeat, lengths[i] * FIELDS, total * FIELDS)
    patterns["dst"] = result_pattern(repeat, total * FIELDS, total * FIELDS)
    return Plan(patterns, dict.fromkeys(patterns, BLOCK_BYTES), repeat, integers=integers, detail={"queues": queues})


def _run_merge(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    parts, bad = [], []
    for i in plan.detail["queues"]:
        data, poison = unit.read(operands[f"src_list[{i}]"], plan.patterns[f"src_list[{i}]"])
        parts.append(data.reshape(*data.shape[:2], -1, FIELDS))
        bad.append(np.zeros_like(parts[-1], bool) if poison is None else poison.reshape(parts[-1].shape))
    queues, undefined = _joined(parts), _joined(bad)
    flat = by_score(queues).reshape(*queues.shape[:2], -1)
    poisoned = _sorted_poison(queues, undefined).reshape(flat.shape) if undefined.any() else None
    unit.write(operands["dst"], plan.patterns["dst"], flat, poisoned)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Queues of proposals one after another; those that all lanes share are repeated for each."""
    lanes = max(part.shape[0] for part in parts)
    return np.concatenate([np.broadcast_to(part, (lanes, *part.shape[1:])) for part in parts], axis=2)


def _merge_cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    per_repeat, latency = machine.vector("vmrgsort4", "float16")
    return per_repeat * plan.amount + MERGE_OVERHEAD, latency


def entries() -> list[Entry]:
    """vconcat, vextract, vrpsort16, vmrgsort4."""
    return [
        Entry(
            "vconcat",
            "dst src repeat_times mode_number",
            "V",
            _field_plan("dst", "src"),
            _copy,
            vector_cycles("vconcat"),
            check=_check,
        ),
        Entry(
            "vextract",
            "dst src repeat_times mode_number",
            "V",
            _field_plan("src", "dst"),
            _copy,
            vector_cycles("vextract"),
            check=_check,
        ),
        Entry(
            "vrpsort16",
            "dst src repeat_times",
            "V",
            _sort_plan,
            _run_sort,
            vector_cycles("vrpsort16"),
            check=_check,
            overlap=False,
        ),
        Entry(
            "vmrgsort4",
            "dst src_list element_lengths if_exhausted_suspension valid_bit repeat_times=1",
            "V",
            _merge_plan,
            _run_merge,
            _merge_cycles,
            reads=("src_list",),
            switches=("if_exhausted_suspension", "valid_bit"),
            check=_check_merge,
        ),
    ]
