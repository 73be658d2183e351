"""Calls on whole tensors against NumPy, over lengths around repeats and slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import in_ub, same

from bert_thor.kernels.davinci import errors

LENGTHS = (16, 64, 80, 256, 17408)


def values(seed: int, count: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 4, count).astype(dtype)


BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "div": np.divide}
UNARY = {"abs": np.abs, "exp": np.exp, "ln": np.log}


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
@pytest.mark.parametrize("operation", BINARY)
def test_two_tensors_or_a_scalar(operation: str, dtype: str) -> None:
    if (operation, dtype) == ("div", "int32"):
        pytest.skip("vdiv takes floats")
    for count in LENGTHS[:4]:
        a, b = values(count, count, dtype), values(count + 1, count, dtype)

        def call(t: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
            getattr(t, f"h_{operation}")(c, a, b)
            getattr(t, f"h_{operation}")(d, a, 3)
            getattr(t, f"h_{operation}")(e, 3, b)

        found = in_ub(call, a=a, b=b, c=a, d=a, e=a)
        three, function = a.dtype.type(3), BINARY[operation]
        for name, expected in (("c", function(a, b)), ("d", function(a, three)), ("e", function(three, b))):
            assert same(found[name], expected.astype(dtype)), (name, count)


@pytest.mark.parametrize("operation", UNARY)
def test_one_tensor(operation: str) -> None:
    for count in LENGTHS:
        a = values(count, count, "float32") * (-1 if operation == "abs" else 1)
        found = in_ub(lambda t, a: getattr(t, f"h_{operation}")(a, a), a=a)["a"]
        assert same(found, UNARY[operation](a.astype(np.float64)).astype(np.float32))


@pytest.mark.parametrize(("operation", "function"), [("h_sin", np.sin), ("h_cos", np.cos)])
def test_sine_and_cosine(operation: str, function: Any) -> None:
    x = np.concatenate([np.linspace(-99, 99, 4000), np.arange(-31, 32) * np.pi / 2, [0.0]]).astype(np.float32)
    found = in_ub(lambda t, x, y: getattr(t, operation)(y, x), x=x, y=np.zeros_like(x))["y"]
    assert np.max(np.abs(found - function(x.astype(np.float64)))) < 4e-7


def test_fill_cast_and_copy() -> None:
    a = values(1, 80, "float32")

    def call(t: Any, a: Any, half: Any, filled: Any, whole: Any, copied: Any) -> None:
        t.h_cast(half, a, "none")
        t.h_duplicate(filled, 2.5)
        t.h_cast(whole, a, "floor")
        t.h_data_move(copied, a)

    found = in_ub(
        call, a=a, half=np.zeros(80, np.float16), filled=a, whole=np.zeros(80, np.int32), copied=np.zeros(80, np.float32)
    )  # fmt: skip
    assert same(found["half"], a.astype(np.float16)) and (found["filled"] == 2.5).all()
    assert same(found["whole"], np.floor(a).astype(np.int32)) and same(found["copied"], a)


def test_quantised() -> None:
    x = np.random.default_rng(4).integers(-9999, 9999, 400).astype(np.int32)
    found = in_ub(lambda t, x, y: t.h_quant(y, x, 0.25), x=x, y=np.zeros(400, np.float16))["y"]
    assert same(found, (x * 0.25).astype(np.float16))
    with pytest.raises(errors.ArgumentError, match="h_quant: the tensors have 16, 400 elements"):
        in_ub(lambda t, x, y: t.h_quant(y, x, 0.25), x=x, y=np.zeros(16, np.float16))


def test_slices_and_lengths() -> None:
    a = values(2, 64, "float32")
    found = in_ub(lambda t, a: t.h_add(a[8:24], a[32:48], a[48:64]), a=a)["a"]
    assert same(found[8:24], a[32:48] + a[48:]) and same(found[24:], a[24:]) and same(found[:8], a[:8])
    with pytest.raises(errors.ArgumentError, match="h_add: the tensors have 8, 16 elements"):
        in_ub(lambda t, a: t.h_add(a[8:24], a[32:48], a[48:56]), a=a)


MODES = {
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
    "EQ": np.equal,
    "NE": np.not_equal,
}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("count", [16, 64, 96, 128, 400])
def test_compare_and_select(count: int, dtype: str) -> None:
    """Every mode, tensors and numbers on either side, whole repeats and rests; NaN and infinities among the values."""
    random = np.random.default_rng(count)
    a, b = (random.integers(-2, 3, count).astype(dtype) for _ in range(2))
    a[3], b[5], a[7], b[9] = np.nan, np.nan, np.inf, -np.inf
    for mode, function in MODES.items():

        def call(t: Any, a: Any, b: Any, both: Any, right: Any, left: Any, mode: str = mode) -> None:
            mask = t.Tensor("bool", (count,), name="mask", scope="ubuf")
            for out, sources in ((both, (a, b)), (right, (a, 1.0)), (left, (1.0, b))):
                t.h_cmpv(mask, *sources, mode)
                t.h_sel(out, *sources, mask)

        found = in_ub(call, a=a, b=b, both=a, right=a, left=a)
        one = np.ones_like(a)
        for name, pair in (("both", (a, b)), ("right", (a, one)), ("left", (one, b))):
            assert same(found[name], np.where(function(*pair), *pair)), (mode, name)


def test_compare_refuses() -> None:
    a = values(3, 64, "float32")

    def call(t: Any, a: Any, *arguments: Any, shape: tuple[int, ...] = (64,), dtype: str = "bool") -> None:
        mask = t.Tensor(dtype, shape, name="mask", scope="ubuf")
        t.h_cmpv(mask, *(a if x is a else x for x in arguments))

    with pytest.raises(errors.ArgumentError, match="cmp_mode is 'UN'"):
        in_ub(lambda t, a: call(t, a, a, a, "UN"), a=a)
    with pytest.raises(errors.ArgumentError, match="one of the two sources is a tensor"):
        in_ub(lambda t, a: call(t, a, 1.0, 2.0, "LT"), a=a)
    with pytest.raises(errors.ArgumentError, match="h_cmpv: the tensors have 32, 64 elements"):
        in_ub(lambda t, a: call(t, a, a, a, "LT", shape=(32,)), a=a)
    with pytest.raises(errors.DataTypeError, match="takes a bool mask"):
        in_ub(lambda t, a: call(t, a, a, a, "LT", dtype="float16"), a=a)
    with pytest.raises(errors.DataTypeError, match="not int8 and int32"):
        in_ub(lambda t, a: call(t, a, a, a, "LT"), a=a.astype(np.int32))


REDUCTIONS = {"sum": np.sum, "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin}


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2), (1, 2)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
@pytest.mark.parametrize("kind", REDUCTIONS)
def test_reductions(kind: str, dtype: str, axis: Any) -> None:
    """Small integers, so that sums are exact in any order; ties, of which the first place counts."""
    if kind.startswith("arg") and isinstance(axis, tuple):
        with pytest.raises(errors.ArgumentError, match="axis is a number or None"):
            reduced(kind, dtype, axis)
        return
    x, found = reduced(kind, dtype, axis)
    assert found.tolist() == REDUCTIONS[kind](x.astype(np.int64), axis=axis).reshape(-1).tolist()


def reduced(kind: str, dtype: str, axis: Any) -> tuple[np.ndarray, np.ndarray]:
    """A tensor of 3 x 4 x 48 and what the call gives for it."""
    x = np.random.default_rng(len(kind)).integers(-9, 10, (3, 4, 48)).astype(dtype)
    axes = (0, 1, 2) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    kept = tuple(e for i, e in enumerate(x.shape) if i not in axes)
    result = "int32" if kind.startswith("arg") else dtype
    count = -(-int(np.prod(kept)) // 16) * 16

    def call(t: Any, x: Any, out: Any) -> None:
        source = x.reshape((3, 4, 48))
        target = out[: int(np.prod(kept))].reshape(kept) if kept and np.prod(kept) == count else None
        if target is None and kept:
            target = t.Tensor(result, kept, name="target", scope="ubuf")
        scalar = t.Scalar(result) if not kept else None
        getattr(t, f"h_reduce_{kind}")(scalar if target is None else target, source, axis)
        if scalar is not None:
            out[0].set_as(scalar)
        elif np.prod(kept) != count:
            with t.for_range(0, int(np.prod(kept))) as i:
                out[i].set_as(target[i])

    found = in_ub(call, x=x.reshape(-1), out=np.zeros(count, result))["out"]
    return x, found[: max(1, int(np.prod(kept)))]


def test_reductions_refuse() -> None:
    x = values(5, 64, "float32")
    for axis in (2, -1, (0, 0)):
        with pytest.raises(errors.ArgumentError, match="does not fit a tensor of 2 dimensions"):
            in_ub(lambda t, x, axis=axis: t.h_reduce_sum(x[0:4], x.reshape((4, 16)), axis), x=x)
    with pytest.raises(errors.ArgumentError, match="over all axes, dst is a scalar"):
        in_ub(lambda t, x: t.h_reduce_sum(x, x), x=x)
    with pytest.raises(errors.ArgumentError, match=r"dst has the shape \(8,\); the result has \(4,\)"):
        in_ub(lambda t, x: t.h_reduce_sum(x[0:8], x.reshape((4, 16)), 1), x=x)
    with pytest.raises(errors.DataTypeError, match="dst is int32 and src float32"):
        in_ub(lambda t, x: t.h_reduce_max(t.Scalar("int32"), x), x=x)
    with pytest.raises(errors.DataTypeError, match="dst is int32, not float32"):
        in_ub(lambda t, x: t.h_reduce_argmax(t.Scalar("float32"), x), x=x)
    with pytest.raises(errors.LimitError, match="slices of 4 float32 are not whole blocks"):
        in_ub(lambda t, x: t.h_reduce_sum(x[0:16], x.reshape((16, 4)), 1), x=x)


def test_slices_of_several_dimensions() -> None:
    """A call takes the part of the tensor that the slice is; one that is not contiguous is refused."""
    x = values(6, 96, "float32")
    found = in_ub(lambda t, x: t.h_add(x.reshape((3, 4, 8))[1, 0:2, :], x.reshape((3, 4, 8))[2, 2:4, :], 1.0), x=x)["x"]
    assert same(found[32:48], x[80:] + np.float32(1)) and same(found[:32], x[:32]) and same(found[48:], x[48:])
    with pytest.raises(errors.UnavailableError, match="a slice of x that is not contiguous"):
        in_ub(lambda t, x: t.h_add(x[::2], x, 1.0), x=x)
    with pytest.raises(errors.UnavailableError, match="a slice of x that is not contiguous"):
        in_ub(lambda t, x: t.h_add(x[t.Scalar("int32", "i", 3) : 48], x, 1.0), x=x)
    with pytest.raises(errors.UnavailableError, match="a slice of x that is not contiguous"):
        in_ub(lambda t, x: t.h_add(x.reshape((6, 16))[:, 0:8], x.reshape((6, 16))[:, 8:16], 1.0), x=x)


def test_slices_that_move_with_a_loop() -> None:
    """Bounds are scalars, their difference is a number: rows of a tensor, doubled one after the other."""
    x = values(7, 96, "float32")

    def call(t: Any, x: Any) -> None:
        rows = x.reshape((6, 16))
        step = t.Scalar("int32", "step", 1)
        with t.for_range(0, 3) as i:
            t.h_mul(rows[2 * i : (i + 1) * 2 - 1, :], rows[i * 2 : 1 + 2 * i, :], 2.0)
            t.h_mul(rows[2 * i + step : 1 + (2 * i + step), :], rows[step + 2 * i : step + 2 * i + 1, :], 3.0)

    factors = np.tile([2, 3], 3).repeat(16).astype(np.float32)
    assert same(in_ub(call, x=x)["x"], x * factors)
