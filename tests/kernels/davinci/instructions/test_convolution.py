"""``conv2d`` and ``matmul`` on operands in L1 against loops: taps, strides, dilations, padding, and loops that hold copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import described, program

from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik


def convolution(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: Any, pad: Any, dilation: Any, dtype: str = "float16"
) -> tuple[np.ndarray, np.ndarray]:
    """What the call gives and what six loops give, both [Cout / 16, Ho Wo, 16]; small integers, so both are exact."""
    random = np.random.default_rng(1)
    image, weight = (random.integers(-3, 4, s).astype(dtype) for s in (shape, kernel))
    (_, h, w, _), (_, taps_h, taps_w, channels, _) = shape, kernel
    left, right, top, bottom = pad
    high = (h + top + bottom - ((taps_h - 1) * dilation[0] + 1)) // stride[0] + 1
    wide = (w + left + right - ((taps_w - 1) * dilation[1] + 1)) // stride[1] + 1
    rows, result = -(-high * wide // 16) * 16, "float32" if dtype == "float16" else "int32"

    def body(t: Any, x: Any, wt: Any, y: Any) -> None:
        image_l1 = t.Tensor(dtype, shape, name="image", scope=tik.scope_cbuf)
        weight_l1 = t.Tensor(dtype, kernel, name="weight", scope=tik.scope_cbuf)
        for target, source, array in ((image_l1, x, image), (weight_l1, wt, weight)):
            t.data_move(target, source, 0, 1, array.nbytes // 32, 0, 0)
        out = t.Tensor(result, (channels // 16, rows, 16), name="out", scope=tik.scope_cc)
        t.conv2d(out, image_l1, weight_l1, shape, kernel, stride, pad, dilation)
        t.fixpipe(y, out, channels // 16, high * wide * 16 * 4 // 32, 0, 0)

    y = np.zeros((channels // 16, high * wide, 16), result)
    built = program(body, {"x": described(image), "wt": described(weight)}, {"y": described(y)})
    padded = np.pad(image.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    wanted = np.zeros((high * wide, channels))
    for i in range(high):
        for j in range(wide):
            for p in range(taps_h):
                for q in range(taps_w):
                    pixel = padded[:, i * stride[0] + p * dilation[0], j * stride[1] + q * dilation[1], :]
                    wanted[i * wide + j] += np.einsum("cd,cod->o", pixel, weight[:, p, q].astype(np.int64))
    return built.run(image, weight).outputs[0], wanted.reshape(high * wide, channels // 16, 16).transpose(1, 0, 2)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "pad", "dilation"),
    [
        ((2, 6, 7, 16), (2, 3, 3, 32, 16), (1, 1), (1, 1, 1, 1), (1, 1)),
        ((1, 9, 8, 16), (1, 2, 3, 16, 16), (2, 1), (2, 0, 1, 3), (1, 1)),
        ((3, 8, 9, 16), (3, 1, 1, 48, 16), (3, 2), (0, 0, 0, 0), (1, 1)),
        ((1, 11, 9, 16), (1, 3, 2, 16, 16), (1, 2), (0, 1, 2, 0), (2, 3)),
        ((9, 4, 4, 16), (9, 3, 3, 16, 16), (1, 1), (1, 1, 1, 1), (1, 1)),
    ],
)
def test_convolution(shape: Any, kernel: Any, stride: Any, pad: Any, dilation: Any) -> None:
    found, wanted = convolution(shape, kernel, stride, pad, dilation)
    assert np.array_equal(found, wanted)


def test_convolution_of_bytes() -> None:
    found, wanted = convolution((2, 6, 7, 32), (2, 3, 3, 32, 32), (1, 1), (1, 1, 1, 1), (1, 1), "int8")
    assert np.array_equal(found, wanted)


def test_convolution_adds_to_what_is_there() -> None:
    image, weight = np.ones((1, 4, 4, 16), np.float16), np.ones((1, 1, 1, 16, 16), np.float16)

    def body(t: Any, x: Any, wt: Any, y: Any) -> None:
        image_l1 = t.Tensor("float16", image.shape, name="image", scope=tik.scope_cbuf)
        weight_l1 = t.Tensor("float16", weight.shape, name="weight", scope=tik.scope_cbuf)
        t.data_move(image_l1, x, 0, 1, 16, 0, 0)
        t.data_move(weight_l1, wt, 0, 1, 16, 0, 0)
        out = t.Tensor("float32", (1, 16, 16), name="out", scope=tik.scope_cc)
        for first in (True, False):
            t.conv2d(out, image_l1, weight_l1, image.shape, weight.shape, (1, 1), (0, 0, 0, 0), (1, 1), 0, first)
        t.fixpipe(y, out, 1, 32, 0, 0)

    built = program(body, {"x": described(image), "wt": described(weight)}, {"y": ((256,), "float32")})
    assert (built.run(image, weight).outputs[0] == 32).all()


def test_convolution_refuses() -> None:
    with pytest.raises(errors.ArgumentError, match=r"both have the same C1, and C0 16"):
        convolution((2, 6, 7, 16), (1, 3, 3, 32, 16), (1, 1), (1, 1, 1, 1), (1, 1))
    with pytest.raises(errors.ArgumentError, match=r"both have the same C1, and C0 32"):
        convolution((2, 6, 7, 16), (2, 3, 3, 32, 16), (1, 1), (1, 1, 1, 1), (1, 1), "int8")

    def body(t: Any, y: Any, scope: str = tik.scope_cbuf, bias: Any = None, taps: int = 1) -> None:
        image = t.Tensor("float16", (1, 4, 4, 16), name="image", scope=scope)
        weight = t.Tensor("float16", (1, taps, 1, 16, 16), name="weight", scope=tik.scope_cbuf)
        out = t.Tensor("float32", (1, 16, 16), name="out", scope=tik.scope_cc)
        shapes = (1, 4, 4, 16), (1, taps, 1, 16, 16)
        t.conv2d(out, image, weight, *shapes, (1, 1), (0, 0, 0, 0), (1, 1), 0, True, bias)

    with pytest.raises(errors.LimitError, match="larger than the padded image"):
        program(lambda t, y: body(t, y, taps=5), {}, {"y": ((16,), "float16")})
    with pytest.raises(errors.UnavailableError, match="conv2d with a bias"):
        program(lambda t, y: body(t, y, bias=y), {}, {"y": ((16,), "float16")})
    with pytest.raises(errors.ScopeError, match="conv2d: image is in ubuf"):
        program(lambda t, y: body(t, y, scope=tik.scope_ubuf), {}, {"y": ((16,), "float16")})


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_products_inside_loops_that_hold_copies(threads: int) -> None:
    """512 x 64 fills half of L0A; loops around it that hold two or four copies need smaller tiles, with the same result."""
    random = np.random.default_rng(2)
    a, b = (
        random.integers(-3, 4, (4, 512, 16)).astype(np.float16),
        random.integers(-3, 4, (4, 16, 16)).astype(np.float16),
    )

    def body(t: Any, x: Any, wt: Any, y: Any) -> None:
        left = t.Tensor("float16", a.shape, name="a", scope=tik.scope_cbuf)
        right = t.Tensor("float16", b.shape, name="b", scope=tik.scope_cbuf)
        t.data_move(left, x, 0, 1, a.nbytes // 32, 0, 0)
        t.data_move(right, wt, 0, 1, b.nbytes // 32, 0, 0)
        with (
            t.for_range(0, 2, thread_num=threads if threads < 4 else 2) as i,
            t.for_range(0, 1, thread_num=2 if threads == 4 else 1),
        ):
            out = t.Tensor("float32", (1, 512, 16), name="out", scope=tik.scope_cc)
            t.matmul(out, left, right, 512, 64, 16)
            t.fixpipe(y[i * 512 * 16], out, 1, 1024, 0, 0)

    built = program(body, {"x": described(a), "wt": described(b)}, {"y": ((2, 512, 16), "float32")})
    wanted = np.einsum("kmc,knc->mn", a.astype(np.int64), b.astype(np.int64))
    assert (built.run(a, b).outputs[0] == wanted).all()
