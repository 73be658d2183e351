"""The high-precision forms: two Newton steps on the table's guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import in_ub

F16, F32 = "float16", "float32"
WORK = {"vec_rec_high_preci": {F32: 2, F16: 4}, "vec_rsqrt_high_preci": {F32: 3, F16: 5}}
EXACT = {
    "vec_rec_high_preci": lambda x: 1 / x,
    "vec_rsqrt_high_preci": lambda x: 1 / np.sqrt(x),
    "vec_ln_high_preci": np.log,
}


def high_precision(name: str, mask: Any, x: np.ndarray, repeat: int, work_size: int) -> np.ndarray:
    return in_ub(
        lambda t, dst, src, work: getattr(t, name)(mask, dst, src, work[0:], repeat, 8, 8),
        dst=np.zeros_like(x), src=x, work=np.zeros(work_size, F32),
    )["dst"]  # fmt: skip


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("dtype", [F16, F32])
@pytest.mark.parametrize("repeat", [1, 3])
def test_two_newton_steps_are_as_good_as_the_type(name: str, dtype: str, repeat: int) -> None:
    """The guess is off by at most 2^-8: after two steps by 2^-32, so only the rounding of the five steps is left."""
    width = 256 // np.dtype(dtype).itemsize
    x = np.random.default_rng(repeat).uniform(0.25, 30, width * repeat).astype(dtype)
    found = high_precision(name, width, x, repeat, WORK[name][dtype] * width * repeat)
    exact = EXACT[name](x.astype(np.float64))
    error = np.abs(found.astype(np.float64) - exact) / exact
    bound = 6 * 2.0**-24 + (2.0**-11 if dtype == F16 else 0)
    assert (error <= bound).all()
    table = in_ub(
        lambda t, dst, src: getattr(t, name.replace("_high_preci", ""))(width, dst, src, repeat, 8, 8),
        dst=np.zeros_like(x),
        src=x,
    )["dst"]
    assert (np.abs(table.astype(np.float64) - exact) / exact > bound).any()


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize(
    ("dtype", "mask"), [(F32, 50), (F32, [0, 0xF0F0]), (F16, 100), (F16, 30), (F16, [0xFF, 0xF0F0])]
)
def test_other_lanes_keep_their_value(name: str, dtype: str, mask: Any) -> None:
    width = 256 // np.dtype(dtype).itemsize
    x = np.random.default_rng(0).uniform(0.25, 30, width).astype(dtype)
    found = high_precision(name, mask, x, 1, WORK[name][dtype] * width)
    if isinstance(mask, int):
        chosen = np.arange(width) < mask
    else:
        chosen = np.array([(mask[1] >> e if e < 64 else mask[0] >> (e - 64)) & 1 for e in range(width)], bool)
    assert (found[~chosen] == 0).all()
    exact = EXACT[name](x.astype(np.float64))
    assert (np.abs(found.astype(np.float64) - exact)[chosen] <= 2.0**-10 * exact[chosen]).all()


def test_ln_high_precision_is_the_plain_logarithm_here() -> None:
    x = np.random.default_rng(0).uniform(0.25, 30, 64).astype(F32)
    plain = in_ub(lambda t, dst, src: t.vec_ln(64, dst, src, 1, 8, 8), dst=np.zeros_like(x), src=x)["dst"]
    assert (high_precision("vec_ln_high_preci", 64, x, 1, 64) == plain).all()
