"""Compare and select: bit masks in UB or in the compare-mask register, and choosing between two sources by a mask."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ..errors import LimitError
from .allocation import REGISTER, UB
from .patterns import BLOCK_BYTES, active_elements, result_pattern, vector_pattern
from .table import Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types
from .vector import MAX_REPEAT_STRIDE, mask_of, repeat_of, vector_cycles, widest

COMPARISONS: dict[str, Callable[..., np.ndarray]] = {
    "lt": np.less,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "le": np.less_equal,
}
MASK_TYPES = ("uint8", "uint16", "uint32", "uint64")
MASK_BYTES = 16
FLOATS = ("float16", "float32")


def pack(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Bits of the last axis, first bit lowest, as items of an unsigned type."""
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view(dtype)


def _items(instruction: Instruction, bits: int) -> int:
    return bits // 8 // np.dtype(instruction.tensors["dst"].dtype).itemsize


def _check_compare(instruction: Instruction) -> None:
    check_scopes(instruction, {"src0": (UB,), "src1": (UB,), "dst": (UB, REGISTER)})
    check_types(instruction, [(t, t) for t in FLOATS], ("src0", "src1"))
    check_types(instruction, [(t,) for t in MASK_TYPES], ("dst",))


def _plan_cmpv(instruction: Instruction, integers: Integers) -> Plan | None:
    width = widest(instruction, ("src0",))
    repeat = repeat_of(instruction, integers)
    for name in ("src0", "src1"):
        instruction.require(f"{name}_rep_stride", integers[f"{name}_rep_stride"], 0, MAX_REPEAT_STRIDE)
        instruction.require(f"{name}_blk_stride", integers.get(f"{name}_blk_stride", 1), 0, 255)
    if repeat == 0:
        return None
    itemsize = np.dtype(instruction.tensors["src0"].dtype).itemsize
    patterns = {
        n: vector_pattern(
            (width,), width, itemsize, repeat, integers.get(f"{n}_blk_stride", 1), integers[f"{n}_rep_stride"]
        )
        for n in ("src0", "src1")
    }
    per_repeat = _items(instruction, width)
    patterns["dst"] = result_pattern(repeat, per_repeat, per_repeat)
    return Plan(patterns, dict.fromkeys(patterns, BLOCK_BYTES), repeat, integers=integers)


def _run_cmpv(function: Callable[..., np.ndarray]) -> Callable[..., None]:
    def run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
        arrays, poison = unit.read_all(operands, plan.patterns, ("src0", "src1"))
        packed = pack(function(*arrays), instruction.tensors["dst"].dtype)
        bad = None if poison is None else pack(poison, instruction.tensors["dst"].dtype)
        unit.write_bits(operands["dst"], plan.patterns["dst"], packed, bad)

    return run


def _plan_cmp(instruction: Instruction, integers: Integers) -> Plan | None:
    width = widest(instruction, ("src0",))
    mask = mask_of(instruction, integers["mask"], width)
    itemsize = np.dtype(instruction.tensors["src0"].dtype).itemsize
    patterns = {n: vector_pattern(mask, width, itemsize, 1, integers[f"{n}_blk_stride"], 0) for n in ("src0", "src1")}
    patterns["dst"] = result_pattern(1, MASK_BYTES, MASK_BYTES)
    return Plan(
        patterns,
        {"src0": BLOCK_BYTES, "src1": BLOCK_BYTES},
        1,
        integers=integers,
        detail={"mask": mask, "width": width},
    )


def _run_cmp(function: Callable[..., np.ndarray]) -> Callable[..., None]:
    def run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
        arrays, poison = unit.read_all(operands, plan.patterns, ("src0", "src1"))
        chosen = function(*arrays)
        active = active_elements(plan.detail["mask"], plan.detail["width"])
        packed = [None if lanes is None else pack(_spread(lanes, active), "uint8") for lanes in (chosen, poison)]
        unit.write_bits(operands["dst"], plan.patterns["dst"], packed[0], packed[1])  # type: ignore[arg-type]

    return run


