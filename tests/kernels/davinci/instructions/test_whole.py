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


def test_slices_and_lengths() -> None:
    a = values(2, 64, "float32")
    found = in_ub(lambda t, a: t.h_add(a[8:24], a[32:48], a[48:64]), a=a)["a"]
    assert same(found[8:24], a[32:48] + a[48:]) and same(found[24:], a[24:]) and same(found[:8], a[:8])
    with pytest.raises(errors.ArgumentError, match="h_add: the tensors have 8, 16 elements"):
        in_ub(lambda t, a: t.h_add(a[8:24], a[32:48], a[48:56]), a=a)
