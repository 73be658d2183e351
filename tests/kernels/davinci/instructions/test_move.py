"""Data movement: bursts and gaps on both sides, in the unit of each buffer, with the conversions between L0C and UB."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import described, in_ub, program, same

from bert_thor.kernels.davinci.trace import tik


def copied(dst: np.ndarray, src: np.ndarray, bursts: int, units: int, gaps: tuple[int, int], unit: int) -> np.ndarray:
    """``for burst: copy units; both sides go on by the burst and their gap``; ``unit`` in elements."""
    result = dst.copy()
    source = target = 0
    for _ in range(bursts):
        for i in range(units * unit):
            result[target + i] = src[source + i]
        source += (units + gaps[0]) * unit
        target += (units + gaps[1]) * unit
    return result


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from(("float16", "float32", "int8", "int32", "uint16")), bursts=st.integers(1, 6), units=st.integers(1, 5),
    gaps=st.tuples(st.integers(0, 5), st.integers(0, 5)), seed=st.integers(0, 1000),
)  # fmt: skip
def test_moves_inside_ub(dtype: str, bursts: int, units: int, gaps: tuple[int, int], seed: int) -> None:
    unit = 32 // np.dtype(dtype).itemsize
    sizes = [(bursts * units + (bursts - 1) * g) * unit for g in gaps]
    generator = np.random.default_rng(seed)
    src, dst = (generator.integers(0, 100, size).astype(dtype) for size in sizes)
    found = in_ub(lambda t, dst, src: t.data_move(dst, src, 0, bursts, units, gaps[0], gaps[1]), dst=dst, src=src)
    assert same(found["dst"], copied(dst, src, bursts, units, gaps, unit))
    again = in_ub(
        lambda t, dst, src: t.tensor_mov(
            dst, src, "", nburst=bursts, burst_len=units, dst_stride=gaps[1], src_stride=gaps[0]
        ),
        dst=dst,
        src=src,
    )
    assert same(again["dst"], found["dst"])


@settings(max_examples=20, deadline=None)
@given(
    through=st.sampled_from((tik.scope_ubuf, tik.scope_cbuf)), bursts=st.integers(1, 5), units=st.integers(1, 4),
    load_gap=st.integers(0, 4), store_gap=st.integers(0, 4), start=st.integers(0, 9),
)  # fmt: skip
def test_from_and_to_global_memory(
    through: str, bursts: int, units: int, load_gap: int, store_gap: int, start: int
) -> None:
    """A strided load packs, a strided store spreads; a start in global memory may be any element."""
    source = np.arange((bursts * (units + load_gap) + 2) * 8, dtype=np.float32)
    size = ((bursts - 1) * (units + store_gap) + units) * 8

    def body(t: Any, x: Any, y: Any) -> None:
        zeros = t.Tensor("float32", (size,), name="zeros", scope=tik.scope_ubuf)
        t.vector_dup(8, zeros, 0.0, size // 8, 1, 1)
        t.data_move(y, zeros, 0, 1, size // 8, 0, 0)
        packed = t.Tensor("float32", (bursts * units * 8,), name="packed", scope=tik.scope_ubuf)
        if through == tik.scope_ubuf:
            t.data_move(packed, x[start], 0, bursts, units, load_gap, 0)
        else:
            l1 = t.Tensor("float32", (bursts * units * 8,), name="l1", scope=through)
            t.data_move(l1, x[start], 0, bursts, units, load_gap, 0)
            t.data_move(packed, l1, 0, 1, bursts * units, 0, 0)
        t.data_move(y, packed, 0, bursts, units, 0, store_gap)

    result = program(body, {"x": described(source)}, {"y": ((size,), "float32")}).run(source)
    packed = copied(np.zeros(bursts * units * 8, np.float32), source[start:], bursts, units, (load_gap, 0), 8)
    expected = copied(np.zeros(size, np.float32), packed, bursts, units, (0, store_gap), 8)
    assert same(result.outputs[0], expected)


CONVERSIONS = {
    0: ("float32", "float32", lambda x: x),
    1: ("float32", "float16", lambda x: x.astype(np.float16)),
    2: ("float32", "float16", lambda x: np.maximum(x, 0).astype(np.float16)),
    5: ("float32", "float32", lambda x: np.maximum(x, 0)),
}


@pytest.mark.parametrize("mode", CONVERSIONS)
@settings(max_examples=6, deadline=None)
@given(
    bursts=st.integers(1, 4),
    units=st.integers(1, 3),
    gaps=st.tuples(st.integers(0, 2), st.integers(0, 3)),
    seed=st.integers(0, 99),
)
def test_l0c_to_ub(mode: int, bursts: int, units: int, gaps: tuple[int, int], seed: int) -> None:
    """Bursts count fractals of 256 elements; the gap is in fractals in L0C and in blocks of 32 bytes in UB."""
    source_type, target_type, convert = CONVERSIONS[mode]
    per_block = 32 // np.dtype(target_type).itemsize
    fractals = bursts * (units + gaps[0])
    target_size = bursts * (units * 256 + gaps[1] * per_block)
    source = np.random.default_rng(seed).uniform(-9, 9, fractals * 256).astype(source_type)

    def body(t: Any, x: Any, y: Any) -> None:
        staged = t.Tensor(source_type, (fractals * 256,), name="staged", scope=tik.scope_ubuf)
        l0c = t.Tensor(source_type, (fractals * 256,), name="l0c", scope=tik.scope_cc)
        target = t.Tensor(target_type, (target_size,), name="target", scope=tik.scope_ubuf)
        t.data_move(staged, x, 0, 1, fractals * 256 * staged_size // 32, 0, 0)
        t.data_move(l0c, staged, 0, 1, fractals, 0, 0)
        for start in range(0, target_size, 200 * per_block):
            t.vector_dup(per_block, target[start], 0.0, min(200, (target_size - start) // per_block), 1, 1)
        t.data_move(target, l0c, 0, bursts, units, gaps[0], gaps[1], mode)
        t.data_move(y, target, 0, 1, target_size // per_block, 0, 0)

    staged_size = np.dtype(source_type).itemsize
    result = program(body, {"x": described(source)}, {"y": ((target_size,), target_type)}).run(source)
    expected = np.zeros(target_size, target_type)
    for burst in range(bursts):
        data = source[burst * (units + gaps[0]) * 256 :][: units * 256]
        expected[burst * (units * 256 + gaps[1] * per_block) :][: units * 256] = convert(data)
    assert same(result.outputs[0], expected)


def test_ub_to_l0c_widens_float16_and_dequantisation_scales_int32() -> None:
    half = np.random.default_rng(0).uniform(-9, 9, 512).astype(np.float16)
    whole = np.random.default_rng(1).integers(-(10**6), 10**6, 512).astype(np.int32)

    def body(t: Any, a: Any, b: Any, wide: Any, scaled: Any) -> None:
        ub = t.Tensor("float16", (512,), name="ub", scope=tik.scope_ubuf)
        numbers = t.Tensor("int32", (512,), name="numbers", scope=tik.scope_ubuf)
        out = t.Tensor("float32", (512,), name="out", scope=tik.scope_ubuf)
        small = t.Tensor("float16", (512,), name="small", scope=tik.scope_ubuf)
        l0c = t.Tensor("float32", (512,), name="l0c", scope=tik.scope_cc)
        sums = t.Tensor("int32", (512,), name="sums", scope=tik.scope_cc)
        t.data_move(ub, a, 0, 1, 32, 0, 0)
        t.data_move(l0c, ub, 0, 1, 2, 0, 0, 4)
        t.data_move(out, l0c, 0, 1, 2, 0, 0)
        t.data_move(wide, out, 0, 1, 64, 0, 0)
        t.data_move(numbers, b, 0, 1, 64, 0, 0)
        t.data_move(sums, numbers, 0, 1, 2, 0, 0)
        t.tensor_mov(small, sums, "m", 1, 2, 0, 0, deqscale=2.0**-10)
        t.data_move(scaled, small, 0, 1, 32, 0, 0)

    outputs = {"wide": ((512,), "float32"), "scaled": ((512,), "float16")}
    result = program(body, {"a": described(half), "b": described(whole)}, outputs).run(half, whole)
    assert same(result.outputs[0], half.astype(np.float32))
    assert same(result.outputs[1], (whole * 2.0**-10).astype(np.float16))


def test_tensor_mov_takes_the_destination_stride_first_and_relu() -> None:
    source = np.random.default_rng(0).uniform(-9, 9, 1024).astype(np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (1024,), name="ub", scope=tik.scope_ubuf)
        l0c = t.Tensor("float32", (1024,), name="l0c", scope=tik.scope_cc)
        out = t.Tensor("float16", (512,), name="out", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 128, 0, 0)
        t.data_move(l0c, ub, 0, 1, 4, 0, 0)
        t.tensor_mov(out, l0c, "m", 2, 1, 0, 1, relu=True)
        t.data_move(y, out, 0, 1, 32, 0, 0)

    result = program(body, {"x": described(source)}, {"y": ((512,), "float16")}).run(source)
    expected = np.maximum(source.reshape(4, 256)[::2], 0).astype(np.float16).reshape(-1)
    assert same(result.outputs[0], expected)


def test_vector_blocks_between_l0c_and_ub() -> None:
    """block_mode 'v': bursts of 16 elements, one fractal apart in L0C."""
    source = np.arange(1024, dtype=np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (1024,), name="ub", scope=tik.scope_ubuf)
        l0c = t.Tensor("float32", (1024,), name="l0c", scope=tik.scope_cc)
        out = t.Tensor("float32", (32,), name="out", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 128, 0, 0)
        t.data_move(l0c, ub, 0, 1, 4, 0, 0)
        t.tensor_mov(out, l0c, "v", 1, 2, 0, 0)
        t.data_move(y, out, 0, 1, 4, 0, 0)

    result = program(body, {"x": described(source)}, {"y": ((32,), "float32")}).run(source)
    assert same(result.outputs[0], source[:32])


def test_broadcast_repeats_a_row_down_a_fractal() -> None:
    source = np.random.default_rng(0).uniform(-9, 9, 32).astype(np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (32,), name="ub", scope=tik.scope_ubuf)
        l0c = t.Tensor("float32", (512,), name="l0c", scope=tik.scope_cc)
        out = t.Tensor("float32", (512,), name="out", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 4, 0, 0)
        t.broadcast_ub_to_l0c(l0c, ub, 1, 2, 0, 0)
        t.data_move(out, l0c, 0, 1, 2, 0, 0)
        t.data_move(y, out, 0, 1, 64, 0, 0)

    result = program(body, {"x": described(source)}, {"y": ((512,), "float32")}).run(source)
    assert same(result.outputs[0].reshape(2, 16, 16), np.repeat(source.reshape(2, 1, 16), 16, axis=1))


def test_atomic_adds_of_all_cores_meet() -> None:
    source = np.random.default_rng(0).integers(-9, 9, (8, 64)).astype(np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, 8, block_num=8) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x[core, 0], 0, 1, 8, 0, 0)
            t.set_atomic_add(1)
            t.data_move(y, ub, 0, 1, 8, 0, 0)
            t.set_atomic_add(0)

    result = program(body, {"x": described(source)}, {"y": ((64,), "float32")}).run(source)
    assert same(result.outputs[0], source.sum(axis=0))


def test_a_store_may_end_in_the_padding_of_a_tensor() -> None:
    """32 bytes for one number: what lies behind the tensor's end is nobody's."""
    source = np.arange(8, dtype=np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (8,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 1, 0, 0)
        t.data_move(y, ub, 0, 1, 1, 0, 0)

    result = program(body, {"x": ((1,), "float32")}, {"y": ((1,), "float32")}).run(source[:1] + 5)
    assert same(result.outputs[0], source[:1] + 5)