def _spread(lanes: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The active lanes at their places among the bits of the compare mask, the others 0."""
    bits = np.zeros((lanes.shape[0], 1, MASK_BYTES * 8), bool)
    bits[..., active] = lanes
    return bits


def _check_select(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src0": (UB,), "src1": (UB,), "sel": (UB, REGISTER)})
    check_types(instruction, [(t, t, t) for t in FLOATS], ("dst", "src0", "src1"))
    check_types(instruction, [(t,) for t in MASK_TYPES], ("sel",))
    if instruction.switches["mode"] != 0:
        raise instruction.fail(LimitError, f"mode is {instruction.switches['mode']}; Ascend 910 has mode 0 only")


def _plan_select(instruction: Instruction, integers: Integers) -> Plan | None:
    names = ("dst", "src0", "src1")
    width = widest(instruction, names)
    mask, repeat = mask_of(instruction, integers["mask"], width), repeat_of(instruction, integers)
    strides = {n: (integers.get(f"{n}_blk_stride", 1), integers[f"{n}_rep_stride"]) for n in names}
    for n in names:
        instruction.require(f"{n}_blk_stride", strides[n][0], 0, 255)
        instruction.require(f"{n}_rep_stride", strides[n][1], 0, MAX_REPEAT_STRIDE)
    if repeat == 0:
        return None
    itemsize = np.dtype(instruction.tensors["dst"].dtype).itemsize
    patterns = {n: vector_pattern(mask, width, itemsize, repeat, *strides[n]) for n in names}
    items = max(1, width // 8 // np.dtype(instruction.tensors["sel"].dtype).itemsize)
    patterns["sel"] = result_pattern(1, items, items)
    detail = {"mask": mask, "width": width, "strides": strides, "repeat": repeat}
    return Plan(patterns, dict.fromkeys(names, BLOCK_BYTES), repeat, integers=integers, detail=detail)


def _run_select(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    words, bad_words = unit.read_bits(operands["sel"], plan.patterns["sel"])
    active = active_elements(plan.detail["mask"], plan.detail["width"])
    chosen, undecided = (None if x is None else _unpacked(x)[..., active] for x in (words, bad_words))
    assert chosen is not None
    for patterns in unit.steps(plan, operands, ("src0", "src1")):
        first, bad_first = unit.read(operands["src0"], patterns["src0"])
        second, bad_second = unit.read(operands["src1"], patterns["src1"])
        poison = None
        if bad_first is not None or bad_second is not None or bad_words is not None:
            poison = np.where(chosen, _or_false(bad_first), _or_false(bad_second))
            poison = poison | _or_false(undecided)
            poison = np.broadcast_to(poison, (poison.shape[0], *patterns["dst"].shape))
        unit.write(operands["dst"], patterns["dst"], np.where(chosen, first, second), poison)


def _unpacked(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little").astype(bool)


def _or_false(poison: np.ndarray | None) -> Any:
    return False if poison is None else poison


def _plan_mask_move(instruction: Instruction, integers: Integers) -> Plan | None:
    patterns = {}
    for name in ("dst", "src"):
        items = MASK_BYTES // np.dtype(instruction.tensors[name].dtype).itemsize
        patterns[name] = result_pattern(1, items, items)
    return Plan(patterns, {n: MASK_BYTES for n in patterns if instruction.tensors[n].scope == UB}, 1)


def _check_mask_move(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB, REGISTER), "src": (UB, REGISTER)})
    for name in ("dst", "src"):
        check_types(instruction, [(t,) for t in MASK_TYPES], (name,))


def _run_mask_move(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    dtype = instruction.tensors["dst"].dtype
    words, poison = unit.read_bits(operands["src"], plan.patterns["src"])
    moved = [None if x is None else np.ascontiguousarray(x).view(dtype) for x in (words, poison)]
    unit.write_bits(operands["dst"], plan.patterns["dst"], moved[0], moved[1])  # type: ignore[arg-type]


def entries() -> list[Entry]:
    """vec_cmpv_*, vcmpv_*, vcmp_*, vsel, vec_sel, mov_cmpmask_to_tensor, mov_tensor_to_cmpmask."""
    pair = ("src0", "src1")
    found: list[Entry] = []
    for name, function in COMPARISONS.items():
        for form, strides in ((f"vec_cmpv_{name}", ""), (f"vcmpv_{name}", "src0_blk_stride src1_blk_stride ")):
            found.append(
                Entry(
                    form,
                    f"dst src0 src1 repeat_times {strides}src0_rep_stride src1_rep_stride",
                    "V",
                    _plan_cmpv,
                    _run_cmpv(function),
                    vector_cycles("vcmp"),
                    reads=pair,
                    check=_check_compare,
                    dtypes=FLOATS,
                )
            )
        found.append(
            Entry(
                f"vcmp_{name}",
                "dst mask src0 src1 src0_blk_stride=1 src1_blk_stride=1",
                "V",
                _plan_cmp,
                _run_cmp(function),
                vector_cycles("vcmp"),
                reads=pair,
                check=_check_compare,
            )
        )
    head, strides = "mask mode dst sel src0 src1 repeat_times", "dst_rep_stride=0 src0_rep_stride=0 src1_rep_stride=0"
    for name, parameters in (
        ("vsel", f"{head} dst_blk_stride src0_blk_stride src1_blk_stride {strides}"),
        ("vec_sel", f"{head} {strides}"),
    ):
        found.append(
            Entry(
                name,
                parameters,
                "V",
                _plan_select,
                _run_select,
                vector_cycles("vsel"),
                reads=("sel", *pair),
                switches=("mode",),
                check=_check_select,
                overlap=True,
                banked=True,
            )
        )
    for name in ("mov_cmpmask_to_tensor", "mov_tensor_to_cmpmask"):
        found.append(
            Entry(
                name, "dst src", "V", _plan_mask_move, _run_mask_move, vector_cycles("movemask"), check=_check_mask_move
            )
        )
    return found
