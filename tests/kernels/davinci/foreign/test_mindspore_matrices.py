"""MindSpore's own TIK kernels, written by others and unmodified, against NumPy.

Where a kernel breaks a rule of the hardware, the test says which and at which line of its file, and then, with that check
off, whether the numbers come out all the same.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from foreign_mindspore import (
    CYCLES_FILE,
    HALF_UNIT,
    LONG,
    README,
    UNIT,
    block_diagonal,
    from_nz,
    half_product,
    kernel,
    timed,
    to_nz,
    uniform,
    wide,
)
from tik_program import same

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors


def test_the_page_lists_the_recorded_cycles() -> None:
    page = README.read_text()
    for name, shapes in json.loads(CYCLES_FILE.read_text()).items():
        cells = ", ".join(f"{shape}: {cycles:,}" for shape, cycles in sorted(shapes.items(), key=lambda item: item[1]))
        assert f"| `{name}` | {cells} |" in page


# Cholesky, combination, products of inverses, largest entry -----------------------------------------------------------


@pytest.mark.parametrize("n", [64, 128, 256, 512])
def test_cholesky_trsm(n: int) -> None:
    """Z of each diagonal block: Z Z^T is the block's inverse."""
    edge = min(n, 128)
    rows = uniform(n, n, 2 * n)
    matrix = (wide(rows) @ wide(rows).T / n + 0.1 * np.eye(n)).astype(np.float32)
    program = davinci.trace(
        kernel("cholesky_trsm_impl", "cus_cholesky_trsm"), matrix, ((n // edge, edge, edge), "float32")
    )
    begin = time.process_time()
    result = timed("cholesky_trsm", f"{n}", program.run(matrix))
    assert time.process_time() - begin < 10
    assert sum(result.report.instructions.values()) > (42_000 * (n // edge) if edge == 128 else 10_000)
    for i, z in enumerate(result.outputs[0]):
        block = wide(matrix[i * edge : (i + 1) * edge, i * edge : (i + 1) * edge])
        inverse = np.linalg.inv(block)
        bound = 4 * edge * UNIT * np.linalg.cond(block) * np.linalg.norm(inverse, 2)
        assert np.linalg.norm(wide(z) @ wide(z).T - inverse, 2) <= bound


@pytest.mark.parametrize(
    ("count", "edge"), [(1, 64), (1, 128), (2, 128), (5, 128), (9, 128), (16, 128), pytest.param(36, 128, marks=LONG)]
)
def test_matrix_combine(count: int, edge: int) -> None:
    blocks = uniform(count, count, edge, edge)
    size = count * edge
    program = davinci.trace(kernel("matrix_combine_impl", "cus_matrix_combine"), blocks, ((size, size), "float32"))
    expected = np.zeros((size, size), np.float32)
    for i in range(count):
        expected[i * edge : (i + 1) * edge, i * edge : (i + 1) * edge] = blocks[i]
    result = timed("matrix_combine", f"{count} x {edge}", program.run(blocks))
    assert same(result.outputs[0], expected)


@pytest.mark.parametrize(
    "shape",
    [(1, 64, 64), *((k, 128, 128) for k in (1, 2, 4, 5, 8))]
    + [pytest.param((k, 128, 128), marks=LONG) for k in (9, 16, 18, 32, 36)],
)
def test_batch_matmul(shape: tuple[int, int, int]) -> None:
    a, b = uniform(1, *shape), uniform(2, *shape)
    program = davinci.trace(kernel("batch_matmul_impl", "cus_batch_matmul"), a, b, a)
    found = timed("batch_matmul", f"{shape[0]} x {shape[1]}", program.run(a, b)).outputs[0].reshape(shape)
    exact = wide(a) @ wide(b).swapaxes(1, 2)
    bound = shape[1] * UNIT * (np.abs(wide(a)) @ np.abs(wide(b)).swapaxes(1, 2))
    assert (np.abs(found - exact) <= bound).all()


@pytest.mark.parametrize("count", [6, 24])
def test_batch_matmul_of_6_and_24_reads_a_matrix_that_is_not_there(count: int) -> None:
    """32 cores do not divide by 6 or 24: core // (32 // count) runs past the last matrix."""
    a = uniform(1, count, 128, 128)
    program = davinci.trace(kernel("batch_matmul_impl", "cus_batch_matmul"), a, a, a)
    with pytest.raises(errors.BoundsError, match=rf"batch_matmul_impl.py:85: .*input2, which has {count * 16384}"):
        program.run(a, a)


FULL = (-1, -1)
LARGEST = [((1, 64, 64), FULL, 64)] + [((k, 128, 128), FULL, 128 * k) for k in (1, 2, 4, 8, 9, 16, 18, 32, 36)]
LARGEST += [((2, 128, 128), (147, 147), 147), ((8, 128, 128), (1000, 1000), 1000), ((8, 128, 128), (1001, 1001), 1001)]
LARGEST += [((5, 128, 128), (576, 576), 576)]


@pytest.mark.parametrize(("shape", "origin", "size"), LARGEST)
def test_fused_abs_max(shape: tuple[int, int, int], origin: tuple[int, int], size: int) -> None:
    """Two launches: blocks to one row of 64 per core, rows to one number. Beyond the original size the blocks are zero."""
    function = kernel("fused_abs_max1_impl", "cus_fused_abs_max1")
    x = uniform(size, *shape)
    last = size - (shape[0] - 1) * shape[1]
    x[-1, last:], x[-1, :, last:] = 0, 0
    first = davinci.trace(function, x, ((32, 64), "float32"), origin_shape=origin)
    label = f"{shape[0]} x {shape[1]}" + ("" if origin == FULL else f" of {size}")
    rows = timed("fused_abs_max1", label, first.run(x)).outputs[0]
    second = davinci.trace(function, rows, ((1,), "float32"), origin_shape=origin)
    largest = timed("fused_abs_max1", "32 x 64 to 1", second.run(rows)).outputs[0]
    assert largest[0] == np.abs(x).max()


# Products on the cube: dense and FRACTAL_Z ---------------------------------------------------------------------------


def test_dense_left_overruns_its_l1_tensor_and_is_right_otherwise() -> None:
    """input_2_local_l1 holds 128 x 256 numbers; the load brings 128 x 512."""
    a, b = uniform(1, 1008, 1008, dtype="float16"), uniform(2, 1008, 2048, dtype="float16")
    program = davinci.trace(
        kernel("matmul_cube_dense_left_impl", "cus_matmul_cube_dense_left"),
        {"shape": (63, 63, 16, 16), "dtype": "float16", "ori_shape": (1008, 1008)},
        {"shape": (128, 63, 16, 16), "dtype": "float16", "format": "FRACTAL_NZ", "ori_shape": (1008, 2048)},
        None,
        {"shape": (128, 63, 16, 16), "dtype": "float16"},
    )
    with pytest.raises(errors.BoundsError, match=r"dense_left_impl.py:178: .*input_2_local_l1, which has 32768"):
        program.run(to_nz(a), to_nz(b))
    result = timed("matmul_cube_dense_left", "1008 x 2048", program.run(to_nz(a), to_nz(b), ignore=("bounds",)))
    found = from_nz(result.outputs[0])
    exact, bound = half_product(block_diagonal(a), b)
    assert (np.abs(found - exact) <= bound + HALF_UNIT * (np.abs(exact) + bound)).all()


def test_dense_right_overruns_its_l1_tensor_and_is_right_otherwise() -> None:
    """The last tile has 15 row blocks; its loop loads 16."""
    a, b, largest = (
        uniform(1, 1008, 2048, dtype="float16"),
        uniform(2, 2048, 2048, dtype="float16"),
        np.array([2.5], "f4"),
    )
    program = davinci.trace(
        kernel("matmul_cube_dense_right_impl", "cus_matmul_cube_dense_right"),
        ((128, 63, 16, 16), "float16"), ((128, 128, 16, 16), "float16"), largest, ((128, 63, 16, 16), "float32"),
    )  # fmt: skip
    with pytest.raises(errors.BoundsError, match=r"dense_right_impl.py:188: .*input_1_local_l11, which has 30720"):
        program.run(to_nz(a), to_nz(b), largest)
    result = program.run(to_nz(a), to_nz(b), largest, ignore=("bounds",))
    found = from_nz(timed("matmul_cube_dense_right", "1008 x 2048", result).outputs[0])
    exact, bound = half_product(a, block_diagonal(b))
    assert (np.abs(found - 2.5 * exact) <= 2.5 * bound + UNIT * 2.5 * np.abs(exact)).all()


LEFT_TILES = [
    (32, 128), (8, 72), (32, 288), (128, 32), (16, 144), (64, 16), (16, 64), (32, 8), (128, 64), (16, 4), (16, 32), (64, 32), (32, 64),
    (32, 16), (8, 32), (8, 16), (4, 16), (4, 4), (4, 36), (4, 49),
]  # fmt: skip


@pytest.mark.parametrize(("k1", "n1"), [pytest.param(*s, marks=LONG if s[0] * s[1] > 3000 else ()) for s in LEFT_TILES])
def test_fracz_left_cast(k1: int, n1: int) -> None:
    """float16 A times float32 B, B rounded to float16 first; only A's diagonal blocks of 128 count when it is larger."""
    a, b = uniform(k1, 16 * k1, 16 * k1, dtype="float16"), uniform(n1, 16 * k1, 16 * n1)
    program = davinci.trace(
        kernel("matmul_cube_fracz_left_cast_impl", "cus_matmul_cube_fraczleftcast"),
        {"shape": (k1, k1, 16, 16), "dtype": "float16", "ori_shape": a.shape},
        {"shape": (n1, k1, 16, 16), "dtype": "float32", "ori_shape": b.shape},
        None,
        {"shape": (n1, k1, 16, 16), "dtype": "float16"},
    )
    result = timed("matmul_cube_fracz_left_cast", f"{16 * k1} x {16 * n1}", program.run(to_nz(a), to_nz(b)))
    found = from_nz(result.outputs[0])
    exact, bound = half_product(block_diagonal(a), b.astype(np.float16))
    assert (np.abs(found - exact) <= bound + HALF_UNIT * (np.abs(exact) + bound)).all()


RIGHT_TILES = [
    (72, 8), (32, 8), (8, 32), (4, 4), (4, 16), (49, 4), (36, 4), (64, 16), (32, 64), (32, 16), (16, 32), (16, 8), (16, 4), (288, 32),
    (144, 16), (128, 32), (64, 128), (32, 128), (64, 32), (16, 64),
]  # fmt: skip


@pytest.mark.parametrize(
    ("k1", "m1"), [pytest.param(*s, marks=LONG if s[0] * s[1] > 3000 else ()) for s in RIGHT_TILES]
)
def test_fracz_right_mul(k1: int, m1: int) -> None:
    """A times B times a scalar; only B's diagonal blocks of 128 count when 128 divides its size."""
    a, b = uniform(m1, 16 * m1, 16 * k1, dtype="float16"), uniform(k1, 16 * k1, 16 * k1, dtype="float16")
    largest = np.array([2.5], "f4")
    program = davinci.trace(
        kernel("matmul_cube_fracz_right_mul_impl", "cus_matmul_cube_fraczrightmul"),
        ((k1, m1, 16, 16), "float16"), ((k1, k1, 16, 16), "float16"), largest, ((k1, m1, 16, 16), "float32"),
    )  # fmt: skip
    result = program.run(to_nz(a), to_nz(b), largest)
    found = from_nz(timed("matmul_cube_fracz_right_mul", f"{16 * m1} x {16 * k1}", result).outputs[0])
    exact, bound = half_product(a, block_diagonal(b) if k1 > 8 and k1 % 8 == 0 else b)
    assert (np.abs(found - 2.5 * exact) <= 2.5 * bound + UNIT * 2.5 * np.abs(exact)).all()
