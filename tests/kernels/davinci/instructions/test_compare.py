"""Compare and select: masks bit by bit."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import active, in_ub, place, same

OPERATORS = {
    "lt": operator.lt, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne, "le": operator.le,
}  # fmt: skip
F16, F32 = "float16", "float32"


def small(seed: int, size: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, size).astype(dtype)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=10, deadline=None)
@given(
    dtype=st.sampled_from((F16, F32)), repeat=st.integers(1, 4), strides=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    mask_type=st.sampled_from(("uint8", "uint16", "uint32", "uint64")), seed=st.integers(0, 1000),
)  # fmt: skip
def test_vec_cmpv(name: str, dtype: str, repeat: int, strides: tuple[int, int], mask_type: str, seed: int) -> None:
    width = 256 // np.dtype(dtype).itemsize
    first, second = (small(seed + i, (repeat - 1) * s * width // 8 + width, dtype) for i, s in enumerate(strides))
    dst = np.zeros(64 // np.dtype(mask_type).itemsize, mask_type)
    found = in_ub(
        lambda t, dst, src0, src1: getattr(t, f"vec_cmpv_{name}")(dst, src0, src1, repeat, *strides),
        dst=dst, src0=first, src1=second,
    )["dst"]  # fmt: skip
    expected = np.zeros(64, np.uint8)
    for r in range(repeat):
        for e in range(width):
            a = first[place(e, r, 1, strides[0], first.itemsize)]
            b = second[place(e, r, 1, strides[1], second.itemsize)]
            bit = r * width + e
            expected[bit // 8] |= int(OPERATORS[name](a, b)) << bit % 8
    assert np.array_equal(found.view(np.uint8), expected)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=5, deadline=None)
@given(dtype=st.sampled_from((F16, F32)), strides=st.tuples(*[st.integers(0, 3)] * 4), seed=st.integers(0, 1000))
def test_vcmpv_has_block_strides(name: str, dtype: str, strides: tuple[int, int, int, int], seed: int) -> None:
    width, repeat = 256 // np.dtype(dtype).itemsize, 2
    first, second = (small(seed + i, 32 * width, dtype) for i in range(2))
    found = in_ub(
        lambda t, dst, src0, src1: getattr(t, f"vcmpv_{name}")(dst, src0, src1, repeat, *strides),
        dst=np.zeros(32, np.uint8), src0=first, src1=second,
    )["dst"]  # fmt: skip
    lanes = [(r, e) for r in range(repeat) for e in range(width)]
    a, b = (
        np.array([x[place(e, r, block, step, x.itemsize)] for r, e in lanes])
        for x, block, step in zip((first, second), strides[:2], strides[2:])
    )
    bits = np.packbits(OPERATORS[name](a, b), bitorder="little")
    assert np.array_equal(found[: bits.size], bits)


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=10, deadline=None)
@given(dtype=st.sampled_from((F16, F32)), repeat=st.integers(1, 3), seed=st.integers(0, 1000), data=st.data())
def test_vcmp_and_vsel(name: str, dtype: str, repeat: int, seed: int, data: st.DataObject) -> None:
    width = 256 // np.dtype(dtype).itemsize
    mask = data.draw(st.integers(1, width))
    a, b = small(seed, width, dtype), small(seed + 1, width, dtype)
    yes, no = small(seed + 2, repeat * width, dtype), small(seed + 3, repeat * width, dtype)

    def call(t: Any, dst: Any, a: Any, b: Any, yes: Any, no: Any) -> None:
        register = getattr(t, f"vcmp_{name}")(width, a, b, 1, 1)
        t.vsel(mask, 0, dst, register, yes, no, repeat, 1, 1, 1, 8, 8, 8)

    dst = np.full(repeat * width, 9, dtype)
    found = in_ub(call, dst=dst, a=a, b=b, yes=yes, no=no)["dst"]
    expected = dst.copy()
    for r in range(repeat):
        for e in active(mask, width):
            i = r * width + e
            expected[i] = yes[i] if OPERATORS[name](a[e], b[e]) else no[i]
    assert same(found, expected)


def test_the_register_goes_to_ub_and_back() -> None:
    a, b = small(0, 128, F16), small(1, 128, F16)
    bits = np.zeros(32, np.uint8)

    def call(t: Any, dst: Any, bits: Any, a: Any, b: Any) -> None:
        register = t.vcmp_lt(100, a, b)
        t.mov_cmpmask_to_tensor(bits, register)
        t.vcmp_ge(128, a, b)
        t.vec_sel(128, 0, dst, t.mov_tensor_to_cmpmask(bits), a, b, 1)

    found = in_ub(call, dst=np.zeros(128, F16), bits=bits, a=a, b=b)
    chosen = np.array([e < 100 and a[e] < b[e] for e in range(128)])
    assert np.array_equal(np.unpackbits(found["bits"][:16], bitorder="little").astype(bool), chosen)
    assert same(found["dst"], np.where(chosen, a, b))


def test_a_mask_starts_at_any_16_bytes() -> None:
    """CANN's dropout kernels move 128 mask bits at a time from wherever they lie in UB."""
    a, b = small(0, 128, F16), small(1, 128, F16)
    bits = np.random.default_rng(6).integers(0, 256, 64).astype(np.uint8)

    def call(t: Any, dst: Any, bits: Any, a: Any, b: Any) -> None:
        t.vsel(128, 0, dst, t.mov_tensor_to_cmpmask(bits[16]), a, b, 1, 1, 1, 1, 8, 8, 8)

    found = in_ub(call, dst=np.zeros(128, F16), bits=bits, a=a, b=b)
    assert same(found["dst"], np.where(np.unpackbits(bits[16:32], bitorder="little").astype(bool), a, b))


def test_vec_sel_reads_its_mask_from_ub() -> None:
    a, b = small(0, 64, F32), small(1, 64, F32)
    bits = np.random.default_rng(5).integers(0, 256, 32).astype(np.uint8)
    found = in_ub(
        lambda t, dst, bits, a, b: t.vec_sel(64, 0, dst, bits, a, b, 1), dst=np.zeros(64, F32), bits=bits, a=a, b=b
    )
    chosen = np.array([(int(bits[e // 8]) >> e % 8) & 1 for e in range(64)], bool)
    assert same(found["dst"], np.where(chosen, a, b))
