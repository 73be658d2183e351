"""Every intrinsic of the vector unit against a scalar restatement, over random operands, strides, masks and counts."""

from __future__ import annotations

import ctypes
import math
from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intrinsic_calls import base, begin, call, family, hazards, pack, read, set_mask, write

from bert_thor.kernels.atlas.intrinsics import CONVERSIONS, FAMILIES, SIZES

BYTES = 65536
KINDS = {"f32": "float32", "f16": "float16", "s32": "int32", "u32": "uint32", "s16": "int16", "u16": "uint16"}
KINDS.update({"s8": "int8", "u8": "uint8", "bf16": "uint16"})
MEANINGS: dict[str, Callable[..., Any]] = {
    "VADD": lambda x, y: x + y,
    "VSUB": lambda x, y: x - y,
    "VMUL": lambda x, y: x * y,
    "VDIV": lambda x, y: x / y,
    "VMAX": max,
    "VMIN": min,
    "VAND": lambda x, y: x & y,
    "VOR": lambda x, y: x | y,
    "VNOT": lambda x: ~x,
    "VABS": abs,
    "VRELU": lambda x: max(x, type(x)(0)),
    "VEXP": np.exp,
    "VLN": np.log,
    "VSQRT": np.sqrt,
    "VADDS": lambda x, y: x + y,
    "VMULS": lambda x, y: x * y,
    "VMAXS": max,
    "VMINS": min,
    "VSHL": lambda x, y: type(x)((int(x) << int(y)) & ((1 << 8 * x.itemsize) - 1)) if x.dtype.kind == "u" else x << y,
    "EQ": lambda x, y: x == y,
    "NE": lambda x, y: x != y,
    "LT": lambda x, y: x < y,
    "GT": lambda x, y: x > y,
    "LE": lambda x, y: x <= y,
    "GE": lambda x, y: x >= y,
}
ROUNDED = ("VEXP", "VLN")  # whose last bit is the host's

cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "repeats": st.integers(1, 4),
        "blocks": st.tuples(*[st.integers(1, 3)] * 3),
        "steps": st.tuples(*[st.integers(8, 26)] * 3),
        "counter": st.one_of(st.none(), st.integers(1, 4 * 64)),
        "lanes": st.integers(1, 2**128 - 1),
        "scalar": st.integers(-6, 6),
    }
)


