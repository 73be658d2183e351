"""Data movement between global memory and the buffers: ``data_move`` and ``tensor_mov`` with all their units and conversions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataTypeError, ScopeError, UnavailableError
from ..machine import Machine
from .allocation import GLOBAL, L0C, L1, UB
from .convert import round_to_type
from .patterns import BLOCK_BYTES, FRACTAL_BYTES, Pattern, burst_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit

MAX_BURSTS, MAX_BURST, MAX_GAP, MAX_SID = 4095, 65535, 65535, 15

# (source scope, destination scope): pipe
ROUTES: dict[tuple[str, str], str] = {
    (GLOBAL, UB): "MTE2",
    (GLOBAL, L1): "MTE2",
    (L1, UB): "MTE1",
    (UB, GLOBAL): "MTE3",
    (UB, L1): "MTE3",
    (UB, UB): "V",
    (L0C, UB): "V",
    (UB, L0C): "V",
}

# conversion mode between L0C and UB: (source type, destination type, relu)
CONVERSIONS: dict[int, tuple[str, str, bool]] = {
    1: ("float32", "float16", False),
    2: ("float32", "float16", True),
    3: ("int32", "float16", False),
    4: ("float16", "float32", False),
    6: ("float16", "float16", False),
}
SAME_TYPE_MODES = {0: False, 5: True}


def _route(instruction: Instruction) -> str:
    source, destination = instruction.tensors["src"].scope, instruction.tensors["dst"].scope
    pipe = ROUTES.get((source, destination))
    if pipe is None:
        raise instruction.fail(ScopeError, f"Ascend 910 has no path from {source} to {destination}")
    return pipe


def _check_data_move(instruction: Instruction) -> None:
    source, destination = instruction.tensors["src"], instruction.tensors["dst"]
    _route(instruction)
    mode = instruction.switches.get("mode")
    if not isinstance(mode, int):
        raise instruction.fail(UnavailableError, f"mode is {mode!r}; it is a Python integer")
    if L0C in (source.scope, destination.scope):
        _check_conversion(instruction, mode, source.dtype, destination.dtype)
    elif mode != 0 and destination.scope == L1:  # into UB there is no padding, whatever the mode
        raise instruction.fail(UnavailableError, f"padding mode {mode} is not modelled; only 0 is")
    elif np.dtype(source.dtype).itemsize != np.dtype(destination.dtype).itemsize:
        raise instruction.fail(
            DataTypeError,
            f"src is {source.dtype} and dst is {destination.dtype}; a plain move converts nothing, both have one size",
        )
    if instruction.atomic and destination.scope == GLOBAL and destination.dtype != "float32":
        raise instruction.fail(DataTypeError, f"atomic add on Ascend 910 takes float32, not {destination.dtype}")


def _check_conversion(instruction: Instruction, mode: int, source: str, destination: str) -> None:
    if mode in SAME_TYPE_MODES:
        if source != destination:
            raise instruction.fail(
                DataTypeError, f"conversion mode {mode} keeps the type; src is {source}, dst is {destination}"
            )
    elif mode in CONVERSIONS:
        wanted = CONVERSIONS[mode][:2]
        if (source, destination) != wanted:
            raise instruction.fail(
                DataTypeError,
                f"conversion mode {mode} is {wanted[0]} to {wanted[1]}; src is {source}, dst is {destination}",
            )
        if mode in (3, 6) and instruction.values.get("deqscale") is None:
            raise instruction.fail(DataTypeError, f"conversion mode {mode} dequantises and needs deqscale")
    else:
        raise instruction.fail(UnavailableError, f"conversion mode {mode} is not modelled; 0 to 6 are")


def _units(instruction: Instruction, name: str, vector: bool) -> tuple[int, int]:
    """Elements per burst unit and per gap unit on one side of the move."""
    tensor = instruction.tensors[name]
    itemsize = np.dtype(tensor.dtype).itemsize
    if L0C not in (instruction.tensors["src"].scope, instruction.tensors["dst"].scope):
        return BLOCK_BYTES // itemsize, BLOCK_BYTES // itemsize
    unit = 16 if vector else FRACTAL_BYTES // 2
    return unit, (FRACTAL_BYTES // 2 if tensor.scope == L0C else BLOCK_BYTES // itemsize)


def _alignment(instruction: Instruction, name: str) -> int:
    tensor = instruction.tensors[name]
    if tensor.scope == L0C:
        return FRACTAL_BYTES // 2 * np.dtype(tensor.dtype).itemsize
    return 1 if tensor.scope == GLOBAL else BLOCK_BYTES


def plan_move(instruction: Instruction, integers: Integers) -> Plan | None:
    """Patterns and bytes of ``nburst`` bursts, each followed by a gap on either side."""
    bursts, units = integers["nburst"], integers["burst"]
    low = 1 if instruction.fixed else 0
    instruction.require("sid", integers["sid"], 0, MAX_SID)
    instruction.require("nburst", bursts, low, MAX_BURSTS)
    instruction.require("burst", units, low, MAX_BURST)
    for name in ("src", "dst"):
        instruction.require(f"{name}_stride", integers[f"{name}_stride"], 0, MAX_GAP)
    if bursts == 0 or units == 0:
        return None
    vector = instruction.switches.get("block_mode") == "v"
    patterns: dict[str, Pattern] = {}
    for name in ("src", "dst"):
        unit, gap = _units(instruction, name, vector)
        patterns[name] = burst_pattern(bursts, units, integers[f"{name}_stride"], unit, gap)
    count = patterns["src"].count
    size = max(np.dtype(instruction.tensors[n].dtype).itemsize for n in ("src", "dst"))
    detail = {"bursts": bursts if integers["src_stride"] or integers["dst_stride"] else 1, "bytes": count * size}
    alignment = {n: _alignment(instruction, n) for n in ("src", "dst")}
    return Plan(patterns, alignment, count * size, whole_blocks=True, integers=integers, detail=detail)


def run_move(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    """Copy, converting between L0C and UB, or adding atomically into global memory."""
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    relu = False
    if L0C in (instruction.tensors["src"].scope, instruction.tensors["dst"].scope):
        mode = instruction.switches["mode"]
        relu = mode in (2, 5)
        if mode in (3, 6):
            data = data * unit.column(values["deqscale"], "float32", 2)
    else:
        data = np.ascontiguousarray(data).view(instruction.tensors["dst"].dtype)
        if operands["src"].storage is operands["dst"].storage:
            data = data.copy()
    if relu:
        data = np.maximum(data, data.dtype.type(0))
    if instruction.atomic and instruction.tensors["dst"].scope == GLOBAL:
        unit.add_atomically(operands["dst"], plan.patterns["dst"], data, poison)
        return
    unit.write(operands["dst"], plan.patterns["dst"], round_to_type(data, instruction.tensors["dst"].dtype), poison)


PATHS: dict[tuple[str, str], tuple[str, str]] = {
    (L1, UB): ("path.l1_ub", "latency.l1_path"),
    (UB, L1): ("path.ub_l1", "latency.l1_path"),
    (UB, UB): ("path.ub_ub", "latency.ub_ub"),
    (L0C, UB): ("path.l0c_ub", "latency.vector"),
    (UB, L0C): ("path.l0c_ub", "latency.vector"),
}


def move_cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    """Bytes over the path's rate plus one micro-operation per 512 bytes or per burst; then the path's latency.

    Moves to and from global memory are finished by the timeline, which knows how much of a tensor is warm in L2.
    """
    source, destination = instruction.tensors["src"].scope, instruction.tensors["dst"].scope
    overhead = machine["gm.burst_overhead"] * max(np.ceil(plan.amount / FRACTAL_BYTES), plan.detail["bursts"])
    if source == GLOBAL or destination == GLOBAL:
        latency = machine["gm.read_latency"] if source == GLOBAL else machine["gm.write_latency"]
        return overhead, latency
    rate, latency_name = PATHS[(source, destination)]
    bursts = plan.integers["nburst"]
    return bursts * float(np.ceil(plan.amount / bursts / machine[rate])), machine[latency_name]


def _tensor_mov_mode(instruction: Instruction) -> None:
    source, destination = instruction.tensors["src"], instruction.tensors["dst"]
    block_mode = instruction.switches["block_mode"]
    if block_mode not in ("", "m", "v"):
        raise instruction.fail(UnavailableError, f"block_mode {block_mode!r} is not modelled; '', 'm' and 'v' are")
    for name in ("pad_mode", "pad_value", "onthefly_mode", "src_onthefly", "src_onthefly_stride", "sid_store_mode"):
        if instruction.switches[name] not in (None, 0):
            raise instruction.fail(UnavailableError, f"{name} = {instruction.switches[name]!r} is not modelled")
    relu = bool(instruction.switches["relu"])
    types = (source.dtype, destination.dtype)
    modes: dict[tuple[tuple[str, str], bool], int] = {(c[:2], c[2]): m for m, c in CONVERSIONS.items() if m != 6}
    same = 5 if relu else 0
    if types == ("float16", "float16") and instruction.values["deqscale"] is not None:
        same = 6
    mode = same if types[0] == types[1] else modes.get((types, relu))
    if mode is None:
        raise instruction.fail(
            DataTypeError, f"no conversion from {types[0]} to {types[1]}{' with relu' if relu else ''}"
        )
    instruction.switches["mode"] = mode
    instruction.integers["sid"] = 0
    _check_data_move(instruction)


def _broadcast_plan(instruction: Instruction, integers: Integers) -> Plan | None:
    bursts, units = integers["nburst"], integers["burst"]
    low = 1 if instruction.fixed else 0
    instruction.require("nburst", bursts, low, MAX_BURSTS)
    instruction.require("burst", units, low, MAX_BURST)
    if bursts == 0 or units == 0:
        return None
    itemsize = np.dtype(instruction.tensors["src"].dtype).itemsize
    patterns = {
        "src": burst_pattern(bursts, units, integers["src_stride"], 16, BLOCK_BYTES // itemsize),
        "dst": burst_pattern(bursts, units, integers["dst_stride"], 256, 256),
    }
    detail = {"bursts": bursts, "bytes": patterns["dst"].count * 4}
    alignment = {"src": BLOCK_BYTES, "dst": 256 * np.dtype(instruction.tensors["dst"].dtype).itemsize}
    return Plan(patterns, alignment, patterns["dst"].count * 4, whole_blocks=True, integers=integers, detail=detail)


def _run_broadcast(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    rows = [np.repeat(x.reshape(x.shape[0], -1, 1, 16), 16, axis=2) for x in (data, poison) if x is not None]
    unit.write(operands["dst"], plan.patterns["dst"], rows[0], rows[1] if poison is not None else None)


def entries() -> list[Entry]:
    """data_move, tensor_mov and broadcast_ub_to_l0c."""
    common: dict[str, Any] = {"pipe": _route, "run": run_move, "cycles": move_cycles, "values": ("deqscale",)}
    return [
        Entry(
            "data_move",
            "dst src sid nburst burst src_stride dst_stride mode=0 deqscale=None",
            plan=plan_move,
            switches=("mode",),
            check=_check_data_move,
            **common,
        ),
        Entry(
            "tensor_mov",
            "dst src block_mode nburst burst dst_stride src_stride deqscale=None sid_store_mode=0 relu=False "
            "pad_mode=None pad_value=None onthefly_mode=0 src_onthefly=None src_onthefly_stride=0",
            plan=plan_move,
            check=_tensor_mov_mode,
            switches=(
                "block_mode",
                "sid_store_mode",
                "relu",
                "pad_mode",
                "pad_value",
                "onthefly_mode",
                "src_onthefly",
                "src_onthefly_stride",
            ),
            **common,
        ),
        Entry(
            "broadcast_ub_to_l0c",
            "dst src nburst burst src_stride dst_stride",
            "V",
            _broadcast_plan,
            _run_broadcast,
            move_cycles,
        ),
    ]
