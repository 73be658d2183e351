"""Moves and the cube unit against scalar restatements, and the rules of order, bounds and races."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intrinsic_calls import barrier, base, begin, call, hazards, pack, read, set_mask, write

from bert_thor.kernels.atlas import machine
from bert_thor.kernels.atlas.header import PIPES

COLUMNS = {"f32": 8, "f16": 16, "bf16": 16}  # items of a 32-byte row of a fractal


@pytest.mark.parametrize("bits", [8, 16, 32])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_rows_to_the_unified_buffer_and_back(bits: int, data: st.DataObject) -> None:
    size = bits // 8
    rows, items = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 70))
    left, right = data.draw(st.integers(0, 32 // size - 1)), data.draw(st.integers(0, 32 // size - 1))
    source_gap, gap = data.draw(st.integers(0, 9)) * size, data.draw(st.integers(0, 3))
    source = np.random.default_rng(items).integers(0, 256, rows * (items * size + source_gap), np.uint8)
    target = np.zeros_like(source)
    whole = -(-(left + items + right) * size // 32) * 32
    begin([source, target])
    write("UB", np.full(8192, 7, np.uint8))
    call("SET_MOV_PAD_VAL", 3)
    words = pack(
        "Move",
        rows=rows,
        bytes=items * size,
        left_padding=left,
        right_padding=right,
        source_gap=source_gap,
        destination_gap=gap,
    )
    call(f"MOV_OUT_TO_UB_ALIGN_b{bits}_V220", base("UB"), source.ctypes.data, *words)
    expected = np.full(8192, 7, np.uint8)
    padding = np.array([3], f"uint{bits}").view(np.uint8)
    for row in range(rows):
        at, content = row * (whole + 32 * gap), source[row * (items * size + source_gap) :][: items * size]
        line = np.concatenate([np.tile(padding, left), content, np.tile(padding, right)])
        expected[at : at + line.size] = line
    assert (read("UB", 8192) == expected).all()
    barrier()
    back = pack("Move", rows=rows, bytes=items * size, source_gap=gap, destination_gap=source_gap)
    if not left and whole == -(-items * size // 32) * 32:
        call(f"MOV_UB_TO_OUT_ALIGN_b{bits}_V220", target.ctypes.data, base("UB"), *back)
        for row in range(rows):
            place = slice(row * (items * size + source_gap), row * (items * size + source_gap) + items * size)
            assert (target[place] == source[place]).all()
    assert hazards() == []


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 5), blocks=st.integers(1, 6), gaps=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_blocks_inside_the_unified_buffer(rows: int, blocks: int, gaps: tuple[int, int]) -> None:
    begin()
    content = np.random.default_rng(rows).integers(0, 256, 8192, np.uint8)
    write("UB", content)
    words = pack("BlockMove", rows=rows, blocks=blocks, source_gap=gaps[0], destination_gap=gaps[1])
    call("MOV_UB_TO_UB_v220", base("UB") + 4096, base("UB"), *words)
    expected = content.copy()
    for row in range(rows):
        source, target = row * (blocks + gaps[0]) * 32, 4096 + row * (blocks + gaps[1]) * 32
        expected[target : target + blocks * 32] = content[source : source + blocks * 32]
    assert (read("UB", 8192) == expected).all()


def numbers(kind: str, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """(as stored, in float64): small integers, whose products every type adds exactly."""
    values = np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype(np.float32)
    if kind == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16), values.astype(np.float64)
    return values.astype({"f32": "float32", "f16": "float16"}[kind]), values.astype(np.float64)


def to_fractals(kind: str, matrix: np.ndarray, at: int) -> None:
    """A matrix to L1 through the machine, zeros past its columns."""
    rows, columns = matrix.shape
    suffix = "f32s" if kind == "f32" else kind
    words = pack(
        "Fractal",
        matrices=1,
        rows=rows,
        columns=columns,
        source_row=columns,
        destination_group=rows,
        destination_row=1,
    )
    call(f"MOV_OUT_TO_L1_MULTI_ND2NZ_{suffix}", base("L1") + at, matrix.ctypes.data, *words)


@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 20), columns=st.integers(1, 40))
def test_rows_to_fractals(kind: str, rows: int, columns: int) -> None:
    matrix, _ = numbers(kind, rows, columns)
    begin([matrix])
    to_fractals(kind, matrix, 0)
    minor, groups = COLUMNS[kind], -(-columns // COLUMNS[kind])
    found = read("L1", groups * rows * 32).view(matrix.dtype).reshape(groups, rows, minor)
    expected = np.zeros((rows, groups * minor), matrix.dtype)
    expected[:, :columns] = matrix
    assert (found == expected.reshape(rows, groups, minor).transpose(1, 0, 2)).all()
    assert hazards() == []


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=15, deadline=None)
@given(m=st.integers(1, 40), k=st.integers(1, 40), n=st.integers(1, 40))
def test_product_of_two_matrices(kind: str, transposed: bool, m: int, k: int, n: int) -> None:
    """GM to L1 to L0A and L0B, twice the product into L0C, and out: 2 A B, with A stored as it is or transposed."""
    a, wide_a = numbers(kind, *((k, m) if transposed else (m, k)))
    b, wide_b = numbers(kind, k, n)
    out = np.full((m, n), np.nan, np.float32)
    begin([a, b, out])
    to_fractals(kind, a, 0)
    to_fractals(kind, b, 65536)
    barrier()
    image = {"stride": 1, "window_width": 1, "window_height": 1}
    bits = "f32" if kind == "f32" else "f16"
    positions, channels = a.shape
    call("SET_FMATRIX", positions | 1 << 16)
    words = pack("Image", channels=channels, positions=positions, transposed=int(transposed), **image)
    call(f"LOAD_L1_TO_L0A_3DV2_{bits}", 0, base("L1"), *words)
    call("SET_FMATRIX", k | 1 << 16)
    call(f"LOAD_L1_TO_L0B_3DV2_{bits}", 0, base("L1") + 65536, *pack("Image", channels=n, positions=k, **image))
    barrier()
    for first in (1, 0):
        words = pack("Multiply", rows=m, inner=k, columns=n, first=first)
        call({"f32": "MAD_f322f32", "f16": "MAD_f162f32", "bf16": "MAD_bf162f32"}[kind], base("L0C"), 0, 0, *words)
    barrier()
    words = pack("Result", columns=n, rows=m, destination_row=n, source_group=-(-m // 16) * 16, to_rows=1)
    call("FIX_L0C_TO_OUT_f32", out.ctypes.data, base("L0C"), *words)
    expected = 2 * ((wide_a.T if transposed else wide_a) @ wide_b)
    assert (out == expected).all()
    assert hazards() == []


@pytest.mark.parametrize("kind", ["f32_h", "f16_h", "bf16_ori"])
@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 5), blocks=st.integers(1, 6), gap=st.integers(0, 3))
def test_zeros_in_l1(kind: str, rows: int, blocks: int, gap: int) -> None:
    import ctypes

    begin()
    content = np.full(4096, 7, np.uint8)
    write("L1", content)
    words = pack("Fill", rows=rows, blocks=blocks, gap=gap)
    call(f"CREATE_CBUF_MATRIX_{kind}", base("L1"), *words, ctypes.c_double(0.0))
    for row in range(rows):
        content[row * (blocks + gap) * 32 :][: blocks * 32] = 0
    assert (read("L1", 4096) == content).all() and hazards() == []


# ------------------------------------------------------------------------------------------------------------------- rules


def all_hazards() -> str:
    return " | ".join(text for text, _, _ in machine.report()["hazards"])


def add(target: int, left: int, right: int) -> None:
    """UB[target] = UB[left] + UB[right], 64 float32."""
    blocks = {"destination_block": 1, "left_block": 1, "right_block": 1}
    call("VADD_f32", *(base("UB") + at for at in (target, left, right)), *pack("Binary", repeats=1, **blocks))


def load(array: np.ndarray, at: int) -> None:
    call("MOV_OUT_TO_UB_ALIGN_b32_V220", base("UB") + at, array.ctypes.data, *pack("Move", rows=1, bytes=array.nbytes))


def store(array: np.ndarray, at: int) -> None:
    call("MOV_UB_TO_OUT_ALIGN_b32_V220", array.ctypes.data, base("UB") + at, *pack("Move", rows=1, bytes=array.nbytes))


def flag(source: str, target: str) -> None:
    call("SET_FLAG_IMM", PIPES[source], PIPES[target], 0)
    call("WAIT_FLAG_IMM", PIPES[source], PIPES[target], 0)


ONES = np.ones(64, np.float32)


def test_a_flag_orders_two_pipes() -> None:
    begin([ONES])
    set_mask(None)
    load(ONES, 0)
    flag("MTE2", "V")
    add(256, 0, 0)
    assert all_hazards() == ""


def test_without_it_the_read_races() -> None:
    begin([ONES])
    set_mask(None)
    load(ONES, 0)
    add(256, 0, 0)
    assert "RAW in UB: VADD.f32 on V after MTE2" in all_hazards()


def test_vector_instructions_need_a_barrier_between_them() -> None:
    for with_barrier in (True, False):
        begin([ONES])
        set_mask(None)
        load(ONES, 0)
        flag("MTE2", "V")
        add(256, 0, 0)
        if with_barrier:
            call("BARRIER", PIPES["V"])
        add(512, 256, 0)
        assert ("RAW" in all_hazards()) is not with_barrier


def test_what_the_scalar_unit_waited_for_comes_before_what_it_issues() -> None:
    begin([ONES])
    set_mask(None)
    load(ONES, 0)
    flag("MTE2", "S")
    add(256, 0, 0)
    assert all_hazards() == ""


def test_writes_after_reads_and_after_writes_race_too() -> None:
    begin([ONES])
    set_mask(None)
    load(ONES, 0)
    flag("MTE2", "V")
    add(256, 0, 0)
    load(ONES, 0)
    load(ONES, 256)
    found = all_hazards()
    assert "WAR in UB" in found and "WAW in UB" in found


def test_flags_are_balanced() -> None:
    begin()
    call("SET_FLAG_IMM", PIPES["V"], PIPES["MTE3"], 0)
    call("SET_FLAG_IMM", PIPES["V"], PIPES["MTE3"], 0)
    assert "flag set twice: V to MTE3" in all_hazards()
    begin()
    call("WAIT_FLAG_IMM", PIPES["V"], PIPES["MTE3"], 1)
    assert "wait for a flag that is not set" in all_hazards()
    begin()
    call("SET_FLAG_IMM", PIPES["V"], PIPES["MTE3"], 0)
    assert "flag left set: V to MTE3" in all_hazards()


def test_programs_of_a_launch_race_on_global_memory() -> None:
    target = np.zeros(64, np.float32)
    for shared in (True, False):
        begin([ONES, target])
        for program in range(2):
            machine.begin_program(program)
            load(ONES, 0)
            flag("MTE2", "MTE3")
            store(target if shared else target[32 * program : 32 * program + 32], 0)
        assert ("programs race" in all_hazards()) is shared


def test_bounds_alignment_and_unwritten_memory() -> None:
    begin([ONES])
    set_mask(None)
    add(256, 0, 0)
    assert "read of UB that nothing wrote" in all_hazards()
    begin([ONES])
    load(ONES, 196608 - 128)
    assert "reaches outside of UB" in all_hazards()
    begin([ONES[:32]])
    load(ONES, 0)
    assert "outside of every argument" in all_hazards()
    begin([ONES])
    load(ONES, 4)
    assert "not in steps of 32 bytes" in all_hazards()


def test_memories_are_poisoned_at_the_start_of_every_program() -> None:
    begin()
    write("UB", np.zeros(64, np.uint8))
    machine.begin_program(1)
    assert (read("UB", 64) == 0xFF).all()
