"""``col2img`` against a loop over windows: each adds its value to the pixel under its tap, padding takes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import in_ub, program, same

from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik


@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(("float16", "float32")), height=st.integers(3, 6), width=st.integers(4, 9),
    pad=st.tuples(*[st.integers(0, 2)] * 4), stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    taps=st.tuples(st.integers(1, 3), st.integers(1, 3)), repeat=st.integers(1, 3), data=st.data(), seed=st.integers(0, 99),
)  # fmt: skip
def test_col2img(
    dtype: str, height: int, width: int, pad: tuple[int, ...], stride: tuple[int, int], taps: tuple[int, int], repeat: int,
    data: st.DataObject, seed: int,
) -> None:  # fmt: skip
    across = (width + pad[0] + pad[1] - taps[0]) // stride[0] + 1
    fetch = data.draw(st.integers(0, taps[0] - 1)), data.draw(st.integers(0, taps[1] - 1))
    generator = np.random.default_rng(seed)
    src = generator.integers(-9, 9, (repeat, 16, 16)).astype(dtype)
    image = generator.integers(-9, 9, (height, width, 16)).astype(dtype)
    found = in_ub(
        lambda t, dst, src: t.col2img(dst, src, pad, height, width, *fetch, -pad[0], -pad[2], *stride, *taps, 1, 1, repeat),
        dst=image.reshape(-1), src=src.reshape(-1),
    )["dst"]  # fmt: skip
    expected = image.copy()
    for window, value in enumerate(src.reshape(-1, 16)):
        y = -pad[2] + window // across * stride[1] + fetch[1]
        x = -pad[0] + window % across * stride[0] + fetch[0]
        if 0 <= y < height and 0 <= x < width:
            expected[y, x] += value
    assert same(found, expected.reshape(-1))


def test_it_adds_to_something() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        src, image = (t.Tensor("float16", (256,), name=n, scope=tik.scope_ubuf) for n in ("src", "image"))
        t.data_move(src, x, 0, 1, 16, 0, 0)
        t.col2img(image, src, (0, 0, 0, 0), 4, 4, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1)
        t.data_move(y, image, 0, 1, 16, 0, 0)

    with pytest.raises(errors.PoisonError, match=r"\(256 such\)"):
        program(body, {"x": ((256,), "float16")}, {"y": ((256,), "float16")}).run(np.ones(256, np.float16))
