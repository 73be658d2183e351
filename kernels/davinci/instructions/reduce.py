"""Reductions inside a repeat: over all its elements (vc*), over each block (vcg*), over neighbours (vcpadd)."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ..errors import LimitError, UnavailableError
from ..machine import Machine
from .allocation import UB
from .patterns import BLOCK_BYTES, active_elements, result_pattern, vector_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types
from .vector import REPEAT_BYTES, mask_of, repeat_of, vector_cycles, widest

F16, F32 = "float16", "float32"
BLOCKS = 8
VALUE_INDEX_BYTES = 4
MAX_REDUCE_REPEAT, MAX_INDEXED_REPEAT = 4095, 511
LAST_FOR_MAXIMUM = {"max": -np.inf, "min": np.inf}


def tree_sum(values: np.ndarray) -> np.ndarray:
    """Sum of the last axis, a power of two long: neighbours first, every level rounded to the type."""
    while values.shape[-1] > 1:
        values = values[..., 0::2] + values[..., 1::2]
    return values[..., 0]


def _plan(per_repeat: int, unit: int, alignment: int) -> Callable[[Instruction, Integers], Plan | None]:
    """Plan of a reduction that leaves ``per_repeat`` elements, its destination stride in units of ``unit`` elements."""

    def plan(instruction: Instruction, integers: Integers) -> Plan | None:
        if integers.get("stride_unit", 0) != 0:
            raise instruction.fail(LimitError, f"stride_unit is {integers['stride_unit']}; only 0 is modelled")
        width = widest(instruction, ("src",))
        itemsize = np.dtype(instruction.tensors["src"].dtype).itemsize
        mask, repeat = mask_of(instruction, integers["mask"], width), repeat_of(instruction, integers)
        block = integers.get("src_blk_stride", 1)
        instruction.require("src_blk_stride", block, 0, 65535)
        for name, limit in (("src_rep_stride", 65535), ("dst_rep_stride", 65535)):
            instruction.require(name, integers[name], 0, limit)
        if repeat == 0:
            return None
        patterns = {
            "src": vector_pattern(mask, width, itemsize, repeat, block, integers["src_rep_stride"]),
            "dst": result_pattern(repeat, per_repeat, integers["dst_rep_stride"] * unit),
        }
        aligned = {"src": BLOCK_BYTES, "dst": alignment or itemsize}
        return Plan(patterns, aligned, repeat, integers=integers, detail={"mask": mask, "width": width})

    return plan


def _expanded(plan: Plan, array: np.ndarray, fill: Any) -> np.ndarray:
    """Active elements put back to their places among the repeat's ``width``."""
    full = np.full((*array.shape[:-1], plan.detail["width"]), fill, array.dtype)
    full[..., active_elements(plan.detail["mask"], plan.detail["width"])] = array
    return full


def _run(reduce: Callable[[Instruction, np.ndarray], np.ndarray], fill: float, spread: int) -> Callable[..., None]:
    """The meaning of a reduction; ``spread`` elements (0 for all) feed each result."""

    def run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
        for patterns in unit.steps(plan, operands, ("src",)):
            array, poison = unit.read(operands["src"], patterns["src"])
            result = reduce(instruction, _expanded(plan, array, array.dtype.type(fill)))
            bad = _undefined(plan, poison, result.shape, spread, np.isfinite(fill))
            unit.write(operands["dst"], patterns["dst"], result, bad)

    return run


def _undefined(
    plan: Plan, poison: np.ndarray | None, shape: tuple[int, ...], spread: int, empty_is_zero: bool
) -> np.ndarray | None:
    """Which results are undefined: those fed by poison, and maxima of no elements."""
    full = None if poison is None else _expanded(plan, poison, False)
    groups = 1 if spread == 0 else plan.detail["width"] // spread
    bad = None if full is None else full.reshape(*full.shape[:-1], groups, -1).any(axis=-1)
    if not empty_is_zero and spread:
        active = np.zeros(plan.detail["width"], bool)
        active[active_elements(plan.detail["mask"], plan.detail["width"])] = True
        empty = ~active.reshape(groups, -1).any(axis=-1)
        if empty.any():
            bad = np.broadcast_to(empty, (1, *shape[1:])) if bad is None else bad | empty
    return None if bad is None else np.broadcast_to(bad, (bad.shape[0], *shape[1:]))


def _sum(instruction: Instruction, full: np.ndarray) -> np.ndarray:
    return tree_sum(full)[..., None]


def _block_sum(instruction: Instruction, full: np.ndarray) -> np.ndarray:
    return tree_sum(full.reshape(*full.shape[:-1], BLOCKS, -1))


def _pair_sum(instruction: Instruction, full: np.ndarray) -> np.ndarray:
    return np.asarray(full[..., 0::2] + full[..., 1::2])


def extreme(kind: str) -> Callable[[Instruction, np.ndarray], np.ndarray]:
    """(value, index) of the first largest or smallest element; the index is the bit pattern of an unsigned 16-bit number."""
    locate = np.argmax if kind == "max" else np.argmin

    def reduce(instruction: Instruction, full: np.ndarray) -> np.ndarray:
        index = locate(full, axis=-1)
        value = np.take_along_axis(full, index[..., None], axis=-1)[..., 0]
        bits = index.astype(np.uint16).view(np.float16)
        pair = (bits, value) if instruction.switches.get("index_low") else (value, bits)
        return np.stack(pair, axis=-1)

    return reduce


def _block_extreme(function: Callable[..., np.ndarray]) -> Callable[[Instruction, np.ndarray], np.ndarray]:
    return lambda instruction, full: function(full.reshape(*full.shape[:-1], BLOCKS, -1), axis=-1)


