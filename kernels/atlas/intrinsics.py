"""The table of the device's intrinsics: operand layout, meaning, where the meaning was read, pipe, cost.

A compiled kernel calls a library of bitcode (the wheel's `meta_op.*.c220.bc`, Apache-2.0), and the library calls
intrinsics, `llvm.hivm.NAME`. What stands here is all that the machine executes: an intrinsic without a row raises
`UnknownIntrinsicError` by name. The C++ of the machine takes layouts, costs and the arithmetic of the vector unit from
this table (`header.py`), so each fact has one place.

Bit positions were read in that bitcode: its wrappers unpack structs whose fields have names and shift them into the
operand words. Meanings carry one of the origins below. No text of a CANN document was used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NAME = "the name and the types in it"
USE = "how the library's wrappers use it (bitcode of ascendnpu-ir 1.2.0, Apache-2.0)"
ASSUMED = "assumed"

# Operand layouts: field -> (word, first bit, number of bits). Strides of the vector unit are in blocks of 32 bytes.
LAYOUTS: dict[str, dict[str, tuple[int, int, int]]] = {
    "Binary": {
        "destination_block": (0, 0, 8),
        "left_block": (0, 8, 8),
        "right_block": (0, 16, 8),
        "destination_repeat": (0, 24, 8),
        "left_repeat": (0, 32, 8),
        "right_repeat": (0, 40, 8),
        "repeats": (0, 56, 8),
    },
    "Select": {
        "destination_block": (0, 0, 8),
        "left_block": (0, 8, 8),
        "right_block": (0, 16, 8),
        "destination_repeat": (0, 24, 8),
        "left_repeat": (0, 32, 8),
        "right_repeat": (0, 40, 8),
        "mode": (0, 48, 2),
        "repeats": (0, 56, 8),
    },
    "Unary": {
        "destination_block": (0, 0, 16),
        "source_block": (0, 16, 16),
        "destination_repeat_low": (0, 32, 8),
        "source_repeat": (0, 40, 12),
        "destination_repeat_high": (0, 52, 4),
        "repeats": (0, 56, 8),
    },
    "Reduce": {
        "destination_repeat": (0, 0, 16),
        "source_block": (0, 16, 16),
        "source_repeat": (0, 32, 16),
        "repeats": (0, 56, 8),
    },
    "Move": {  # gaps: bytes in global memory, blocks of 32 bytes in the unified buffer
        "rows": (0, 4, 12),
        "bytes": (0, 16, 21),
        "left_padding": (0, 48, 6),
        "right_padding": (0, 54, 6),
        "source_gap": (1, 0, 32),
        "destination_gap": (1, 32, 32),
    },
    "BlockMove": {
        "rows": (0, 4, 12),
        "blocks": (0, 16, 16),
        "source_gap": (0, 32, 16),
        "destination_gap": (0, 48, 16),
    },
    "Fractal": {  # source steps in items, destination steps in blocks of 32 bytes, between matrices in items
        "matrices": (0, 4, 12),
        "rows": (0, 16, 16),
        "columns": (0, 32, 16),
        "source_matrix": (0, 48, 16),
        "source_row": (1, 0, 16),
        "destination_group": (1, 16, 16),
        "destination_row": (1, 32, 16),
        "destination_matrix": (1, 48, 16),
    },
    "Image": {
        "channels": (0, 0, 16),
        "positions": (0, 16, 16),
        "first_channel": (0, 32, 16),
        "first_position": (0, 48, 16),
        "stride": (1, 0, 6),
        "window_width": (1, 12, 8),
        "window_height": (1, 20, 8),
        "transposed": (1, 46, 1),
        "second_map": (1, 47, 1),
    },
    "Multiply": {
        "rows": (0, 0, 12),
        "inner": (0, 12, 12),
        "columns": (0, 24, 12),
        "unit_flag": (0, 55, 2),
        "aligned_inner": (0, 58, 1),
        "biased": (0, 62, 1),
        "first": (0, 63, 1),
    },
    "Fill": {"rows": (0, 0, 15), "blocks": (0, 16, 15), "gap": (0, 32, 15)},
    "Result": {
        "columns": (0, 4, 12),
        "rows": (0, 16, 16),
        "destination_row": (0, 32, 32),
        "source_group": (1, 0, 16),
        "scale": (1, 34, 5),
        "relu": (1, 39, 3),
        "to_rows": (1, 43, 1),
    },
}

SIZES = {"f32": 4, "s32": 4, "u32": 4, "f16": 2, "bf16": 2, "s16": 2, "u16": 2, "s8": 1, "u8": 1}
SCALARS = {"f32": "float", "f16": "_Float16", "bf16": "_Float16"}  # how a scalar operand is passed; integers: 64 bits


@dataclass(frozen=True)
class Intrinsic:
    """One instruction.

    Attributes:
        name: as in `llvm.hivm.NAME`.
        pipe: the pipe that executes it.
        layout: the layout of its operand words, a key of `LAYOUTS`, or "" for plain values.
        meaning: what it does.
        origin: where the meaning was read.
        cycles: cycles that one unit of work keeps the pipe: a repeat of 256 bytes (V), a byte (moves), a step of 16 x 16
            x 16 or 16 x 16 x 4 multiply-adds (M), an access (S).
        latency: cycles from the end of that to the result.
        start: cycles that every instruction keeps the pipe beside its units.
        entry: the line of C++ that defines it, or "" where `machine/` has a function of its own.
    """

    name: str
    pipe: str
    layout: str
    meaning: str
    origin: str
    cycles: float = 0.0
    latency: float = 0.0
    start: float = 0.0
    entry: str = ""

    @property
    def symbol(self) -> str:
        """The name in C++."""
        return self.name.replace(".", "_")


@dataclass(frozen=True)
class Family:
    """The same operation of the vector unit on several types: `result` in C++ over x (and y), `cycles` per item size."""

    name: str
    macro: str
    layout: str
    types: str
    result: str
    origin: str
    cycles: tuple[float, float]  # of 2-byte and of 4-byte items, per repeat
    latency: float


# Cycles per repeat: msKPP's measured tables of the 910B; latencies: PyPTO's A2 model, 15 for the vector pipe included.
ONE, TWO, FOUR_TWO, FOUR = (1.0, 1.0), (2.0, 2.0), (4.0, 2.0), (4.0, 4.0)
IEEE = f"{NAME}; rounding to nearest {ASSUMED}"
WRAPS = f"{NAME}; integers wrap around: {ASSUMED}"
MAXIMUM = f"{NAME}; of a NaN: {ASSUMED}"
FLOATS, INTEGERS = "f32 f16", "s32 s16"

FAMILIES = (
    Family("VADD", "BINARY", "Binary", FLOATS, "x + y", IEEE, TWO, 21),
    Family("VSUB", "BINARY", "Binary", FLOATS, "x - y", IEEE, TWO, 21),
    Family("VMUL", "BINARY", "Binary", FLOATS, "x * y", IEEE, TWO, 22),
    Family("VDIV", "BINARY", "Binary", FLOATS, "x / y", IEEE, FOUR, 28),
    Family("VMAX", "BINARY", "Binary", FLOATS, "std::fmax(x, y)", MAXIMUM, TWO, 19),
    Family("VMIN", "BINARY", "Binary", FLOATS, "std::fmin(x, y)", MAXIMUM, TWO, 19),
    Family("VADD", "BINARY", "Binary", INTEGERS, "x + y", WRAPS, TWO, 21),
    Family("VSUB", "BINARY", "Binary", INTEGERS, "x - y", WRAPS, TWO, 21),
    Family("VMUL", "BINARY", "Binary", INTEGERS, "x * y", WRAPS, TWO, 22),
    Family("VMAX", "BINARY", "Binary", INTEGERS, "std::max(x, y)", NAME, TWO, 19),
    Family("VMIN", "BINARY", "Binary", INTEGERS, "std::min(x, y)", NAME, TWO, 19),
    Family("VAND", "BINARY", "Binary", "s16 u16", "x & y", NAME, TWO, 21),
    Family("VOR", "BINARY", "Binary", "s16 u16", "x | y", NAME, TWO, 21),
    Family("VNOT", "UNARY", "Unary", "s16 u16", "~x", NAME, ONE, 21),
    Family("VABS", "UNARY", "Unary", FLOATS, "std::fabs(x)", NAME, ONE, 19),
    Family("VRELU", "UNARY", "Unary", FLOATS, "x > 0 ? x : 0", MAXIMUM, ONE, 19),
    Family("VEXP", "UNARY", "Unary", FLOATS, "std::exp(x)", f"{NAME}; accuracy {ASSUMED}", FOUR_TWO, 27),
    Family("VLN", "UNARY", "Unary", FLOATS, "std::log(x)", f"{NAME}; accuracy {ASSUMED}", FOUR_TWO, 29),
    Family("VSQRT", "UNARY", "Unary", FLOATS, "std::sqrt(x)", f"{NAME}; accuracy {ASSUMED}", FOUR_TWO, 28),
    Family("VADDS", "SCALAR", "Unary", FLOATS, "x + y", IEEE, ONE, 21),
    Family("VMULS", "SCALAR", "Unary", FLOATS, "x * y", IEEE, ONE, 22),
    Family("VMAXS", "SCALAR", "Unary", FLOATS, "std::fmax(x, y)", MAXIMUM, ONE, 19),
    Family("VMINS", "SCALAR", "Unary", FLOATS, "std::fmin(x, y)", MAXIMUM, ONE, 19),
    Family("VADDS", "SCALAR", "Unary", INTEGERS, "x + y", WRAPS, ONE, 21),
    Family("VMULS", "SCALAR", "Unary", INTEGERS, "x * y", WRAPS, ONE, 22),
    Family("VMAXS", "SCALAR", "Unary", INTEGERS, "std::max(x, y)", NAME, ONE, 19),
    Family("VMINS", "SCALAR", "Unary", INTEGERS, "std::min(x, y)", NAME, ONE, 19),
    Family("VSHL", "SCALAR", "Unary", "s32 u32 s16 u16", "x << y", NAME, ONE, 21),
    Family("VCMPV.EQ", "COMPARE", "Binary", "f32 f16 s32", "x == y", USE, TWO, 21),
    Family("VCMPV.NE", "COMPARE", "Binary", FLOATS, "x != y", USE, TWO, 21),
    Family("VCMPV.LT", "COMPARE", "Binary", FLOATS, "x < y", USE, TWO, 21),
    Family("VCMPV.GT", "COMPARE", "Binary", FLOATS, "x > y", USE, TWO, 21),
    Family("VCMPV.LE", "COMPARE", "Binary", FLOATS, "x <= y", USE, TWO, 21),
    Family("VCMPV.GE", "COMPARE", "Binary", FLOATS, "x >= y", USE, TWO, 21),
    Family("VCMPVS.EQ", "COMPARE_SCALAR", "Unary", "f32 f16 s32", "x == y", USE, TWO, 21),
    Family("VCMPVS.NE", "COMPARE_SCALAR", "Unary", FLOATS, "x != y", USE, TWO, 21),
    Family("VCMPVS.LT", "COMPARE_SCALAR", "Unary", FLOATS, "x < y", USE, TWO, 21),
    Family("VCMPVS.GT", "COMPARE_SCALAR", "Unary", FLOATS, "x > y", USE, TWO, 21),
    Family("VCMPVS.LE", "COMPARE_SCALAR", "Unary", FLOATS, "x <= y", USE, TWO, 21),
    Family("VCMPVS.GE", "COMPARE_SCALAR", "Unary", FLOATS, "x >= y", USE, TWO, 21),
    Family("MOVEV", "FILL", "Unary", "f32 f16 bf16 s32 u32 s16 u16", "the scalar", NAME, ONE, 16),
)

# Conversions: source, destination, rounding modes (none: exact).
CONVERSIONS = (
    ("f32", "f16", "rafczo"),
    ("f32", "bf16", "rafcz"),
    ("f32", "f32", "rafcz"),
    ("f32", "s32", "rafcz"),
    ("f32", "s16", "rafcz"),
    ("f16", "f32", ""),
    ("f16", "s32", "rafcz"),
    ("f16", "s8", "rafcz"),
    ("f16", "u8", "rafcz"),
    ("bf16", "f32", ""),
    ("bf16", "s32", "rafcz"),
    ("s32", "f32", "rafcz"),
    ("s16", "f16", "rafcz"),
    ("s16", "f32", ""),
    ("s8", "f16", ""),
    ("u8", "f16", ""),
)

COUNTER = f"in counter mode the count holds for every repeat: {ASSUMED}, the library's broadcast of rows needs it"
ORDER = f"neighbours are added first: {ASSUMED}"
VALUE_ONLY = 2  # the order of value and index in a result, as the library's template parameter has it: the value alone


def _families() -> Iterator[Intrinsic]:
    for family in FAMILIES:
        for kind in family.types.split():
            name = f"{family.name}.{kind}"
            cycles = family.cycles[SIZES[kind] == 4]
            yield Intrinsic(
                name,
                "V",
                family.layout,
                family.result,
                family.origin,
                cycles,
                family.latency,
                entry=_entry(family, kind),
            )


def _entry(family: Family, kind: str) -> str:
    symbol = f"{family.name}.{kind}".replace(".", "_")
    scalar = f", {SCALARS.get(kind, 'uint64_t')}" if family.macro in ("SCALAR", "COMPARE_SCALAR", "FILL") else ""
    if family.macro == "FILL":
        return f"FILL({symbol}, {kind}{scalar})"
    exact = kind in ("s32", "u32", "s16", "u16")
    wrapped = f"uint32_t({family.result})" if exact else f"{kind}::Put({family.result})"
    result = family.result if family.macro.startswith("COMPARE") else wrapped
    return f"{family.macro}({symbol}, {kind}{scalar}, {result})"


def _conversions() -> Iterator[Intrinsic]:
    names = {"r": "to nearest, ties to even", "a": "to nearest, ties away from 0", "f": "down", "c": "up", "z": "to 0"}
    names["o"] = "to odd"
    for source, destination, modes in CONVERSIONS:
        for mode in modes or " ":
            name = f"VCONV.{source}2{destination}{mode.strip()}.v220"
            meaning = f"{source} to {destination}" + (f", rounded {names[mode]}" if mode in names else "")
            symbol, way = name.replace(".", "_"), f"'{mode.strip() or 'r'}'"
            entry = f"CONVERT({symbol}, {destination}, {source}, {way})"
            if source == destination:
                meaning = f"to an integer in {source}, rounded {names[mode]}"
                entry = f"UNARY({symbol}, {source}, {source}::Put(RoundToIntegral<{way}>(x)))"
            origin = f"{NAME}; beyond the range: {ASSUMED} to saturate"
            yield Intrinsic(name, "V", "Unary", meaning, origin, 1.0, 19.0, entry=entry)


def _copies_and_folds() -> Iterator[Intrinsic]:
    for kind in ("u16", "u32"):
        name = f"VCOPY.{kind}"
        yield Intrinsic(name, "V", "Unary", "a copy", COUNTER, 1.0, 16.0, entry=f"COPY(VCOPY_{kind}, {kind})")
    for bits in ("16", "32"):
        name, entry = f"VBRCB.b{bits}", f"BLOCKS(VBRCB_b{bits}, u{bits})"
        yield Intrinsic(name, "V", "Unary", "8 items become 8 blocks", USE, 1.0, 16.0, entry=entry)
    for kind in ("f32", "f16"):
        name, entry = f"VSEL.{kind}.1", f"SELECT(VSEL_{kind}_1, {kind})"
        yield Intrinsic(name, "V", "Select", "bit ? left : right; modes 0 and 2", USE, 2.0, 21.0, entry=entry)
        four = SIZES[kind] == 4
        name, entry = f"VCADD.{kind}.order", f"FOLD_REPEAT(VCADD_{kind}_order, {kind}, 0, x + y)"
        yield Intrinsic(name, "V", "Reduce", "a repeat to its sum", ORDER, 3.0 if four else 7.0, 35.0, entry=entry)
        for extreme in ("MAX", "MIN"):
            result = f"std::f{extreme.lower()}(x, y)"
            name, entry = (
                f"VC{extreme}.{kind}.order.v220",
                f"VC{extreme}_{kind}_order_v220, {kind}, {VALUE_ONLY}, {result}",
            )
            origin = f"{USE}; of a NaN: {ASSUMED}"
            yield Intrinsic(
                name, "V", "Reduce", f"a repeat to its {extreme}", origin, 7.0, 23.0, entry=f"FOLD_REPEAT({entry})"
            )
        cycles = 1.0 if four else 7.0
        name, entry = f"VCGADD.{kind}", f"FOLD(VCGADD_{kind}, {kind}, 32, x + y)"
        yield Intrinsic(name, "V", "Reduce", "a block to its sum", ORDER, cycles, 27.0, entry=entry)
        name, entry = f"VCPADD.{kind}", f"FOLD(VCPADD_{kind}, {kind}, 2 * sizeof({kind}::Raw), x + y)"
        yield Intrinsic(name, "V", "Reduce", "a pair to its sum", NAME, 1.0, 21.0, entry=entry)
    yield Intrinsic("SET.CMPMASK", "V", "", "16 bytes of UB to the comparison register", USE, 8.0, 15.0)


def _moves() -> Iterator[Intrinsic]:
    padded = f"{USE}; whole blocks are written in UB, what lies past the padding keeps its bits: {ASSUMED}"
    for bits in ("8", "16", "32"):
        name = f"MOV.OUT.TO.UB.ALIGN.b{bits}.V220"
        yield Intrinsic(name, "MTE2", "Move", "rows from global memory to UB", padded, 1 / 47.7, 311.0, 64.0)
        name = f"MOV.UB.TO.OUT.ALIGN.b{bits}.V220"
        yield Intrinsic(name, "MTE3", "Move", "rows from UB to global memory", USE, 1 / 73.0, 157.0, 88.0)
    yield Intrinsic("MOV.UB.TO.UB.v220", "V", "BlockMove", "rows of blocks", USE, 1 / 262.0, 12.0)


def _cube() -> Iterator[Intrinsic]:
    for kind in ("f32s", "f16", "bf16"):
        name = f"MOV.OUT.TO.L1.MULTI.ND2NZ.{kind}"
        yield Intrinsic(name, "MTE2", "Fractal", "rows to fractals in L1", USE, 1 / 174.0, 311.0, 206.0)
    for kind in ("f32.h", "f16.h", "bf16.ori"):
        origin = f"{USE}; on MTE2: {ASSUMED}"
        yield Intrinsic(f"CREATE.CBUF.MATRIX.{kind}", "MTE2", "Fill", "zeros in L1", origin, 1 / 256.0, 16.0)
    for side, rate in (("A", 263.0), ("B", 132.0)):
        for kind in ("f32", "f16"):
            name, meaning = f"LOAD.L1.TO.L0{side}.3DV2.{kind}", f"image to columns, window 1 x 1, into L0{side}"
            yield Intrinsic(name, "MTE1", "Image", meaning, USE, 1 / rate, 43.0, 2.0)
    for kind in ("f322f32", "f162f32", "bf162f32"):
        origin = f"{USE}; exact products, added one after another in float32: {ASSUMED}"
        yield Intrinsic(f"MAD.{kind}", "M", "Multiply", "L0C (+)= L0A L0B", origin, 1.0, 20.0, 2.0)
    yield Intrinsic("FIX.L0C.TO.OUT.f32", "FIX", "Result", "fractals to rows", USE, 1 / 123.0, 157.0, 18.0)
    yield Intrinsic("MOV.L1.TO.BT", "MTE1", "", "bias table: refused when executed", NAME)


SCALAR_UNIT = (
    Intrinsic("SCALAR.LOAD", "S", "", "a load by the scalar unit", "address spaces of the bitcode", 6.0),
    Intrinsic("SCALAR.STORE", "S", "", "a store by the scalar unit", "address spaces of the bitcode", 4.0),
)

CONTROL = (  # executed by the scalar unit, no row in the machine's table of costs
    *("SET.FLAG.IMM", "SET.FLAG.REG", "WAIT.FLAG.IMM", "WAIT.FLAG.REG", "BARRIER"),
    *("GET.CTRL", "SET.CTRL", "SBITSET0", "SBITSET1", "MOVEMASK", "SET.MOV.PAD.VAL"),
    *("SET.FMATRIX", "SET.FMATRIX.B", "SET.ND.PARA", "SET.QUANT.PRE"),
    "GET.MAX.MIN.CNT",  # low bits: the extreme over all repeats of the last VCMAX or VCMIN, as the library uses it
)

INTRINSICS: dict[str, Intrinsic] = {
    row.name: row for row in (*_families(), *_conversions(), *_copies_and_folds(), *_moves(), *_cube(), *SCALAR_UNIT)
}