def items(seed: int, dtype: str) -> np.ndarray:
    """UB full of numbers: small ones with halves, so that comparisons find equals."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.integers(-12, 13, BYTES // np.dtype(dtype).itemsize) / 2).astype(dtype)
    return rng.integers(0, 256, BYTES, np.uint8).view(dtype)


class Lanes:
    """Which items an instruction touches, restated: (repeat, lane, byte offset of every operand)."""

    def __init__(self, case: dict[str, Any], sizes: list[int], starts: list[int], masked: bool = True) -> None:
        self.lanes = 256 // max(sizes)
        counting = case["counter"] is not None
        total = -(-case["counter"] // self.lanes) if counting else case["repeats"]
        self.places = []
        for repeat in range(total):
            for lane in range(self.lanes):
                inside = (
                    repeat * self.lanes + lane < case["counter"]
                    if counting
                    else case["lanes"] >> lane & 1 or not masked
                )
                if inside:
                    offsets = [
                        start
                        + 32 * (repeat * case["steps"][i] + lane * size // 32 * case["blocks"][i])
                        + lane * size % 32
                        for i, (start, size) in enumerate(zip(starts, sizes))
                    ]
                    self.places.append((repeat, lane, offsets))


def item(memory: np.ndarray, offset: int, dtype: str) -> Any:
    return memory[offset : offset + np.dtype(dtype).itemsize].view(dtype)[0]


def strides(case: dict[str, Any], *names: str) -> dict[str, int]:
    fields = {f"{name}_block": case["blocks"][i] for i, name in enumerate(names)}
    fields.update({f"{name}_repeat": case["steps"][i] for i, name in enumerate(names)})
    return {**fields, "repeats": case["repeats"]}


def run(case: dict[str, Any], content: np.ndarray, symbol: str, *operands: Any) -> np.ndarray:
    """UB after the instruction."""
    begin()
    write("UB", content)
    set_mask(case["counter"], case["lanes"])
    call(symbol, *operands)
    assert hazards() == []
    return read("UB", BYTES)


def assert_same(found: np.ndarray, expected: np.ndarray, dtype: str, exact: bool = True) -> None:
    if exact:
        different = np.flatnonzero(found != expected)
        assert different.size == 0, f"{different.size} bytes differ, the first at {different[:4]}"
    else:
        np.testing.assert_allclose(
            found.view(dtype), expected.view(dtype), rtol={"float32": 1e-6, "float16": 1e-3}[dtype]
        )


def elementwise() -> list[tuple[str, str, str]]:
    macros = ("BINARY", "UNARY", "SCALAR")
    return [(f.name, kind, f.macro) for f in FAMILIES if f.macro in macros for kind in f.types.split()]


def scalar_operand(kind: str, value: Any) -> Any:
    """A scalar as the library passes it."""
    return ctypes.c_float(float(value)) if kind == "f32" else int(value) & (2**64 - 1)


@pytest.mark.parametrize(
    ("name", "kind", "macro"), [c for c in elementwise() if not (c[2] == "SCALAR" and c[1] == "f16")]
)
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_arithmetic(name: str, kind: str, macro: str, case: dict[str, Any]) -> None:
    dtype, size = KINDS[kind], SIZES[kind]
    content, starts = items(case["seed"], dtype), [0, 20480, 40960]
    if name == "VLN":
        content = (np.abs(content) + np.dtype(dtype).type(0.5)).astype(dtype)
    memory = content.view(np.uint8)
    scalar = (
        np.dtype(dtype).type(abs(case["scalar"]) if name == "VSHL" else case["scalar"]) if macro == "SCALAR" else None
    )
    sources = 2 if macro == "BINARY" else 1
    if macro == "BINARY":
        words, names = pack("Binary", **strides(case, "destination", "left", "right")), 3
    else:
        words, names = pack("Unary", **strides(case, "destination", "source")), 2
    pointers = [base("UB") + start for start in starts[:names]]
    operands = [*pointers, *([scalar_operand(kind, scalar)] if scalar is not None else []), *words]
    expected = memory.copy()
    with np.errstate(all="ignore"):
        for _, _, offsets in Lanes(case, [size] * (1 + sources), starts).places:
            values = [item(memory, offset, dtype) for offset in offsets[1:]] + ([scalar] if scalar is not None else [])
            expected[offsets[0] : offsets[0] + size] = np.array([MEANINGS[name](*values)]).astype(dtype).view(np.uint8)
    found = run(case, memory, f"{name}_{kind}", *operands)
    nan = np.isnan(expected.view(dtype)) if np.dtype(dtype).kind == "f" else np.zeros(1, bool)
    assert (np.isnan(found.view(dtype)) == nan).all() if nan.any() else True
    found, expected = (
        np.where(np.repeat(nan, size), 0, m).astype(np.uint8) if nan.any() else m for m in (found, expected)
    )
    assert_same(found, expected, dtype, name not in ROUNDED)


# float16 scalars travel in a register that ctypes cannot fill: those rows share their code with float32's.
COMPARISONS = [
    (f.name, kind)
    for f in FAMILIES
    for kind in f.types.split()
    if f.macro == "COMPARE" or (f.macro == "COMPARE_SCALAR" and kind != "f16")
]


@pytest.mark.parametrize(("name", "kind"), COMPARISONS)
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_comparison(name: str, kind: str, case: dict[str, Any]) -> None:
    """One bit per item; without counter mode no mask is obeyed."""
    dtype, size = KINDS[kind], SIZES[kind]
    memory, starts = items(case["seed"], dtype).view(np.uint8), [0, 20480, 40960]
    lanes, scalar = 256 // size, np.dtype(dtype).type(case["scalar"])
    if name.startswith("VCMPVS"):
        case = {**case, "blocks": (1, *case["blocks"][1:]), "steps": (8, *case["steps"][1:])}
        words = pack("Unary", **strides(case, "destination", "source"))
        operands = [base("UB"), base("UB") + starts[1], scalar_operand(kind, scalar), *words]
        sizes = [size] * 2
    else:
        words = pack("Binary", **strides(case, "destination", "left", "right"))
        operands = [base("UB"), *(base("UB") + start for start in starts[1:]), *words]
        sizes = [size] * 3
    touched = Lanes(case, sizes, starts, masked=False)
    count = -(-case["counter"] // lanes) if case["counter"] is not None else case["repeats"]
    expected = memory.copy()
    expected[: count * lanes // 8] = 0
    for repeat, lane, offsets in touched.places:
        values = [item(memory, offset, dtype) for offset in offsets[1:]]
        right = values[1] if len(values) == 2 else scalar
        place = repeat * lanes // 8 + lane // 8
        expected[place] |= np.uint8(int(MEANINGS[name.split(".")[1]](values[0], right)) << lane % 8)
    assert_same(run(case, memory, f"{name}_{kind}".replace(".", "_"), *operands), expected, dtype)


def rounded(value: float, mode: str) -> float:
    """To an integer."""
    ways = {"r": np.rint, "f": np.floor, "c": np.ceil, "z": np.trunc}
    return float(ways[mode](value)) if mode in ways else math.copysign(math.floor(abs(value) + 0.5), value)


def narrowed(value: float, kind: str, mode: str) -> int:
    """The bits of the float16 or bfloat16 next to a float32 in the mode's direction."""
    scale = (
        2.0 ** (max(math.frexp(value)[1] - 1, -14 if kind == "f16" else -126) - (10 if kind == "f16" else 7))
        if value
        else 1.0
    )
    units = value / scale
    if mode == "o":
        down = math.trunc(units)
        units = down if down == units or down % 2 else down + math.copysign(1, units)
    else:
        units = rounded(units, mode)
    result = np.float32(units * scale)
    return int(np.float16(result).view(np.uint16)) if kind == "f16" else int(result.view(np.uint32)) >> 16


