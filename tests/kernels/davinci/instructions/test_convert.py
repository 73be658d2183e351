"""vconv and vec_conv: every pair of types and rounding mode, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import active, extent, in_ub, place, same

from bert_thor.kernels.davinci.instructions.convert import CONVERSIONS

MODES = [(s, d, m) for (s, d), modes in CONVERSIONS.items() for m in modes if (s, d) != ("int32", "float16")]


def rounded(x: float, mode: str) -> float:
    """An integer near x."""
    if math.isinf(x):
        return x
    floor = math.floor(x)
    half = x - floor
    if mode == "floor":
        return floor
    if mode == "ceil":
        return math.ceil(x)
    if mode == "to-zero":
        return math.trunc(x)
    if half != 0.5:
        return floor + (half > 0.5)
    if mode == "away-zero":
        return floor + 1 if x > 0 else floor
    return floor if floor % 2 == 0 else floor + 1


def converted(x: Any, dtype: str, mode: str) -> Any:
    """x in another type."""
    if mode == "odd":
        return rounded_to_odd(float(x))
    if np.dtype(dtype).kind == "f":
        return np.dtype(dtype).type(x)
    if math.isnan(float(x)):
        return 0
    limits = np.iinfo(dtype)
    return int(min(max(rounded(float(x), "round" if mode == "none" else mode), limits.min), limits.max))


def rounded_to_odd(x: float) -> np.float16:
    """Exact values stay; of the two float16 neighbours of others, the one whose last bit is 1."""
    near = np.float16(x)
    if float(near) == x or math.isnan(x) or math.isinf(x):
        return near
    below = near if abs(float(near)) < abs(x) else np.nextafter(near, np.float16(0))
    return below if below.view(np.uint16) & 1 else np.nextafter(below, np.float16(math.copysign(np.inf, x)))


def source_values(seed: int, size: int, dtype: str) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if dtype in ("int8", "uint8", "int32"):
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, size, endpoint=True).astype(dtype)
    halves = generator.integers(-600, 600, size) / 2
    values = np.where(generator.random(size) < 0.5, halves, generator.uniform(-300, 300, size)).astype(dtype)
    values[generator.integers(0, size, 4)] = (np.inf, -np.inf, np.nan, 60000)
    return values


@pytest.mark.parametrize(("source", "destination", "mode"), MODES)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_conversion(source: str, destination: str, mode: str, data: st.DataObject) -> None:
    sizes = {"src": np.dtype(source).itemsize, "dst": np.dtype(destination).itemsize}
    width = 256 // max(sizes.values())
    mask = data.draw(st.integers(1, width))
    repeat = data.draw(st.integers(1, 4))
    blocks = {n: data.draw(st.integers(1, 3)) for n in sizes}
    repeats = {n: data.draw(st.integers(1, 9)) for n in sizes}
    seed = data.draw(st.integers(0, 2**31))
    src = source_values(seed, extent(repeat, blocks["src"], repeats["src"], sizes["src"]), source)
    dst = np.zeros(extent(repeat, blocks["dst"], repeats["dst"], sizes["dst"]), destination)
    strides = (blocks["dst"], blocks["src"], repeats["dst"], repeats["src"])
    found = in_ub(lambda t, dst, src: t.vconv(mask, mode, dst, src, repeat, *strides), dst=dst, src=src)["dst"]
    expected = dst.copy()
    with np.errstate(all="ignore"):
        for r in range(repeat):
            for e in active(mask, width):
                x = src[place(e, r, blocks["src"], repeats["src"], sizes["src"])]
                expected[place(e, r, blocks["dst"], repeats["dst"], sizes["dst"])] = converted(x, destination, mode)
    assert same(found, expected)


def test_dequantisation_multiplies_before_rounding() -> None:
    src = np.arange(-32, 32, dtype=np.int32) * 1000
    found = in_ub(
        lambda t, dst, src: t.vec_conv(64, "none", dst, src, 1, 4, 8, deqscale=0.125),
        dst=np.zeros(64, np.float16),
        src=src,
    )
    assert same(found["dst"], (src * 0.125).astype(np.float16))


@pytest.mark.parametrize(("name", "alias"), [("ceil", "ceiling"), ("round", "round")])
def test_vec_conv_and_the_names_of_the_modes(name: str, alias: str) -> None:
    src = np.linspace(-9, 9, 64).astype(np.float32)
    full = in_ub(lambda t, dst, src: t.vconv(64, name, dst, src, 1, 1, 1, 8, 8), dst=np.zeros(64, np.int32), src=src)
    short = in_ub(lambda t, dst, src: t.vec_conv(64, alias, dst, src, 1, 8, 8), dst=np.zeros(64, np.int32), src=src)
    assert same(full["dst"], short["dst"])
    half = in_ub(lambda t, dst, src: t.vec_conv(64, "", dst, src, 1, 4, 8), dst=np.zeros(64, np.float16), src=src)
    assert same(half["dst"], src.astype(np.float16))