def _check(types: tuple[str, ...]) -> Callable[[Instruction], None]:
    def check(instruction: Instruction) -> None:
        check_scopes(instruction, {"dst": (UB,), "src": (UB,)})
        check_types(instruction, [(t, t) for t in types], ("dst", "src"))
        if instruction.switches.get("max_cnt_index") is not None:
            raise instruction.fail(UnavailableError, "max_cnt_index is not modelled")

    return check


def _plan_whole(instruction: Instruction, integers: Integers) -> Plan | None:
    """vec_reduce_max and vec_reduce_min: the work tensor takes a (value, index) pair per repeat."""
    indexed = bool(instruction.switches["cal_index"])
    mask = mask_of(instruction, integers["mask"], REPEAT_BYTES // 2)
    repeat = repeat_of(instruction, integers, MAX_INDEXED_REPEAT if indexed else MAX_REDUCE_REPEAT)
    stride = integers["src_rep_stride"]
    instruction.require("src_rep_stride", stride, 0, 65535)
    if indexed and stride != BLOCKS:
        raise instruction.fail(
            UnavailableError, f"cal_index with src_rep_stride {stride} is not modelled; only 8 (contiguous) is"
        )
    if repeat == 0:
        return None
    patterns = {
        "src": vector_pattern(mask, REPEAT_BYTES // 2, 2, repeat, 1, stride),
        "work_tensor": result_pattern(repeat, 2, 2),
        "dst": result_pattern(1, 2 if indexed else 1, 2),
    }
    aligned = {"src": BLOCK_BYTES, "work_tensor": BLOCK_BYTES, "dst": VALUE_INDEX_BYTES}
    return Plan(patterns, aligned, repeat, integers=integers, detail={"mask": mask, "width": REPEAT_BYTES // 2})


def _run_whole(kind: str) -> Callable[..., None]:
    reduce = extreme(kind)

    def run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
        array, poison = unit.read(operands["src"], plan.patterns["src"])
        pairs = reduce(instruction, _expanded(plan, array, array.dtype.type(LAST_FOR_MAXIMUM[kind])))
        bad = None if poison is None else poison.any(axis=(1, 2), keepdims=True)
        unit.write(operands["work_tensor"], plan.patterns["work_tensor"], pairs, _spread(bad, pairs.shape))
        best = (np.argmax if kind == "max" else np.argmin)(pairs[..., 0], axis=1)
        chosen = np.take_along_axis(pairs, best[:, None, None], axis=1)
        index = best[:, None] * (REPEAT_BYTES // 2) + np.ascontiguousarray(chosen[..., 1]).view(np.uint16)
        chosen[..., 1] = index.astype(np.uint16).view(np.float16)
        result = chosen[..., : plan.patterns["dst"].shape[1]]
        unit.write(operands["dst"], plan.patterns["dst"], result, _spread(bad, result.shape))

    return run


def _spread(bad: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    return None if bad is None else np.broadcast_to(bad, (bad.shape[0], *shape[1:]))


def _whole_cycles(kind: str) -> Callable[[Machine, Instruction, Plan], Cost]:
    """vcmax over all repeats, then over the results, level by level."""

    def cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
        per_repeat, latency = machine.vector(f"vc{kind}", F16)
        total, count = 0.0, int(plan.amount)
        while count > 1:
            total += count * per_repeat + latency
            count = -(-count // (REPEAT_BYTES // VALUE_INDEX_BYTES))
        return total + per_repeat, latency

    return cycles


def entries() -> list[Entry]:
    """vcadd, vcmax, vcmin, vcgadd, vcgmax, vcgmin, vcpadd, vec_cpadd, vec_reduce_max, vec_reduce_min."""
    full = "mask dst src repeat_times dst_rep_stride src_blk_stride src_rep_stride stride_unit=0"
    found: list[Entry] = []

    def add(name: str, parameters: str, plan: Any, run: Any, types: tuple[str, ...], cost: str) -> None:
        found.append(
            Entry(
                name,
                parameters,
                "V",
                plan,
                run,
                vector_cycles(cost),
                check=_check(types),
                dtypes=types,
                switches=("index_low", "max_cnt_index"),
            )
        )

    add("vcadd", full, _plan(1, 1, 0), _run(_sum, 0.0, 0), (F16, F32), "vcadd")
    for kind in ("max", "min"):
        worst = LAST_FOR_MAXIMUM[kind]
        parameters = f"{full} index_low=False max_cnt_index=None"
        add(f"vc{kind}", parameters, _plan(2, 2, VALUE_INDEX_BYTES), _run(extreme(kind), worst, 0), (F16,), f"vc{kind}")
        block = _block_extreme(np.max if kind == "max" else np.min)
        add(f"vcg{kind}", full, _plan(BLOCKS, BLOCKS, 16), _run(block, worst, 16), (F16,), f"vcg{kind}")
        found.append(
            Entry(
                f"vec_reduce_{kind}",
                "mask dst src work_tensor repeat_times src_rep_stride cal_index=False",
                "V",
                _plan_whole,
                _run_whole(kind),
                _whole_cycles(kind),
                writes=("dst", "work_tensor"),
                switches=("cal_index",),
                check=_check((F16,)),
                dtypes=(F16,),
            )
        )
    add("vcgadd", full, _plan(BLOCKS, BLOCKS, 16), _run(_block_sum, 0.0, 16), (F16,), "vcgadd")
    add("vcpadd", full, _plan(64, 64, BLOCK_BYTES), _run(_pair_sum, 0.0, 2), (F16,), "vcpadd")
    add(
        "vec_cpadd",
        "mask dst src repeat_times dst_rep_stride src_rep_stride",
        _plan(64, 64, BLOCK_BYTES),
        _run(_pair_sum, 0.0, 2),
        (F16,),
        "vcpadd",
    )
    return found