def converted(value: Any, source: str, destination: str, mode: str) -> bytes:
    """One conversion, restated."""
    wide = float(np.uint32(int(value) << 16).view(np.float32)) if source == "bf16" else float(value)
    if destination in ("f16", "bf16") and source == "f32":
        return int(narrowed(wide, destination, mode)).to_bytes(2, "little")
    if destination in ("f32", "f16"):
        wide = rounded(wide, mode) if source == destination else wide
        return np.array([wide]).astype(KINDS[destination]).tobytes()
    limits = np.iinfo(KINDS[destination])
    whole = min(max(rounded(wide, mode), limits.min), limits.max)
    return np.array([int(whole)]).astype(KINDS[destination]).tobytes()


CASTS = [(s, d, m) for s, d, modes in CONVERSIONS for m in modes or " "]


@pytest.mark.parametrize(("source", "destination", "mode"), CASTS, ids=["-".join(c) for c in CASTS])
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_conversion(source: str, destination: str, mode: str, case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    if source in ("f32", "f16"):
        content = (rng.standard_normal(BYTES // SIZES[source]) * 10.0 ** rng.integers(-3, 4)).astype(KINDS[source])
    elif source == "bf16":
        content = (rng.standard_normal(BYTES // 2).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    elif source == "s32":
        content = rng.integers(-(2**20), 2**20, BYTES // 4).astype(np.int32)
    elif source == "s16":
        content = rng.integers(-1000, 1000, BYTES // 2).astype(np.int16)
    else:
        content = items(case["seed"], KINDS[source])
    memory, starts, sizes = content.view(np.uint8), [0, 30720], [SIZES[destination], SIZES[source]]
    words = pack("Unary", **strides(case, "destination", "source"))
    expected = memory.copy()
    for _, _, offsets in Lanes(case, sizes, starts).places:
        raw = converted(item(memory, offsets[1], KINDS[source]), source, destination, mode)
        expected[offsets[0] : offsets[0] + sizes[0]] = np.frombuffer(raw, np.uint8)
    name = f"VCONV_{source}2{destination}{mode.strip()}_v220"
    assert_same(
        run(case, memory, name, *(base("UB") + start for start in starts), *words), expected, KINDS[destination]
    )


@pytest.mark.parametrize("kind", ["f32", "s32", "u32", "s16", "u16"])
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_fill(kind: str, case: dict[str, Any]) -> None:
    dtype, size, memory = KINDS[kind], SIZES[kind], items(case["seed"], "uint8")
    value = np.dtype(dtype).type(abs(case["scalar"]))
    expected = memory.copy()
    for _, _, offsets in Lanes(case, [size], [0]).places:
        expected[offsets[0] : offsets[0] + size] = np.array([value]).view(np.uint8)
    words = pack("Unary", **strides(case, "destination"))
    assert_same(run(case, memory, f"MOVEV_{kind}", base("UB"), scalar_operand(kind, value), *words), expected, dtype)


@pytest.mark.parametrize("kind", ["f32", "f16"])
@pytest.mark.parametrize("mode", [0, 2])
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_choice(kind: str, mode: int, case: dict[str, Any]) -> None:
    size, memory, starts = SIZES[kind], items(case["seed"], "uint8"), [0, 20480, 40960]
    memory[61440:61456] = np.random.default_rng(case["seed"]).integers(0, 256, 16)
    bits_at = 61952
    if mode == 2:
        memory[61440:61448] = np.array([base("UB") + bits_at], np.uint64).view(np.uint8)
    words = pack("Select", **strides(case, "destination", "left", "right"), mode=mode)
    expected, touched = memory.copy(), Lanes(case, [size] * 3, starts)
    for repeat, lane, offsets in touched.places:
        bits = memory[bits_at + repeat * touched.lanes // 8 :] if mode == 2 else memory[61440:]
        chosen = offsets[1] if bits[lane // 8] >> lane % 8 & 1 else offsets[2]
        expected[offsets[0] : offsets[0] + size] = memory[chosen : chosen + size]
    begin()
    write("UB", memory)
    call("SET_CMPMASK", base("UB") + 61440)
    set_mask(case["counter"], case["lanes"])
    call(f"VSEL_{kind}_1", *(base("UB") + start for start in starts), *words)
    assert_same(read("UB", BYTES), expected, KINDS[kind])


@pytest.mark.parametrize("kind", ["u16", "u32"])
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_copy_and_blocks(kind: str, case: dict[str, Any]) -> None:
    """In counter mode every repeat copies that many items."""
    size, memory = SIZES[kind], items(case["seed"], "uint8")
    words = pack("Unary", **strides(case, "destination", "source"))
    expected = memory.copy()
    if case["counter"] is None:
        for _, _, (to, source) in Lanes(case, [size] * 2, [0, 30720]).places:
            expected[to : to + size] = memory[source : source + size]
    else:
        for repeat in range(case["repeats"]):
            for i in range(case["counter"]):
                block, inside = divmod(i * size, 32)
                to, source = (
                    start + 32 * (repeat * case["steps"][k] + block * case["blocks"][k]) + inside
                    for k, start in enumerate((0, 30720))
                )
                expected[to : to + size] = memory[source : source + size]
    pointers = (base("UB"), base("UB") + 30720)
    assert_same(run(case, memory, f"VCOPY_{kind}", *pointers, *words), expected, KINDS[kind])
    expected = memory.copy()
    for repeat in range(case["repeats"]):
        for i in range(8):
            to = 32 * (repeat * case["steps"][0] + i * case["blocks"][0])
            value = memory[30720 + (8 * repeat + i) * size :][:size]
            expected[to : to + 32] = np.tile(value, 32 // size)
    assert_same(run(case, memory, f"VBRCB_b{8 * size}", *pointers, *words), expected, KINDS[kind])


FOLDS = {"VCADD": (256, sum), "VCGADD": (32, sum), "VCMAX": (256, max), "VCMIN": (256, min)}


@pytest.mark.parametrize("kind", ["f32", "f16"])
@pytest.mark.parametrize("name", [*FOLDS, "VCPADD"])
@settings(max_examples=15, deadline=None)
@given(case=cases)
def test_fold(name: str, kind: str, case: dict[str, Any]) -> None:
    """Numbers are multiples of a half and small, so that sums are exact in any order."""
    dtype, size = KINDS[kind], SIZES[kind]
    memory = items(case["seed"], dtype).view(np.uint8)
    group_bytes, fold = FOLDS.get(name, (2 * size, sum))
    group, step = group_bytes // size, case["steps"][0]
    words = pack(
        "Reduce",
        destination_repeat=step,
        source_block=case["blocks"][1],
        source_repeat=case["steps"][1],
        repeats=case["repeats"],
    )
    groups: dict[tuple[int, int], list[float]] = {}
    for repeat, lane, offsets in Lanes(case, [size] * 2, [0, 30720]).places:
        groups.setdefault((repeat, lane // group), []).append(float(item(memory, offsets[1], dtype)))
    expected = memory.copy()
    for (repeat, number), values in groups.items():
        to = repeat * step * (256 // group_bytes) * size + number * size
        expected[to : to + size] = np.array([fold(values)]).astype(dtype).view(np.uint8)
    (symbol,) = [n.replace(".", "_") for n in family(f"{name}.{kind}")]
    modes = {"VCADD": [0], "VCMAX": [2], "VCMIN": [2]}.get(name, [])
    found = run(case, memory, symbol, base("UB"), base("UB") + 30720, *words, *modes)
    assert_same(found, expected, dtype)
