"""Transposes of tiles and of lists of rows; proposals built, sorted and merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import in_ub, same

F16 = "float16"


@settings(max_examples=20, deadline=None)
@given(
    dtype=st.sampled_from((F16, "int16", "uint16")), repeat=st.integers(1, 3), dst_stride=st.integers(1, 3),
    src_stride=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_vnchwconv_16_bit(dtype: str, repeat: int, dst_stride: int, src_stride: int, seed: int) -> None:
    """dst_list[j][i] = src_list[i][j]; rows are 32 bytes, the lists are rows of a matrix here."""
    row = 16 * 8
    src = np.random.default_rng(seed).integers(0, 999, 16 * row).astype(dtype)
    dst = np.zeros_like(src)
    found = in_ub(
        lambda t, dst, src: t.vnchwconv(
            False, False, [dst[i * row] for i in range(16)], [src[i * row] for i in range(16)], repeat, dst_stride, src_stride
        ),
        dst=dst, src=src,
    )["dst"]  # fmt: skip
    expected = dst.copy()
    for r in range(repeat):
        for j in range(16):
            for i in range(16):
                expected[j * row + r * dst_stride * 16 + i] = src[i * row + r * src_stride * 16 + j]
    assert same(found, expected)


@pytest.mark.parametrize("dst_high", [False, True])
@pytest.mark.parametrize("src_high", [False, True])
def test_vnchwconv_8_bit_moves_halves(dst_high: bool, src_high: bool) -> None:
    src = np.random.default_rng(0).integers(-128, 127, 16 * 32).astype(np.int8)
    dst = np.zeros_like(src)
    found = in_ub(
        lambda t, dst, src: t.vnchwconv(
            dst_high, src_high, [dst[i * 32] for i in range(16)], [src[i * 32] for i in range(16)], 1, 0, 0
        ),
        dst=dst, src=src,
    )["dst"]  # fmt: skip
    expected = dst.copy().reshape(16, 32)
    for j in range(16):
        for i in range(16):
            expected[j, 16 * dst_high + i] = src.reshape(16, 32)[i, 16 * src_high + j]
    assert same(found, expected.reshape(-1))


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32"])
@pytest.mark.parametrize("repeat", [1, 3])
def test_vnchwconv_32_bit(dtype: str, repeat: int) -> None:
    """16 rows of 8 become 8 columns of 16, each in two blocks."""
    src = np.random.default_rng(repeat).integers(0, 2**20, (repeat, 16, 8)).astype(dtype)
    found = in_ub(
        lambda t, dst, src: t.vnchwconv(
            False, False, [dst[i * 8] for i in range(16)], [src[i * 8] for i in range(16)], repeat, 16, 16
        ),
        dst=np.zeros(src.size, dtype), src=src.reshape(-1),
    )["dst"]  # fmt: skip
    assert same(found.reshape(repeat, 8, 16), src.transpose(0, 2, 1).copy())


def test_wider_items_have_no_halves() -> None:
    src = np.arange(256, dtype=np.uint16)
    found = in_ub(
        lambda t, dst, src: t.vnchwconv(
            True, True, [dst[i * 16] for i in range(16)], [src[i * 16] for i in range(16)], 1, 0, 0
        ),
        dst=np.zeros_like(src), src=src,
    )["dst"]  # fmt: skip
    assert same(found.reshape(16, 16), src.reshape(16, 16).T.copy())


@settings(max_examples=15, deadline=None)
@given(repeat=st.integers(1, 4), dst_stride=st.integers(1, 3), src_stride=st.integers(0, 3), seed=st.integers(0, 99))
def test_vec_trans(repeat: int, dst_stride: int, src_stride: int, seed: int) -> None:
    src = np.random.default_rng(seed).uniform(-9, 9, 256 * 16).astype(F16)
    dst = np.zeros(256 * 16, F16)
    found = in_ub(lambda t, dst, src: t.vec_trans(dst, src, repeat, dst_stride, src_stride), dst=dst, src=src)["dst"]
    expected = dst.copy()
    for r in range(repeat):
        for i in range(16):
            for j in range(16):
                expected[256 * r * dst_stride + 16 * j + i] = src[256 * r * src_stride + 16 * i + j]
    assert same(found, expected)


def test_vtranspose_in_place() -> None:
    src = np.arange(256, dtype=F16)
    found = in_ub(lambda t, x: t.vtranspose(x, x), x=src)["x"]
    assert same(found.reshape(16, 16), src.reshape(16, 16).T.copy())


def proposals(seed: int, count: int) -> np.ndarray:
    """Proposals whose scores repeat."""
    data = np.random.default_rng(seed).integers(0, 500, (count, 8)).astype(F16)
    data[:, 4] = np.random.default_rng(seed + 1).integers(0, 40, count)
    return data


def sorted_by_score(rows: list[Any]) -> list[Any]:
    """Highest score first, by insertion: equal scores keep their order."""
    result: list[Any] = []
    for row in rows:
        place = next((i for i, other in enumerate(result) if other[4] < row[4]), len(result))
        result.insert(place, row)
    return result


@pytest.mark.parametrize("field", range(6))
def test_vconcat_and_vextract(field: int) -> None:
    scores = np.random.default_rng(0).uniform(0, 9, 32).astype(F16)
    built = in_ub(lambda t, dst, src: t.vconcat(dst, src, 2, field), dst=np.zeros(256, F16), src=scores)["dst"]
    expected = np.zeros((32, 8), F16)
    expected[:, field] = scores
    assert same(built.reshape(32, 8), expected)
    assert same(
        in_ub(lambda t, dst, src: t.vextract(dst, src, 2, field), dst=np.zeros(32, F16), src=built)["dst"], scores
    )


def test_vrpsort16() -> None:
    data = proposals(0, 48)
    found = in_ub(lambda t, dst, src: t.vrpsort16(dst, src, 3), dst=np.zeros(384, F16), src=data.reshape(-1))["dst"]
    expected = np.concatenate([np.array(sorted_by_score(list(data[i : i + 16]))) for i in (0, 16, 32)])
    assert same(found.reshape(48, 8), expected)


@pytest.mark.parametrize("valid", [0b1111, 0b0011, "0111"])
def test_vmrgsort4(valid: Any) -> None:
    lengths = [16, 32, 16, 48]
    queues = [np.array(sorted_by_score(list(proposals(i, n)))) for i, n in enumerate(lengths)]
    bits = int(valid, 2) if isinstance(valid, str) else valid
    chosen = [q for i, q in enumerate(queues) if bits >> i & 1]
    total = sum(len(q) for q in chosen)
    arrays = {f"q{i}": q.reshape(-1) for i, q in enumerate(queues)}

    def call(t: Any, dst: Any, **tensors: Any) -> None:
        t.vmrgsort4(dst, [tensors[f"q{i}"] for i in range(4)], lengths, False, valid, 1)

    found = in_ub(call, dst=np.zeros(total * 8, F16), **arrays)["dst"]
    assert same(found.reshape(total, 8), np.array(sorted_by_score([row for q in chosen for row in q])))
