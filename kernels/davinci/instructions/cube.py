"""The matrix unit: ``load2dv1``, ``load3dv1`` and ``mmad``.

Layouts, in fractals of 16 rows: L0A is zZ ``[M1][K1][m][k]``, L0B is nZ ``[K1][N1][n][k]``, L0C is zN ``[N1][M1][m][n]``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import DataTypeError, ScopeError, UnavailableError
from ..machine import Machine
from .allocation import GLOBAL, L0A, L0B, L0C, L1
from .patterns import BLOCK_BYTES, FRACTAL_BYTES, Pattern, strided_pattern
from .table import Cost, Entry, Instruction, Integers, Plan, Unit, check_scopes, check_types

FRACTAL_ROWS = 16
MAX_EXTENT = 4095
LOAD_TYPES = ("uint8", "int8", "uint16", "int16", "float16")
MMAD_TYPES = [
    ("float16", "float16", "float32"),
    ("float16", "float16", "float16"),
    ("int8", "int8", "int32"),
    ("uint8", "uint8", "uint32"),
    ("uint8", "int8", "int32"),
]


def _check_load2d(instruction: Instruction) -> None:
    source, _destination = instruction.tensors["src"], instruction.tensors["dst"]
    check_scopes(instruction, {"src": (GLOBAL, L1), "dst": (L0A, L0B) if source.scope == L1 else (L1, L0A, L0B)})
    check_types(instruction, [(t, t) for t in LOAD_TYPES], ("dst", "src"))
    instruction.switches["if_transpose"] = bool(instruction.switches["if_transpose"])
    if instruction.switches["if_transpose"]:
        if source.scope != L1:
            raise instruction.fail(ScopeError, "only loads from L1 can transpose")
        if np.dtype(source.dtype).itemsize != 2:
            raise instruction.fail(DataTypeError, f"the transpose works on 16-bit items, not {source.dtype}")
    if instruction.switches["addr_mode"] not in (None, "inc", "dec", 0, 1):
        raise instruction.fail(DataTypeError, f"addr_mode is 'inc' or 'dec', not {instruction.switches['addr_mode']!r}")


def _load2d_pipe(instruction: Instruction) -> str:
    return "MTE2" if instruction.tensors["src"].scope == GLOBAL else "MTE1"


def _plan_load2d(instruction: Instruction, integers: Integers) -> Plan | None:
    repeat, index, stride = integers["repeat_times"], integers["index"], integers["src_stride"]
    instruction.require("repeat_times", repeat, 1 if instruction.fixed else 0, 255)
    instruction.require("index", index, 0, 65535)
    instruction.require("src_stride", stride, 0, 65535)
    instruction.require("sid", integers["sid"], 0, 15)
    if repeat == 0:
        return None
    items = FRACTAL_BYTES // np.dtype(instruction.tensors["src"].dtype).itemsize
    step = -stride if instruction.switches["addr_mode"] in ("dec", 1) else stride
    patterns = {
        "src": strided_pattern(repeat, step * items, items, index * items),
        "dst": strided_pattern(repeat, items, items),
    }
    alignment = {n: _cube_alignment(instruction.tensors[n]) for n in ("src", "dst")}
    return Plan(
        patterns,
        alignment,
        repeat * FRACTAL_BYTES,
        integers=integers,
        detail={"bursts": repeat, "bytes": repeat * FRACTAL_BYTES},
    )


def _cube_alignment(tensor: Any) -> int:
    if tensor.scope in (L0A, L0B):
        return FRACTAL_BYTES
    if tensor.scope == L0C:
        return FRACTAL_BYTES // 2 * np.dtype(tensor.dtype).itemsize
    return 1 if tensor.scope == GLOBAL else BLOCK_BYTES


def _run_load2d(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    data, poison = unit.read(operands["src"], plan.patterns["src"])
    if instruction.switches["if_transpose"]:
        data = _transposed(data)
        poison = None if poison is None else _transposed(poison)
    unit.write(operands["dst"], plan.patterns["dst"], data, poison)


def _transposed(fractals: np.ndarray) -> np.ndarray:
    lanes, repeat = fractals.shape[:2]
    return fractals.reshape(lanes, repeat, 16, 16).swapaxes(2, 3).reshape(lanes, repeat, 256)


def _load_cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    """From L1 the pipe is held for the fractals and a gap; what goes to L0A is ready before the gap, to L0B after it."""
    if instruction.tensors["src"].scope == GLOBAL:
        return machine["gm.burst_overhead"] * plan.detail["bursts"], machine["gm.read_latency"]
    to_left = instruction.tensors["dst"].scope == L0A
    gap = machine["gap.load2d"]
    return plan.amount / machine["path.l1_l0a" if to_left else "path.l1_l0b"] + gap, -gap if to_left else 0


def _check_mmad(instruction: Instruction) -> None:
    check_scopes(instruction, {"dst_fm": (L0C,), "src_fm": (L0A,), "src_filter": (L0B,)})
    check_types(instruction, MMAD_TYPES, ("src_fm", "src_filter", "dst_fm"))
    for name, value in instruction.switches.items():
        if value not in (0, None):
            raise instruction.fail(UnavailableError, f"{name} {value!r} is not modelled")


def _k_block(instruction: Instruction) -> int:
    return BLOCK_BYTES // np.dtype(instruction.tensors["src_fm"].dtype).itemsize


def _blocks(integers: Integers, k_block: int) -> tuple[int, int, int]:
    return (
        -(-integers["matrix_m"] // FRACTAL_ROWS),
        -(-integers["matrix_k"] // k_block),
        -(-integers["matrix_n"] // FRACTAL_ROWS),
    )


def _plan_mmad(instruction: Instruction, integers: Integers) -> Plan | None:
    for name in ("matrix_m", "matrix_k", "matrix_n"):
        instruction.require(name, integers[name], 1 if instruction.fixed else 0, MAX_EXTENT)
    instruction.require("is_bias", integers["is_bias"], 0, 1)
    if integers["matrix_m"] == 1:
        raise instruction.fail(
            UnavailableError, "matrix_m 1 selects the vector layout of L0A, which is not modelled; pad m to 16"
        )
    m1, k1, n1 = _blocks(integers, _k_block(instruction))
    if not m1 * k1 * n1:
        return None
    items = FRACTAL_ROWS * _k_block(instruction)
    patterns = {
        "src_fm": strided_pattern(1, 0, m1 * k1 * items),
        "src_filter": strided_pattern(1, 0, k1 * n1 * items),
        "dst_fm": strided_pattern(1, 0, n1 * m1 * FRACTAL_ROWS**2),
    }
    alignment = {n: _cube_alignment(instruction.tensors[n]) for n in patterns}
    detail = {"blocks": (m1, k1, n1), "flop": 2 * integers["matrix_m"] * integers["matrix_k"] * integers["matrix_n"]}
    return Plan(patterns, alignment, m1 * k1 * n1, integers=integers, detail=detail)


def _run_mmad(
    unit: Unit, instruction: Instruction, plan: Plan, operands: dict[str, Any], values: dict[str, Any]
) -> None:
    integers, k_block = plan.integers, _k_block(instruction)
    m1, k1, n1 = plan.detail["blocks"]
    m, k, n = integers["matrix_m"], integers["matrix_k"], integers["matrix_n"]
    left = _matrix(unit, operands["src_fm"], plan.patterns["src_fm"], (m1, k1, FRACTAL_ROWS, k_block), m, k)
    right = _matrix(
        unit, operands["src_filter"], plan.patterns["src_filter"], (k1, n1, FRACTAL_ROWS, k_block), n, k, swap=True
    )
    dtype = np.dtype(instruction.tensors["dst_fm"].dtype)
    accumulator = np.float64 if dtype.kind in "iu" else np.float32  # integer sums stay far below 2^53
    product = np.matmul(left[0].astype(accumulator), right[0].astype(accumulator).swapaxes(1, 2))
    poison = _product_poison(left[1], right[1])
    shape = (n1, m1, FRACTAL_ROWS, FRACTAL_ROWS)
    if integers["is_bias"]:
        previous, bad = _accumulated(unit, operands["dst_fm"], plan.patterns["dst_fm"], shape, m, n)
        product = product + previous
        poison = bad if poison is None else (poison if bad is None else poison | bad)
    result = np.zeros((product.shape[0], m1 * FRACTAL_ROWS, n1 * FRACTAL_ROWS), dtype)
    result[:, :m, :n] = product.astype(dtype)
    bad_result = None
    if poison is not None or (m, n) != (m1 * FRACTAL_ROWS, n1 * FRACTAL_ROWS):
        bad_result = np.ones(result.shape, bool)
        bad_result[:, :m, :n] = False if poison is None else poison
        bad_result = _to_fractals(bad_result, n1, m1)
    unit.write(operands["dst_fm"], plan.patterns["dst_fm"], _to_fractals(result, n1, m1), bad_result)


def _to_fractals(matrix: np.ndarray, n1: int, m1: int) -> np.ndarray:
    lanes = matrix.shape[0]
    return matrix.reshape(lanes, m1, FRACTAL_ROWS, n1, FRACTAL_ROWS).transpose(0, 3, 1, 2, 4).reshape(lanes, 1, -1)


def _matrix(
    unit: Unit,
    operand: Any,
    pattern: Pattern,
    shape: tuple[int, int, int, int],
    rows: int,
    columns: int,
    swap: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """An L0A or L0B operand as (lanes, rows, k); the right one is stored K-major and comes back as (lanes, n, k)."""
    data, poison = unit.read(operand, _used_fractal_rows(shape, rows, columns, swap))
    lanes = data.shape[0]
    return data.reshape(lanes, rows, columns), None if poison is None else poison.reshape(lanes, rows, columns)


@lru_cache(maxsize=512)
def _used_fractal_rows(shape: tuple[int, int, int, int], rows: int, columns: int, swap: bool) -> Pattern:
    """The elements inside rows x columns of a fractal matrix, in row-major order of the matrix."""
    outer, inner, r, c = shape
    index = np.arange(outer * inner * r * c).reshape(shape)
    order = (1, 2, 0, 3) if swap else (0, 2, 1, 3)
    extent = (inner * r, outer * c) if swap else (outer * r, inner * c)
    return Pattern(np.ascontiguousarray(index.transpose(order).reshape(extent)[:rows, :columns]))


@lru_cache(maxsize=512)
def _used_result(shape: tuple[int, int, int, int], m: int, n: int) -> Pattern:
    index = np.arange(int(np.prod(shape))).reshape(shape)
    n1, m1, r, c = shape
    return Pattern(np.ascontiguousarray(index.transpose(1, 2, 0, 3).reshape(m1 * r, n1 * c)[:m, :n]))


def _accumulated(
    unit: Unit, operand: Any, pattern: Pattern, shape: tuple[int, int, int, int], m: int, n: int
) -> tuple[np.ndarray, np.ndarray | None]:
    data, poison = unit.read(operand, _used_result(shape, m, n))
    return data, poison


def _product_poison(left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray | None:
    rows = None if left is None else left.any(axis=2)[:, :, None]
    columns = None if right is None else right.any(axis=2)[:, None, :]
    if rows is None or columns is None:
        return columns if rows is None else rows
    return np.asarray(rows | columns)


def _mmad_cycles(machine: Machine, instruction: Instruction, plan: Plan) -> Cost:
    m1, k1, n1 = plan.detail["blocks"]
    penalty = k1 - 2 if k1 > 1 and (m1 % 2 or n1 % 2) else 0
    return m1 * k1 * n1 + penalty + machine["mmad.issue"], machine["mmad.latency"]


def entries() -> list[Entry]:
    """load2dv1 and mmad."""
    return [
        Entry(
            "load2dv1",
            "dst src index repeat_times src_stride sid if_transpose=False addr_mode=None",
            _load2d_pipe,
            _plan_load2d,
            _run_load2d,
            _load_cycles,
            switches=("if_transpose", "addr_mode"),
            check=_check_load2d,
        ),
        Entry(
            "mmad",
            "dst_fm src_fm src_filter matrix_m matrix_k matrix_n is_bias fm_offset=0 en_weight_offset=0 smask=None",
            "M",
            _plan_mmad,
            _run_mmad,
            _mmad_cycles,
            reads=("src_fm", "src_filter"),
            writes=("dst_fm",),
            accumulator=("dst_fm", "is_bias"),
            switches=("fm_offset", "en_weight_offset", "smask"),
            check=_check_mmad,
        ),
    ]
