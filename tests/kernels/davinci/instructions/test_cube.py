"""The matrix unit: fractal loads, products, img2col, and the calls of TIK 1.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tik_program import described, program, same

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci.trace import tik


def to_nz(matrix: np.ndarray, k0: int = 16) -> np.ndarray:
    """Rows x columns to FRACTAL_NZ [C1][R1][16][k0], zero-padded."""
    r1, c1 = -(-matrix.shape[0] // 16), -(-matrix.shape[1] // k0)
    padded = np.zeros((r1 * 16, c1 * k0), matrix.dtype)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    return padded.reshape(r1, 16, c1, k0).transpose(2, 0, 1, 3).copy()


def from_nz(fractals: np.ndarray) -> np.ndarray:
    c1, r1, r0, c0 = fractals.shape
    return fractals.transpose(1, 2, 0, 3).reshape(r1 * r0, c1 * c0)


def through_l1(t: Any, x: Any, dtype: str, size: int) -> Any:
    """The flat content of x in L1."""
    l1 = t.Tensor(dtype, (size,), name=f"{x.name}_l1", scope=tik.scope_cbuf)
    t.data_move(l1, x, 0, 1, size * np.dtype(dtype).itemsize // 32, 0, 0)
    return l1


@settings(max_examples=25, deadline=None)
@given(
    repeat=st.integers(1, 5), index=st.integers(0, 3), stride=st.integers(0, 3), transpose=st.booleans(),
    side=st.sampled_from((tik.scope_ca, tik.scope_cb)), seed=st.integers(0, 99),
)  # fmt: skip
def test_load2d_then_multiply_by_the_identity(
    repeat: int, index: int, stride: int, transpose: bool, side: str, seed: int
) -> None:
    """Fractal r comes from index + r * stride, transposed when asked; the product with I shows what L0A or L0B holds."""
    count = index + (repeat - 1) * stride + 1
    fractals = np.random.default_rng(seed).uniform(-2, 2, (count, 16, 16)).astype(np.float16)
    unit = np.eye(16, dtype=np.float16)

    def body(t: Any, x: Any, identity: Any, y: Any) -> None:
        source, one = through_l1(t, x, "float16", count * 256), through_l1(t, identity, "float16", 256)
        l0a = t.Tensor("float16", (repeat * 256,), name="l0a", scope=tik.scope_ca)
        l0b = t.Tensor("float16", (repeat * 256,), name="l0b", scope=tik.scope_cb)
        l0c = t.Tensor("float32", (repeat * 256,), name="l0c", scope=tik.scope_cc)
        out = t.Tensor("float32", (repeat * 256,), name="out", scope=tik.scope_ubuf)
        loaded, other = (l0a, l0b) if side == tik.scope_ca else (l0b, l0a)
        t.load2dv1(loaded, source, index, repeat, stride, 0, transpose)
        t.load2dv1(other, one, 0, 1, 1, 0, False)
        for r in range(repeat):
            a, b = (l0a[r * 256], l0b) if side == tik.scope_ca else (l0a, l0b[r * 256])
            t.mmad(l0c[r * 256], a, b, 16, 16, 16, 0)
        t.data_move(out, l0c, 0, 1, repeat, 0, 0)
        t.data_move(y, out, 0, 1, repeat * 32, 0, 0)

    outputs = {"y": ((repeat, 16, 16), "float32")}
    found = (
        program(body, {"x": described(fractals), "identity": described(unit)}, outputs).run(fractals, unit).outputs[0]
    )
    for r in range(repeat):
        fractal = fractals[index + r * stride].T if transpose else fractals[index + r * stride]
        # L0B holds [n][k], so A = I shows its transpose
        expected = fractal if side == tik.scope_ca else fractal.T
        assert same(found[r], expected.astype(np.float32))


def product_kernel(m: int, k: int, n: int, dtypes: tuple[str, str, str], accumulate: bool) -> davinci.Program:
    """C[m, n] = A[m, k] B[k, n] from NZ operands by load2dv1 and mmad, twice when accumulating."""
    left, right, result = dtypes
    k0 = 32 // np.dtype(left).itemsize
    m1, k1, n1 = -(-m // 16), -(-k // k0), -(-n // 16)

    def body(t: Any, a: Any, b: Any, c: Any) -> None:
        l1a, l1b = through_l1(t, a, left, m1 * k1 * 16 * k0), through_l1(t, b, right, n1 * k1 * 16 * k0)
        l0a = t.Tensor(left, (m1 * k1 * 16 * k0,), name="l0a", scope=tik.scope_ca)
        l0b = t.Tensor(right, (k1 * n1 * 16 * k0,), name="l0b", scope=tik.scope_cb)
        l0c = t.Tensor(result, (m1 * n1 * 256,), name="l0c", scope=tik.scope_cc)
        out = t.Tensor(result, (m1 * n1 * 256,), name="out", scope=tik.scope_ubuf)
        with t.for_range(0, m1) as i:
            t.load2dv1(l0a[i * k1 * 16 * k0], l1a[i * 16 * k0], 0, k1, m1, 0, False)
        t.load2dv1(l0b, l1b, 0, k1 * n1, 1, 0, False)
        for step in range(1 + accumulate):
            t.mmad(l0c, l0a, l0b, m, k, n, step)
        t.data_move(out, l0c, 0, 1, m1 * n1, 0, 0)
        t.data_move(c, out, 0, 1, m1 * n1 * 256 * np.dtype(result).itemsize // 32, 0, 0)

    inputs = {"a": ((k1, m1, 16, k0), left), "b": ((k1, n1, 16, k0), right)}
    return program(body, inputs, {"c": ((n1, m1, 16, 16), result)})


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(
    "dtypes",
    [
        ("float16", "float16", "float32"), ("float16", "float16", "float16"), ("int8", "int8", "int32"),
        ("uint8", "uint8", "uint32"), ("uint8", "int8", "int32"),
    ],
)  # fmt: skip
@settings(max_examples=6, deadline=None)
@given(m1=st.integers(1, 4), k=st.integers(1, 70), n1=st.integers(1, 4), seed=st.integers(0, 99))
def test_mmad(dtypes: tuple[str, str, str], accumulate: bool, m1: int, k: int, n1: int, seed: int) -> None:
    """The part of k beyond matrix_k inside a fractal is ignored: it holds NaN (or large numbers) here."""
    generator = np.random.default_rng(seed)
    m, n = 16 * m1, 16 * n1
    k0 = 32 // np.dtype(dtypes[0]).itemsize
    low = 0 if dtypes[0][0] == "u" else -4
    a = generator.integers(low, 5, (m, k)).astype(dtypes[0])
    b = generator.integers(0 if dtypes[1][0] == "u" else -4, 5, (k, n)).astype(dtypes[1])
    operands = [to_nz(a, k0), to_nz(b.T.copy(), k0)]
    for operand in operands:
        if k % k0:
            operand[-1, :, :, k % k0 :] = np.nan if operand.dtype == np.float16 else 99
    found = product_kernel(m, k, n, dtypes, accumulate).run(*operands).outputs[0]
    expected = np.zeros((m, n))
    for i in range(m):
        for j in range(n):
            expected[i, j] = (1 + accumulate) * sum(float(a[i, x]) * float(b[x, j]) for x in range(k))
    assert same(from_nz(found), expected.astype(dtypes[2]))


def test_mmad_accumulates_in_float32() -> None:
    generator = np.random.default_rng(0)
    a, b = (
        generator.uniform(-1, 1, (32, 256)).astype(np.float16),
        generator.uniform(-1, 1, (256, 48)).astype(np.float16),
    )
    found = from_nz(
        product_kernel(32, 256, 48, ("float16", "float16", "float32"), False)
        .run(to_nz(a), to_nz(b.T.copy()))
        .outputs[0]
    )
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = 256 * 2.0**-24 * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    assert (np.abs(found - exact) <= bound).all()


def test_a_cube_kernel_of_256_128_256_is_fast() -> None:
    import time

    generator = np.random.default_rng(0)
    a, b = (
        generator.uniform(-1, 1, (256, 128)).astype(np.float16),
        generator.uniform(-1, 1, (128, 256)).astype(np.float16),
    )
    begin = time.process_time()
    kernel = product_kernel(256, 128, 128, ("float16", "float16", "float32"), False)
    kernel.run(to_nz(a), to_nz(b.T[:128].copy()))
    kernel.run(to_nz(a), to_nz(b.T[128:].copy()))
    assert time.process_time() - begin < 5


IMAGES = [
    (1, 5, 7, 3, 1, 1, (1, 1, 1, 1)), (2, 8, 8, 3, 2, 1, (1, 1, 1, 1)), (1, 9, 8, 1, 2, 1, (0, 0, 0, 0)), (2, 7, 9, 3, 1, 2, (2, 2, 2, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("c1", "height", "width", "taps", "stride", "dilation", "pad"), IMAGES)
@pytest.mark.parametrize("repeat_mode", [0, 1])
def test_load3d(
    c1: int, height: int, width: int, taps: int, stride: int, dilation: int, pad: Any, repeat_mode: int
) -> None:
    image = np.random.default_rng(0).uniform(-2, 2, (c1, height, width, 16)).astype(np.float16)
    reach = (taps - 1) * dilation + 1
    down, across = ((size + 2 * pad[0] - reach) // stride + 1 for size in (height, width))
    windows = down * across // 16
    repeat = windows if repeat_mode == 1 else c1 * taps * taps

    def body(t: Any, x: Any, y: Any) -> None:
        l1 = through_l1(t, x, "float16", image.size)
        out = t.Tensor("float16", (repeat * 256,), name="out", scope=tik.scope_ubuf)
        t.load3dv1(out, l1, list(pad), height, width, 0, 0, 0, -pad[0], -pad[2], stride, stride, taps, taps, dilation, dilation,
                   1, repeat_mode, repeat, 0, 0)  # fmt: skip
        t.data_move(y, out, 0, 1, repeat * 16, 0, 0)

    found = program(body, {"x": described(image)}, {"y": ((repeat, 16, 16), "float16")}).run(image).outputs[0]
    for r in range(repeat):
        first, tap = (16 * r, 0) if repeat_mode == 1 else (0, r)
        channel, fh, fw = tap // (taps * taps), tap % (taps * taps) // taps, tap % taps
        for row in range(16):
            y = (first + row) // across * stride - pad[2] + fh * dilation
            x = (first + row) % across * stride - pad[0] + fw * dilation
            inside = 0 <= y < height and 0 <= x < width
            assert same(found[r, row], image[channel, y, x] if inside else np.zeros(16, np.float16))


@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 16, 16), (32, 64, 48), (20, 40, 33), (128, 256, 80), (1100, 32, 16), (64, 1040, 64)]
)
@pytest.mark.parametrize("relu", [False, True])
def test_matmul_and_fixpipe(m: int, k: int, n: int, relu: bool) -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(-3, 4, (m, k)).astype(np.float16), generator.integers(-3, 4, (k, n)).astype(np.float16)
    m1, k1, n1 = (-(-x // 16) for x in (m, k, n))

    def body(t: Any, left: Any, right: Any, c: Any) -> None:
        l1a = through_l1(t, left, "float16", k1 * m1 * 256).reshape((k1, m1 * 16, 16))
        l1b = through_l1(t, right, "float16", k1 * n1 * 256).reshape((k1, n1 * 16, 16))
        l0c = t.Tensor("float32", (n1, m1 * 16, 16), name="l0c", scope=tik.scope_cbuf_out)
        t.matmul(l0c, l1a, l1b, m, k, n)
        options = {"relu": relu, "quantize_params": {"mode": "fp322fp16", "mode_param": None}}
        t.fixpipe(c, l0c, n1, m * 16 * 4 // 32, 0, 0, extend_params=options)

    # rows beyond m stay in L0C: c has exactly m rows of 16 per column block
    inputs = {"left": ((k1, m1, 16, 16), "float16"), "right": ((k1, n1, 16, 16), "float16")}
    kernel = program(body, inputs, {"c": ((n1, m, 16), "float16")})
    ignore = () if n % 16 == 0 else ("poison",)
    found = kernel.run(to_nz(a), to_nz(b.T.copy()), ignore=ignore).outputs[0]
    expected = a.astype(np.float64) @ b.astype(np.float64)
    expected = np.maximum(expected, 0) if relu else expected
    assert same(found.transpose(1, 0, 2).reshape(m, n1 * 16)[:, :n], expected.astype(np.float16))


def test_fixpipe_adds_a_bias_and_matmul_continues_a_sum() -> None:
    generator = np.random.default_rng(0)
    a, b = (
        generator.integers(-3, 4, (32, 48)).astype(np.float16),
        generator.integers(-3, 4, (48, 64)).astype(np.float16),
    )
    bias = generator.integers(-9, 9, 64).astype(np.float32)

    def body(t: Any, left: Any, right: Any, offset: Any, c: Any) -> None:
        l1a, l1b = through_l1(t, left, "float16", a.size), through_l1(t, right, "float16", b.size)
        l1_bias = through_l1(t, offset, "float32", 64)
        l0c = t.Tensor("float32", (4, 32, 16), name="l0c", scope=tik.scope_cc)
        t.matmul(l0c, l1a, l1b, 32, 48, 64)
        t.matmul(l0c, l1a, l1b, 32, 48, 64, init_l1out=False)
        t.fixpipe(c, l0c, 4, 32 * 16 * 4 // 32, 0, 0, extend_params={"bias": l1_bias, "relu": True})

    inputs = {"left": ((3, 2, 16, 16), "float16"), "right": ((3, 4, 16, 16), "float16"), "offset": ((64,), "float32")}
    found = program(body, inputs, {"c": ((4, 32, 16), "float32")}).run(to_nz(a), to_nz(b.T.copy()), bias).outputs[0]
    expected = np.maximum(2 * (a.astype(np.float64) @ b.astype(np.float64)) + bias, 0)
    assert same(found.transpose(1, 0, 2).reshape(32, 64), expected.astype(np.float32))
