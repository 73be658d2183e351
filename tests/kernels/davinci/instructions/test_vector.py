"""Every element-wise vector instruction against a loop over repeats and elements that says what it means."""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import active, extent, in_ub, place, same

F16, F32, I32, I16, U16 = "float16", "float32", "int32", "int16", "uint16"
Number = Any


def fused(a: Number, b: Number, c: Number) -> Number:
    """a * b + c, the product rounded to the type first."""
    return a * b + c


TWO_SOURCES: dict[str, tuple[Callable[..., Number], tuple[str, ...]]] = {
    "vadd": (lambda a, b: a + b, (F16, F32, I32)),
    "vsub": (lambda a, b: a - b, (F16, F32, I32)),
    "vmul": (lambda a, b: a * b, (F16, F32, I32)),
    "vmax": (lambda a, b: a if a >= b else b, (F16, F32, I32)),
    "vmin": (lambda a, b: a if a <= b else b, (F16, F32, I32)),
    "vdiv": (lambda a, b: a / b, (F16, F32)),
    "vand": (lambda a, b: a & b, (I16, U16)),
    "vor": (lambda a, b: a | b, (I16, U16)),
}
READING_DST: dict[str, Callable[..., Number]] = {
    "vmla": lambda a, b, d: fused(a, b, d),
    "vmadd": lambda a, b, d: fused(a, d, b),
    "vmaddrelu": lambda a, b, d: max(fused(a, d, b), d.dtype.type(0)),
}
ONE_SOURCE: dict[str, tuple[Callable[[float], float], tuple[str, ...]]] = {
    "vrelu": (lambda x: max(x, 0.0), (F16,)),
    "vabs": (abs, (F16, F32)),
    "vexp": (math.exp, (F16, F32)),
    "vln": (math.log, (F16, F32)),
    "vsqrt": (math.sqrt, (F16, F32)),
}


def numbers(seed: int, size: int, dtype: str, positive: bool = False) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        values = generator.uniform(0.1, 8, size) if positive else generator.uniform(-8, 8, size)
        return values.astype(dtype)
    return generator.integers(0, 30000, size).astype(dtype)


def masks(width: int) -> st.SearchStrategy[Any]:
    low = st.integers(1, 2**64 - 1)
    pairs = st.tuples(st.integers(0, 2**64 - 1), low) if width == 128 else st.tuples(st.just(0), low)
    return st.one_of(st.integers(1, width), pairs.map(list))


STRIDES = {"block": st.integers(0, 3), "repeat": st.integers(0, 12)}


