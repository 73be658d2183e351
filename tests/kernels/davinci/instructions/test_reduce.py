"""Reductions: sums in the order of an adjacent pairwise tree, extremes with the index of the first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import active, extent, in_ub, place, same

F16, F32 = "float16", "float32"


def tree(values: list[Any]) -> Any:
    """Neighbours first, every level rounded to the type."""
    while len(values) > 1:
        values = [values[i] + values[i + 1] for i in range(0, len(values), 2)]
    return values[0]


def row(src: np.ndarray, mask: Any, width: int, repeat: int, block: int, stride: int, fill: Any) -> list[Any]:
    """One repeat's elements with ``fill`` where the mask is off."""
    values = [fill] * width
    for e in active(mask, width):
        values[e] = src[place(e, repeat, block, stride, src.itemsize)]
    return values


@st.composite
def cases(draw: Any, dtypes: tuple[str, ...] = (F16,)) -> dict[str, Any]:
    dtype = draw(st.sampled_from(dtypes))
    width = 256 // np.dtype(dtype).itemsize
    bits = st.integers(1, 2**64 - 1)
    mask = draw(st.one_of(st.integers(1, width), st.tuples(bits if width == 128 else st.just(0), bits).map(list)))
    repeat, block, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 9))
    values = np.random.default_rng(draw(st.integers(0, 2**31))).integers(
        -40, 40, extent(repeat, block, stride, 256 // width)
    )
    noise = np.random.default_rng(draw(st.integers(0, 2**31))).uniform(0, 1, values.size)
    return {
        "src": (values + noise * draw(st.sampled_from((0, 1)))).astype(dtype),
        "mask": mask, "width": width, "repeat": repeat, "block": block, "stride": stride, "to": draw(st.integers(1, 3)),
    }  # fmt: skip


def reduced(case: dict[str, Any], name: str, unit: int) -> tuple[np.ndarray, np.ndarray]:
    dst = np.full(-(-case["repeat"] * 3 * unit // 16) * 16 + 256, 77, case["src"].dtype)
    found = in_ub(
        lambda t, dst, src: getattr(t, name)(
            case["mask"], dst, src, case["repeat"], case["to"], case["block"], case["stride"]
        ),
        dst=dst, src=case["src"],
    )  # fmt: skip
    return found["dst"], dst.copy()


def rows(case: dict[str, Any], fill: float) -> list[list[Any]]:
    typed = case["src"].dtype.type(fill)
    return [
        row(case["src"], case["mask"], case["width"], r, case["block"], case["stride"], typed)
        for r in range(case["repeat"])
    ]


@settings(max_examples=25, deadline=None)
@given(case=cases((F16, F32)))
def test_vcadd(case: dict[str, Any]) -> None:
    found, expected = reduced(case, "vcadd", 1)
    for r, values in enumerate(rows(case, 0)):
        expected[r * case["to"]] = tree(values)
    assert same(found, expected)


@pytest.mark.parametrize("kind", ["max", "min"])
@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_vcmax_vcmin(kind: str, case: dict[str, Any]) -> None:
    found, expected = reduced(case, f"vc{kind}", 2)
    for r, values in enumerate(rows(case, -np.inf if kind == "max" else np.inf)):
        best = max(values) if kind == "max" else min(values)
        expected[2 * r * case["to"]] = best
        expected[2 * r * case["to"] + 1] = np.uint16(values.index(best)).view(np.float16)
    assert np.array_equal(found.view(np.uint16), expected.view(np.uint16))


@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_vcgadd(case: dict[str, Any]) -> None:
    found, expected = reduced(case, "vcgadd", 8)
    for r, values in enumerate(rows(case, 0)):
        for g in range(8):
            expected[8 * r * case["to"] + g] = tree(values[16 * g : 16 * g + 16])
    assert same(found, expected)


@pytest.mark.parametrize("kind", ["max", "min"])
@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_vcgmax_vcgmin(kind: str, case: dict[str, Any]) -> None:
    if not all(set(active(case["mask"], 128)) & set(range(16 * g, 16 * g + 16)) for g in range(8)):
        case["mask"] = 128
    found, expected = reduced(case, f"vcg{kind}", 8)
    for r, values in enumerate(rows(case, -np.inf if kind == "max" else np.inf)):
        for g in range(8):
            expected[8 * r * case["to"] + g] = (max if kind == "max" else min)(values[16 * g : 16 * g + 16])
    assert same(found, expected)


@pytest.mark.parametrize("name", ["vcpadd", "vec_cpadd"])
@settings(max_examples=12, deadline=None)
@given(case=cases())
def test_vcpadd(name: str, case: dict[str, Any]) -> None:
    dst = np.full(case["repeat"] * 3 * 64 + 256, 77, F16)
    block = 1 if name == "vec_cpadd" else case["block"]
    strides = (case["to"], case["stride"]) if name == "vec_cpadd" else (case["to"], block, case["stride"])
    found = in_ub(
        lambda t, dst, src: getattr(t, name)(case["mask"], dst, src, case["repeat"], *strides), dst=dst, src=case["src"]
    )["dst"]
    expected = dst.copy()
    for r, values in enumerate(rows({**case, "block": block}, 0)):
        for i in range(64):
            expected[64 * r * case["to"] + i] = values[2 * i] + values[2 * i + 1]
    assert same(found, expected)


def test_the_tree_is_not_a_running_sum() -> None:
    """1 + 64 times 2^-24 in float32: a running sum never moves, the tree adds the small ones first."""
    src = np.full(64, 2.0**-25, F32)
    src[0] = 1
    found = in_ub(lambda t, dst, src: t.vcadd(64, dst, src, 1, 1, 1, 8), dst=np.zeros(8, F32), src=src)["dst"]
    running = np.float32(1)
    for x in src[1:]:
        running += x
    assert running == 1
    assert found[0] == tree(list(src)) > 1


def test_index_low_swaps_value_and_index() -> None:
    src = np.arange(128, dtype=F16)
    for index_low, expected in ((False, (127.0, 127)), (True, (127, 127.0))):
        found = in_ub(
            lambda t, dst, src: t.vcmax(128, dst, src, 1, 1, 1, 8, 0, index_low),  # noqa: B023
            dst=np.zeros(16, F16), src=src,
        )["dst"]  # fmt: skip
        value, index = (found[1], found[0]) if index_low else (found[0], found[1])
        assert value == expected[index_low] and index.view(np.uint16) == 127


@pytest.mark.parametrize(
    ("dtype", "repeat"), [(F16, 1), (F16, 5), (F16, 300), (F32, 1), (F32, 7), (F32, 65), (F32, 260)]
)
def test_vec_reduce_add(dtype: str, repeat: int) -> None:
    width = 256 // np.dtype(dtype).itemsize
    mask = width - 3
    src = np.random.default_rng(repeat).uniform(-1, 1, repeat * width).astype(dtype)
    work = np.zeros(-(-repeat // 16) * 16, dtype)
    found = in_ub(
        lambda t, dst, src, work: t.vec_reduce_add(mask, dst, src, work, repeat, 8),
        dst=np.zeros(16, dtype),
        src=src,
        work=work,
    )["dst"]
    level = [tree(row(src, mask, width, r, 1, 8, src.dtype.type(0))) for r in range(repeat)]
    while True:
        zero = src.dtype.type(0)
        level = [
            tree(level[i : i + width] + [zero] * (width - len(level[i : i + width])))
            for i in range(0, len(level), width)
        ]
        if len(level) == 1:
            break
    assert found[0] == level[0]


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("repeat", [1, 3, 70])
@pytest.mark.parametrize("cal_index", [False, True])
def test_vec_reduce_max_and_min(kind: str, repeat: int, cal_index: bool) -> None:
    src = np.random.default_rng(repeat).integers(-500, 500, 128 * repeat).astype(F16)
    work = np.zeros(-(-2 * repeat // 16) * 16, F16)
    found = in_ub(
        lambda t, dst, src, work: getattr(t, f"vec_reduce_{kind}")(120, dst, src, work, repeat, 8, cal_index),
        dst=np.zeros(16, F16), src=src, work=work,
    )["dst"]  # fmt: skip
    considered = [(i, src[i]) for i in range(src.size) if i % 128 < 120]
    best = (max if kind == "max" else min)(x for _, x in considered)
    assert found[0] == best
    if cal_index:
        assert found[1].view(np.uint16) == next(i for i, x in considered if x == best)
