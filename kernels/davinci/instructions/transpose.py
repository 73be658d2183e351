"""Transposes in UB: ``vnchwconv`` between lists of rows, ``vec_trans`` and ``vtranspose`` of 16 x 16 tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..machine import Machine
from .allocation import UB
from .patterns import BLOCK_BYTES, FRACTAL_BYTES, strided_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types
from .vector import repeat_of, vector_cycles

TILE = 16
ROWS = 16
MAX_TRANS_REPEAT = 4095
BYTE_COST = 7
WORD_COST = 40  # TIK composes a 32-bit transpose of 32 of 16 bits and 16 copies of a block at half their cost
HALF_TYPES = ("float16", "int16", "uint16")
BYTE_TYPES = ("int8", "uint8")
WORD_TYPES = ("float32", "int32", "uint32")


def _check_lists(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst_list": (UB,), "src_list": (UB,)})
    for name in ("dst_list", "src_list"):
        if not isinstance(instruction.tensors[name], (list, tuple)) or len(instruction.tensors[name]) != ROWS:
            raise instruction.fail(ArgumentError, f"{name} must be a list of {ROWS} tensors")
    types = {t.dtype for t in instruction.operands.values()}
    if len(types) != 1 or types & {*HALF_TYPES, *BYTE_TYPES, *WORD_TYPES} != types:
        raise instruction.fail(
            ArgumentError, f"all rows have one type of 8, 16 or 32 bits; got {', '.join(sorted(types))}"
        )


def _plan_lists(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat = repeat_of(instruction, integers)
    itemsize = np.dtype(instruction.operands["src_list[0]"].dtype).itemsize
    for name in ("dst_rep_stride", "src_rep_stride"):
        instruction.require(name, integers[name], 0, 65535)
    if repeat == 0:
        return None
    patterns = {}
    for side in ("dst", "src"):
        high = bool(instruction.switches[f"{side}_high_half"]) and itemsize == 1  # wider items have no halves
        step = integers[f"{side}_rep_stride"] * BLOCK_BYTES // itemsize
        pattern = strided_pattern(repeat, step, min(TILE, BLOCK_BYTES // itemsize), TILE if high else 0)
        patterns.update({f"{side}_list[{i}]": pattern for i in range(ROWS)})
    return Plan(
        patterns, dict.fromkeys(patterns, BLOCK_BYTES), repeat, integers=integers, detail={"itemsize": itemsize}
    )


def _run_lists(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """dst_list[j][i] = src_list[i][j], repeat by repeat.

    Rows of 8 items of 32 bits become columns of 16, of which dst_list[2j] and dst_list[2j + 1] take one half each.
    """
    for r in range(int(plan.amount)):
        rows, poisons = [], []
        for i in range(ROWS):
            name = f"src_list[{i}]"
            row, poison = unit.read(operands[name], plan.patterns[name].part(slice(r, r + 1)))
            rows.append(row[:, 0])
            poisons.append(np.zeros((1, row.shape[-1]), bool) if poison is None else poison[:, 0])
        tile, bad_tile = (_columns(np.stack(np.broadcast_arrays(*parts), axis=1)) for parts in (rows, poisons))
        for j in range(ROWS):
            name = f"dst_list[{j}]"
            pattern = plan.patterns[name].part(slice(r, r + 1))
            bad = bad_tile[:, None, j]
            unit.write(operands[name], pattern, tile[:, None, j], bad if bad.any() else None)


def _columns(tile: np.ndarray) -> np.ndarray:
    """The columns of a tile of 16 rows, one after another, cut into 16 rows again."""
    return np.ascontiguousarray(tile.swapaxes(1, 2)).reshape(tile.shape)


def _list_cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    per_repeat, latency = machine.vector("vnchwconv", "float16")
    return plan.amount * per_repeat * {1: BYTE_COST, 4: WORD_COST}.get(plan.detail["itemsize"], 1), latency


def _check_tile(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src": (UB,)})
    check_types(instruction, [(t, t) for t in HALF_TYPES], ("dst", "src"))


def _plan_tiles(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat = repeat_of(instruction, integers, MAX_TRANS_REPEAT) if "repeat_times" in integers else 1
    strides = {n: integers.get(f"{n}_rep_stride", 1) for n in ("dst", "src")}
    for name, stride in strides.items():
        instruction.require(f"{name}_rep_stride", stride, 0, 65535)
    if repeat == 0:
        return None
    items = FRACTAL_BYTES // 2
    patterns = {n: strided_pattern(repeat, strides[n] * items, items) for n in strides}
    return Plan(patterns, dict.fromkeys(patterns, BLOCK_BYTES), repeat, integers=integers)


def _run_tiles(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    for patterns in unit.steps(plan, operands, ("src",)):
        data, poison = unit.read(operands["src"], patterns["src"])
        unit.write(operands["dst"], patterns["dst"], _turned(data), None if poison is None else _turned(poison))


def _turned(tiles: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tiles.reshape(*tiles.shape[:2], TILE, TILE).swapaxes(2, 3)).reshape(tiles.shape)


def entries() -> list[Entry]:
    """vnchwconv (also called vec_trans_scatter), vec_trans, vtranspose."""
    cycles = vector_cycles("vtranspose")
    return [
        *[
            Entry(
                name,
                "dst_high_half src_high_half dst_list src_list repeat_times dst_rep_stride src_rep_stride",
                "V",
                _plan_lists,
                _run_lists,
                _list_cycles,
                reads=("src_list",),
                writes=("dst_list",),
                switches=("dst_high_half", "src_high_half"),
                check=_check_lists,
            )
            for name in ("vnchwconv", "vec_trans_scatter")
        ],
        Entry(
            "vec_trans",
            "dst src repeat_times dst_rep_stride src_rep_stride",
            "V",
            _plan_tiles,
            _run_tiles,
            cycles,
            check=_check_tile,
            overlap=True,
        ),
        Entry("vtranspose", "dst src", "V", _plan_tiles, _run_tiles, cycles, check=_check_tile, overlap=True),
    ]