@st.composite
def settings_of(draw: Any, dtypes: tuple[str, ...], operands: tuple[str, ...]) -> dict[str, Any]:
    dtype = draw(st.sampled_from(dtypes))
    width = 256 // np.dtype(dtype).itemsize
    return {
        "dtype": dtype,
        "width": width,
        "mask": draw(masks(width)),
        "repeat": draw(st.integers(1, 5)),
        "strides": {o: (draw(STRIDES["block"]), draw(STRIDES["repeat"])) for o in operands},
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def operand(case: dict[str, Any], name: str, seed_shift: int, positive: bool = False) -> np.ndarray:
    block, repeat = case["strides"][name]
    size = extent(case["repeat"], block, repeat, np.dtype(case["dtype"]).itemsize)
    return numbers((case["seed"] + seed_shift) % 2**32, size, case["dtype"], positive)


def at(case: dict[str, Any], name: str, element: int, repeat: int) -> int:
    return place(element, repeat, *case["strides"][name], np.dtype(case["dtype"]).itemsize)


def stride_arguments(case: dict[str, Any], names: tuple[str, ...]) -> list[int]:
    return [case["strides"][n][0] for n in names] + [case["strides"][n][1] for n in names]


@pytest.mark.parametrize("name", TWO_SOURCES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_two_sources(name: str, data: st.DataObject) -> None:
    function, dtypes = TWO_SOURCES[name]
    names = ("dst", "src0", "src1")
    case = data.draw(settings_of(dtypes, names))
    arrays = {n: operand(case, n, i) for i, n in enumerate(names)}
    strides = stride_arguments(case, names)
    found = in_ub(
        lambda t, dst, src0, src1: getattr(t, name)(case["mask"], dst, src0, src1, case["repeat"], *strides), **arrays
    )
    expected = arrays["dst"].copy()
    with np.errstate(all="ignore"):
        for r in range(case["repeat"]):
            for e in active(case["mask"], case["width"]):
                a, b = arrays["src0"][at(case, "src0", e, r)], arrays["src1"][at(case, "src1", e, r)]
                expected[at(case, "dst", e, r)] = function(a, b)
    assert same(found["dst"], expected)
    assert same(found["src0"], arrays["src0"])


@pytest.mark.parametrize("name", READING_DST)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_two_sources_and_the_destination(name: str, data: st.DataObject) -> None:
    names = ("dst", "src0", "src1")
    case = data.draw(settings_of((F16, F32), names))
    case["strides"]["dst"] = (max(case["strides"]["dst"][0], 1), case["strides"]["dst"][1])
    arrays = {n: operand(case, n, i) for i, n in enumerate(names)}
    strides = stride_arguments(case, names)
    found = in_ub(
        lambda t, dst, src0, src1: getattr(t, name)(case["mask"], dst, src0, src1, case["repeat"], *strides), **arrays
    )
    expected = arrays["dst"].copy()
    with np.errstate(all="ignore"):
        for r in range(case["repeat"]):
            before = expected.copy()
            for e in active(case["mask"], case["width"]):
                a, b = arrays["src0"][at(case, "src0", e, r)], arrays["src1"][at(case, "src1", e, r)]
                expected[at(case, "dst", e, r)] = READING_DST[name](a, b, before[at(case, "dst", e, r)])
    assert same(found["dst"], expected)


@pytest.mark.parametrize("name", ONE_SOURCE)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_one_source(name: str, data: st.DataObject) -> None:
    function, dtypes = ONE_SOURCE[name]
    names = ("dst", "src")
    case = data.draw(settings_of(dtypes, names))
    positive = name in ("vln", "vsqrt")
    arrays = {n: operand(case, n, i, positive) for i, n in enumerate(names)}
    strides = stride_arguments(case, names)
    found = in_ub(lambda t, dst, src: getattr(t, name)(case["mask"], dst, src, case["repeat"], *strides), **arrays)
    expected = arrays["dst"].copy()
    for r in range(case["repeat"]):
        for e in active(case["mask"], case["width"]):
            expected[at(case, "dst", e, r)] = function(float(arrays["src"][at(case, "src", e, r)]))
    # The C library's exp and log and NumPy's may differ by one unit in the last place of float64 before rounding.
    unit = np.finfo(case["dtype"]).eps
    assert (np.abs(found["dst"].astype(float) - expected.astype(float)) <= unit * np.abs(expected.astype(float))).all()
    if name not in ("vexp", "vln"):
        assert same(found["dst"], expected)


@settings(max_examples=12, deadline=None)
@given(case=settings_of((I16, U16), ("dst", "src")))
def test_vnot(case: dict[str, Any]) -> None:
    arrays = {n: operand(case, n, i) for i, n in enumerate(("dst", "src"))}
    strides = stride_arguments(case, ("dst", "src"))
    found = in_ub(lambda t, dst, src: t.vnot(case["mask"], dst, src, case["repeat"], *strides), **arrays)
    expected = arrays["dst"].copy()
    for r in range(case["repeat"]):
        for e in active(case["mask"], case["width"]):
            expected[at(case, "dst", e, r)] = ~arrays["src"][at(case, "src", e, r)]
    assert same(found["dst"], expected)


@pytest.mark.parametrize("name", ["vadds", "vmuls", "vaxpy"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_scalar_and_vector(name: str, data: st.DataObject) -> None:
    case = data.draw(settings_of((F16, F32), ("dst", "src")))
    case["strides"]["dst"] = (max(case["strides"]["dst"][0], 1), case["strides"]["dst"][1])
    arrays = {n: operand(case, n, i) for i, n in enumerate(("dst", "src"))}
    strides = stride_arguments(case, ("dst", "src"))
    factor = data.draw(st.floats(-4, 4, width=16))

    def call(t: Any, dst: Any, src: Any) -> None:
        scalar = t.Scalar(case["dtype"], init_value=factor)
        getattr(t, name)(case["mask"], dst, src, scalar, case["repeat"], *strides)

    found = in_ub(call, **arrays)
    typed = np.dtype(case["dtype"]).type(factor)
    expected = arrays["dst"].copy()
    for r in range(case["repeat"]):
        before = expected.copy()
        for e in active(case["mask"], case["width"]):
            x, old = arrays["src"][at(case, "src", e, r)], before[at(case, "dst", e, r)]
            expected[at(case, "dst", e, r)] = {"vadds": x + typed, "vmuls": x * typed, "vaxpy": fused(x, typed, old)}[
                name
            ]
    assert same(found["dst"], expected)


@settings(max_examples=16, deadline=None)
@given(case=settings_of((F16, F32, I32, I16, U16, "uint32"), ("dst",)), value=st.integers(0, 1000))
def test_vector_dup(case: dict[str, Any], value: int) -> None:
    dst = operand(case, "dst", 0)
    block, repeat = case["strides"]["dst"]
    found = in_ub(lambda t, dst: t.vector_dup(case["mask"], dst, value, case["repeat"], block, repeat), dst=dst)
    expected = dst.copy()
    for r in range(case["repeat"]):
        for e in active(case["mask"], case["width"]):
            expected[at(case, "dst", e, r)] = value
    assert same(found["dst"], expected)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "max", "min"])
def test_the_vec_form_of_two_sources_has_block_stride_one(name: str) -> None:
    arrays = {n: numbers(i, 3 * 64, F32) for i, n in enumerate(("dst", "src0", "src1"))}
    short = in_ub(lambda t, dst, src0, src1: getattr(t, f"vec_{name}")(50, dst, src0, src1, 3, 8, 8, 8), **arrays)
    full = in_ub(lambda t, dst, src0, src1: getattr(t, f"v{name}")(50, dst, src0, src1, 3, 1, 1, 1, 8, 8, 8), **arrays)
    assert same(short["dst"], full["dst"])
    assert not same(short["dst"], arrays["dst"])


@pytest.mark.parametrize("name", ["abs", "exp", "ln", "rec", "rsqrt"])
def test_the_vec_form_of_one_source_has_block_stride_one(name: str) -> None:
    arrays = {n: numbers(i, 3 * 64, F32, positive=True) for i, n in enumerate(("dst", "src"))}
    short = in_ub(lambda t, dst, src: getattr(t, f"vec_{name}")(50, dst, src, 3, 8, 8), **arrays)
    full = in_ub(lambda t, dst, src: getattr(t, f"v{name}")(50, dst, src, 3, 1, 1, 8, 8), **arrays)
    assert same(short["dst"], full["dst"])


@pytest.mark.parametrize("name", ["adds", "muls", "axpy"])
def test_the_vec_form_with_a_scalar_has_block_stride_one(name: str) -> None:
    arrays = {n: numbers(i, 3 * 64, F32) for i, n in enumerate(("dst", "src"))}
    short = in_ub(lambda t, dst, src: getattr(t, f"vec_{name}")(50, dst, src, 1.5, 3, 8, 8), **arrays)
    full = in_ub(lambda t, dst, src: getattr(t, f"v{name}")(50, dst, src, 1.5, 3, 1, 1, 8, 8), **arrays)
    assert same(short["dst"], full["dst"])


def test_vec_dup_vec_and_vec_or_vec_not_vec_relu() -> None:
    words = {n: numbers(i, 128, U16) for i, n in enumerate(("dst", "src0", "src1"))}
    assert same(in_ub(lambda t, dst: t.vec_dup(128, dst, 7, 1, 8), dst=words["dst"])["dst"], np.full(128, 7, U16))
    found = in_ub(lambda t, dst, src0, src1: t.vec_and(128, dst, src0, src1, 1, 8, 8, 8), **words)
    assert same(found["dst"], words["src0"] & words["src1"])
    found = in_ub(lambda t, dst, src0, src1: t.vec_or(128, dst, src0, src1, 1, 8, 8, 8), **words)
    assert same(found["dst"], words["src0"] | words["src1"])
    found = in_ub(lambda t, dst, src: t.vec_not(128, dst, src, 1, 8, 8), dst=words["dst"], src=words["src0"])
    assert same(found["dst"], ~words["src0"])
    half = numbers(3, 128, F16)
    found = in_ub(lambda t, dst, src: t.vec_relu(128, dst, src, 1, 8, 8), dst=half, src=half)
    assert same(found["dst"], np.where(half > 0, half, np.float16(0)))


def test_mixed_precision_vmla_and_vaxpy_accumulate_in_float32() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.uniform(-2, 2, 64).astype(F16) for _ in range(2))
    c = generator.uniform(-2, 2, 64).astype(F32)
    found = in_ub(lambda t, dst, src0, src1: t.vmla(64, dst, src0, src1, 1, 1, 1, 1, 8, 4, 4), dst=c, src0=a, src1=b)
    assert same(found["dst"], a.astype(F32) * b.astype(F32) + c)
    found = in_ub(lambda t, dst, src: t.vaxpy(64, dst, src, 1.5, 1, 1, 1, 8, 4), dst=c, src=a)
    assert same(found["dst"], a.astype(F32) * np.float32(1.5) + c)


@pytest.mark.parametrize("repeat", [1, 2, 7])
def test_accumulation_into_one_row(repeat: int) -> None:
    """dst is src1 with both repeat strides 0: the repeats add up one after another."""
    data, total = numbers(1, 64 * repeat, F32), numbers(2, 64, F32)
    found = in_ub(lambda t, dst, src: t.vadd(64, dst, src, dst, repeat, 1, 1, 1, 0, 8, 0), dst=total, src=data)
    expected = total.copy()
    for r in range(repeat):
        expected = data[r * 64 : (r + 1) * 64] + expected
    assert same(found["dst"], expected)


def test_a_repeat_may_read_what_a_repeat_before_the_last_wrote() -> None:
    """dst of repeat 0 is src of repeat 2: the repeats run in order."""
    data = numbers(1, 64 * 6, F32)
    found = in_ub(lambda t, x: t.vmuls(64, x[128], x, 2.0, 4, 1, 1, 8, 8), x=data)
    expected = data.copy()
    for r in range(4):
        expected[128 + r * 64 : 192 + r * 64] = expected[r * 64 : (r + 1) * 64] * np.float32(2)
    assert same(found["x"], expected)


@pytest.mark.parametrize(("x", "printed"), [(1.0, 0.998), (2.0, 0.705), (3.0, 0.576), (4.0, 0.499), (128.0, 0.08813)])
def test_vec_rsqrt_gives_the_documented_sample(x: float, printed: float) -> None:
    """The manual prints these float16 results; they are cut, not rounded, to the digits shown."""
    found = in_ub(
        lambda t, dst, src: t.vec_rsqrt(128, dst, src, 1, 8, 8), dst=np.zeros(128, F16), src=np.full(128, x, F16)
    )["dst"]
    digits = 10.0 ** -len(str(printed).split(".")[1])
    assert (np.abs(found.astype(float) - printed) < digits).all()


@pytest.mark.parametrize("name", ["vec_rec", "vec_rsqrt"])
@pytest.mark.parametrize("dtype", [F16, F32])
def test_the_tables_have_eight_bits_and_are_low(name: str, dtype: str) -> None:
    x = np.linspace(0.5, 8, 128).astype(dtype)[: 256 // np.dtype(dtype).itemsize]
    found = in_ub(lambda t, dst, src: getattr(t, name)(len(x), dst, src, 1, 8, 8), dst=np.zeros_like(x), src=x)["dst"]
    exact = 1 / x.astype(float) if name == "vec_rec" else 1 / np.sqrt(x.astype(float))
    error = found.astype(float) / exact - 1
    assert (error >= -(2.0**-8)).all() and (error <= 2.0**-10).all()
    assert (error < -1e-4).any()
    mantissa, _ = np.frexp(found.astype(float))
    assert (mantissa * 512 == np.rint(mantissa * 512)).all()


def test_float16_overflow_and_subnormals_follow_ieee() -> None:
    big, tiny = np.full(128, 60000, F16), np.full(128, 2.0**-24, F16)
    assert np.isinf(
        in_ub(lambda t, dst, src: t.vadd(128, dst, src, src, 1, 1, 1, 1, 8, 8, 8), dst=big, src=big)["dst"]
    ).all()
    found = in_ub(lambda t, dst, src: t.vadd(128, dst, src, src, 1, 1, 1, 1, 8, 8, 8), dst=big, src=tiny)["dst"]
    assert same(found, np.full(128, 2.0**-23, F16))
