"""Conversion between types: ``vconv`` and ``vec_conv`` with their rounding modes, and the rounding rules that others share."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, DataTypeError, UnavailableError
from .allocation import UB
from .table import Entry, Instruction, Plan, Unit, check_scopes
from .vector import vector_cycles, vector_plan


def _half_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.rint,
    "round": np.rint,
    "away-zero": _half_away,
    "floor": np.floor,
    "ceil": np.ceil,
    "to-zero": np.trunc,
}
ALIASES = {"": "none", "ceiling": "ceil"}
TO_INTEGER = ("round", "away-zero", "floor", "ceil", "to-zero")

# (source, destination): rounding modes on Ascend 910
CONVERSIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("float32", "float16"): ("none", "odd"),
    ("float16", "float32"): ("none",),
    ("float16", "int8"): ("none", "away-zero", "floor", "ceil", "to-zero"),
    ("float16", "uint8"): ("none", "away-zero", "floor", "ceil", "to-zero"),
    ("float16", "int32"): TO_INTEGER,
    ("float32", "int32"): TO_INTEGER,
    ("int32", "float32"): ("none",),
    ("int8", "float16"): ("none",),
    ("uint8", "float16"): ("none",),
    ("int32", "float16"): ("none",),
}


def round_to_type(values: np.ndarray, dtype: str) -> np.ndarray:
    """Round to the nearest value of a type, ties to even."""
    return values if values.dtype == dtype else values.astype(dtype)


def round_to_odd(values: np.ndarray) -> np.ndarray:
    """float32 to float16: exact values stay; others go to the neighbour whose last mantissa bit is 1."""
    nearest = values.astype(np.float16)
    exact = nearest.astype(np.float32) == values
    towards_zero = np.where(
        np.abs(nearest.astype(np.float32)) > np.abs(values), np.nextafter(nearest, np.float16(0)), nearest
    )
    odd = (towards_zero.view(np.uint16) | np.uint16(1)).view(np.float16)
    return np.where(exact | np.isnan(values), nearest, odd)


def convert(values: np.ndarray, dtype: str, mode: str) -> np.ndarray:
    """Values in another type; integers saturate and NaN becomes 0."""
    if mode == "odd":
        return round_to_odd(values)
    if np.dtype(dtype).kind == "f":
        return round_to_type(values, dtype)
    rounded = np.nan_to_num(ROUNDINGS[mode](values.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf)
    limits = np.iinfo(dtype)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)


def _check(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst": (UB,), "src": (UB,)})
    mode = instruction.switches["round_mode"]
    if not isinstance(mode, str):
        raise instruction.fail(ArgumentError, f"round_mode is a string, not {mode!r}")
    instruction.switches["round_mode"] = mode = ALIASES.get(mode, mode)
    pair = (instruction.tensors["src"].dtype, instruction.tensors["dst"].dtype)
    if pair not in CONVERSIONS:
        raise instruction.fail(DataTypeError, f"Ascend 910 does not convert {pair[0]} to {pair[1]}")
    if mode not in CONVERSIONS[pair]:
        raise instruction.fail(
            DataTypeError, f"{pair[0]} to {pair[1]} has the rounding modes {', '.join(CONVERSIONS[pair])}; not {mode!r}"
        )
    if (pair == ("int32", "float16")) != (instruction.values["deqscale"] is not None):
        raise instruction.fail(DataTypeError, "deqscale belongs to int32 to float16, and only to that")
    if instruction.switches["ldst_high_half"]:
        raise instruction.fail(UnavailableError, "ldst_high_half is not modelled")


def _run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    dtype, mode = instruction.tensors["dst"].dtype, instruction.switches["round_mode"]
    for patterns in unit.steps(plan, operands, ("src",)):
        data, poison = unit.read(operands["src"], patterns["src"])
        if instruction.values["deqscale"] is not None:
            data = data.astype(np.float32) * unit.column(values["deqscale"], "float16", 2).astype(np.float32)
        unit.write(operands["dst"], patterns["dst"], convert(data, dtype, mode), poison)


def entries() -> list[Entry]:
    """vconv and vec_conv."""
    forms = (
        (
            "vconv",
            "mask round_mode dst src repeat_times dst_blk_stride src_blk_stride dst_rep_stride src_rep_stride "
            "deqscale=None ldst_high_half=False stride_unit=0",
        ),
        (
            "vec_conv",
            "mask round_mode dst src repeat_times dst_rep_stride src_rep_stride deqscale=None ldst_high_half=False",
        ),
    )
    return [
        Entry(
            name,
            parameters,
            "V",
            vector_plan(("dst", "src"), 65535),
            _run,
            vector_cycles("vconv"),
            values=("deqscale",),
            switches=("round_mode", "ldst_high_half"),
            check=_check,
            overlap=True,
            banked=True,
        )
        for name, parameters in forms
    ]
