"""Element-wise vector instructions: two sources, one source, source and scalar, fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from ..errors import LimitError
from ..machine import Machine
from .allocation import UB
from .patterns import BLOCK_BYTES, vector_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types

REPEAT_BYTES = 256
MAX_REPEAT = 255
MAX_REPEAT_STRIDE = 255

Function = Callable[..., np.ndarray]


def mask_of(instruction: Instruction, mask: Any, width: int) -> tuple[int, ...]:
    """The checked mask: ``(n,)`` or ``(high, low)``."""
    if isinstance(mask, int):
        instruction.require("mask", mask, 1, width)
        return (mask,)
    if len(mask) != 2:
        raise instruction.fail(LimitError, f"a mask list has two 64-bit words, not {len(mask)}")
    high, low = mask = [word % 2**64 if -(2**63) <= word < 0 else word for word in mask]  # registers are signed
    for word in mask:
        instruction.require("mask word", word, 0, 2**64 - 1)
    if width <= 64:
        high = 0  # there are no such elements
    if high == 0 and low == 0:
        raise instruction.fail(LimitError, "both mask words are 0: no element would be selected")
    return (high, low)


def repeat_of(instruction: Instruction, integers: Integers, limit: int = MAX_REPEAT) -> int:
    """The checked repeat count; 0 is a no-op that only a scalar may ask for."""
    repeat: int = integers["repeat_times"]
    instruction.require("repeat_times", repeat, 1 if instruction.fixed else 0, limit)
    return repeat


def widest(instruction: Instruction, names: Sequence[str]) -> int:
    """Elements per repeat: set by the widest item among the operands."""
    return REPEAT_BYTES // max(np.dtype(instruction.tensors[n].dtype).itemsize for n in names)


def vector_plan(names: Sequence[str], block_limit: int) -> Callable[[Instruction, Integers], Plan | None]:
    """The plan of an element-wise instruction over the tensor operands ``names``."""

    def plan(instruction: Instruction, integers: Integers) -> Plan | None:
        if integers.get("stride_unit", 0) != 0:
            raise instruction.fail(
                LimitError, f"stride_unit is {integers['stride_unit']}; only 0 (32-byte blocks) is modelled"
            )
        width = widest(instruction, names)
        mask = mask_of(instruction, integers["mask"], width)
        repeat = repeat_of(instruction, integers)
        strides = {n: _strides(instruction, integers, n, block_limit) for n in names}
        if repeat == 0:
            return None
        patterns = {
            n: vector_pattern(mask, width, np.dtype(instruction.tensors[n].dtype).itemsize, repeat, *strides[n])
            for n in names
        }
        detail = {"strides": strides, "repeat": repeat, "mask": mask, "width": width}
        return Plan(patterns, {n: BLOCK_BYTES for n in names}, repeat, integers=integers, detail=detail)

    return plan


def _strides(instruction: Instruction, integers: Integers, name: str, block_limit: int) -> tuple[int, int]:
    block = integers.get(f"{name}_blk_stride", 1)
    repeat = integers.get(f"{name}_rep_stride", 0)
    instruction.require(f"{name}_blk_stride", block, 0, block_limit)
    instruction.require(f"{name}_rep_stride", repeat, 0, MAX_REPEAT_STRIDE)
    return block, repeat


def elementwise(function: Function, sources: Sequence[str], value: str | None = None) -> Callable[..., None]:
    """The meaning of ``dst = function(*sources[, value])``, rounded to dst's type."""

    def run(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
        for patterns in unit.steps(plan, operands, sources):
            arrays, poison = unit.read_all(operands, patterns, sources)
            if value is not None:
                arrays.append(unit.column(values[value], instruction.tensors[sources[0]].dtype, 2))
            unit.write(operands["dst"], patterns["dst"], function(*arrays), poison)

    return run


def vector_cycles(operation: str) -> Callable[[Machine, Instruction, Plan], Cost]:
    """Occupancy = repeats x cycles per repeat; latency after the last repeat."""

    def cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
        tensors = instruction.tensors
        source = next(tensors[name] for name in ("src", "src0", "dst") if name in tensors)
        per_repeat, latency = machine.vector(operation, source.dtype)
        return plan.amount * per_repeat, latency

    return cycles


def _all_in_ub(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {n: (UB,) for n in names}


def _check(allowed: Sequence[tuple[str, ...]], names: Sequence[str]) -> Callable[[Instruction], None]:
    def check(instruction: Instruction) -> None:
        check_scopes(instruction, _all_in_ub(names))
        check_types(instruction, allowed, names)

    return check


def _same(types: Sequence[str], count: int) -> list[tuple[str, ...]]:
    return [(t,) * count for t in types]


F16, F32, I32, I16, U16, U32 = "float16", "float32", "int32", "int16", "uint16", "uint32"
FLOATS = (F16, F32)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.maximum(x, x.dtype.type(0))


def table_lookup(x: np.ndarray) -> np.ndarray:
    """Round a positive-function value to what the 8-bit tables of vrec and vrsqrt give: low by 2^-9, 8 mantissa bits."""
    mantissa, exponent = np.frexp(x.astype(np.float64) * (1 - 2.0**-9))
    return np.ldexp(np.rint(mantissa * 512) / 512, exponent)


def _wide(function: Function) -> Function:
    """Evaluate in double precision; the result is rounded once when it is stored."""
    return lambda x: function(x.astype(np.float64))


def _multiply_accumulate(a: np.ndarray, b: np.ndarray, dst: np.ndarray) -> np.ndarray:
    return (a.astype(dst.dtype) * b.astype(dst.dtype)) + dst


# name: (meaning, types of (dst, src0, src1), reads dst)
TWO_SOURCES: dict[str, tuple[Function, list[tuple[str, ...]], bool]] = {
    "vadd": (np.add, _same((F16, F32, I32), 3), False),
    "vsub": (np.subtract, _same((F16, F32, I32), 3), False),
    "vmul": (np.multiply, _same((F16, F32, I32), 3), False),
    "vmax": (np.maximum, _same((F16, F32, I32), 3), False),
    "vmin": (np.minimum, _same((F16, F32, I32), 3), False),
    "vdiv": (np.divide, _same(FLOATS, 3), False),
    "vand": (np.bitwise_and, _same((I16, U16), 3), False),
    "vor": (np.bitwise_or, _same((I16, U16), 3), False),
    "vmla": (_multiply_accumulate, [*_same(FLOATS, 3), (F32, F16, F16)], True),
    "vmadd": (lambda a, b, dst: a * dst + b, _same(FLOATS, 3), True),
    "vmaddrelu": (lambda a, b, dst: relu(a * dst + b), _same(FLOATS, 3), True),
}
ACCUMULATING = ("vadd", "vsub", "vmul", "vmax", "vmin", "vand", "vor")
OPEN_TWO_SOURCES = ("add", "sub", "mul", "max", "min", "and", "or")

ONE_SOURCE: dict[str, tuple[Function, tuple[str, ...]]] = {
    "vrelu": (relu, (F16,)),
    "vabs": (np.abs, FLOATS),
    "vexp": (_wide(np.exp), FLOATS),
    "vln": (_wide(np.log), FLOATS),
    "vsqrt": (_wide(np.sqrt), FLOATS),
    "vrec": (lambda x: table_lookup(1 / x.astype(np.float64)), FLOATS),
    "vrsqrt": (lambda x: table_lookup(1 / np.sqrt(x.astype(np.float64))), FLOATS),
    "vnot": (np.invert, (I16, U16)),
}
OPEN_ONE_SOURCE = ("relu", "abs", "exp", "ln", "rec", "rsqrt", "not")

WITH_SCALAR: dict[str, Function] = {"vadds": np.add, "vmuls": np.multiply}


def two_source_entries() -> list[Entry]:
    """vadd ... vmaddrelu and vec_add ... vec_or."""
    names = ("dst", "src0", "src1")
    tail = "dst_blk_stride src0_blk_stride src1_blk_stride dst_rep_stride src0_rep_stride src1_rep_stride stride_unit=0"
    entries = []
    for name, (function, types, reads_dst) in TWO_SOURCES.items():
        sources = ("src0", "src1", "dst") if reads_dst else ("src0", "src1")
        forms = [(name, f"mask dst src0 src1 repeat_times {tail}")]
        if name[1:] in OPEN_TWO_SOURCES:
            forms.append(
                (f"vec_{name[1:]}", "mask dst src0 src1 repeat_times dst_rep_stride src0_rep_stride src1_rep_stride")
            )
        for form, parameters in forms:
            entries.append(
                Entry(
                    form,
                    parameters,
                    "V",
                    vector_plan(names, 255),
                    elementwise(function, sources),
                    vector_cycles(name),
                    reads=sources,
                    check=_check(types, names),
                    dtypes=tuple({t[-1] for t in types}),
                    overlap=True,
                    accumulates=name in ACCUMULATING,
                    banked=True,
                )
            )
    return entries


def one_source_entries() -> list[Entry]:
    """vrelu ... vnot and vec_relu ... vec_not."""
    names = ("dst", "src")
    entries = []
    for name, (function, types) in ONE_SOURCE.items():
        forms = [
            (
                name,
                "mask dst src repeat_times dst_blk_stride src_blk_stride dst_rep_stride src_rep_stride stride_unit=0",
            )
        ]
        if name[1:] in OPEN_ONE_SOURCE:
            forms.append((f"vec_{name[1:]}", "mask dst src repeat_times dst_rep_stride src_rep_stride"))
        for form, parameters in forms:
            entries.append(
                Entry(
                    form,
                    parameters,
                    "V",
                    vector_plan(names, 65535),
                    elementwise(function, ("src",)),
                    vector_cycles(name),
                    check=_check(_same(types, 2), names),
                    dtypes=types,
                    overlap=True,
                    banked=True,
                )
            )
    return entries


def scalar_entries() -> list[Entry]:
    """vadds, vmuls, vaxpy, their vec_ forms, vector_dup and vec_dup."""
    names = ("dst", "src")
    full = "mask dst src scalar repeat_times dst_blk_stride src_blk_stride dst_rep_stride src_rep_stride stride_unit=0"
    opened = "mask dst src scalar repeat_times dst_rep_stride src_rep_stride mask_mode=normal"
    entries = []

    def add(
        name: str,
        form: str,
        parameters: str,
        run: Callable[..., None],
        types: list[tuple[str, ...]],
        reads: tuple[str, ...],
    ) -> None:
        entries.append(
            Entry(
                form,
                parameters,
                "V",
                vector_plan(names, 65535),
                run,
                vector_cycles(name),
                reads=reads,
                values=("scalar",),
                switches=("mask_mode",),
                check=_check(types, names),
                dtypes=tuple({t[-1] for t in types}),
                overlap=True,
                banked=True,
            )
        )

    for name, function in WITH_SCALAR.items():
        for form, parameters in ((name, full), (f"vec_{name[1:]}", opened)):
            add(name, form, parameters, elementwise(function, ("src",), "scalar"), _same(FLOATS, 2), ("src",))
    axpy = elementwise(
        lambda src, dst, scalar: src.astype(dst.dtype) * scalar.astype(dst.dtype) + dst, ("src", "dst"), "scalar"
    )
    for form, parameters in (("vaxpy", full), ("vec_axpy", opened)):
        add("vaxpy", form, parameters, axpy, [*_same(FLOATS, 2), (F32, F16)], ("src", "dst"))
    return entries


def _fill(unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]) -> None:
    column = unit.column(values["scalar"], instruction.tensors["dst"].dtype, 2)
    pattern = plan.patterns["dst"]
    unit.write(operands["dst"], pattern, np.broadcast_to(column, (column.shape[0], *pattern.shape)), None)


def fill_entries() -> list[Entry]:
    """vector_dup and vec_dup."""
    check = _check(_same((U16, I16, F16, U32, I32, F32), 1), ("dst",))
    forms = (
        ("vector_dup", "mask dst scalar repeat_times dst_blk_stride dst_rep_stride stride_unit=0"),
        ("vec_dup", "mask dst scalar repeat_times dst_rep_stride"),
    )
    return [
        Entry(
            form,
            parameters,
            "V",
            vector_plan(("dst",), 65535),
            _fill,
            vector_cycles("vector_dup"),
            reads=(),
            values=("scalar",),
            check=check,
            banked=True,
        )
        for form, parameters in forms
    ]


def entries() -> list[Entry]:
    """All element-wise instructions."""
    return [*two_source_entries(), *one_source_entries(), *scalar_entries(), *fill_entries()]
