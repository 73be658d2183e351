"""MindSpore's own TIK kernels, written by others and unmodified, against NumPy.

Where a kernel breaks a rule of the hardware, the test says which and at which line of its file, and then, with that check
off, whether the numbers come out all the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tik_program import same

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors

UNIT, HALF_UNIT = 2.0**-24, 2.0**-11
LONG = pytest.mark.long
CHECKS_OFF = ("uninitialised", "poison", "bounds")


def _folder() -> Path:
    spec = importlib.util.find_spec("mindspore")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("MindSpore is not installed", allow_module_level=True)
    return Path(spec.submodule_search_locations[0]) / "ops" / "_op_impl" / "_custom_op"


FOLDER = _folder()
CYCLES_FILE = Path(__file__).parent / "foreign_cycles.json"
README = Path(davinci.__file__).parent / "README.md"


def timed(name: str, shape: str, result: davinci.Result) -> davinci.Result:
    """The result, its cycles as recorded. DAVINCI_RECORD=1 records them anew after a change of the cycle model."""
    recorded = json.loads(CYCLES_FILE.read_text()) if CYCLES_FILE.exists() else {}
    if os.environ.get("DAVINCI_RECORD"):
        recorded.setdefault(name, {})[shape] = result.cycles
        CYCLES_FILE.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    assert result.cycles == recorded[name][shape]
    return result


def test_the_page_lists_the_recorded_cycles() -> None:
    page = README.read_text()
    for name, shapes in json.loads(CYCLES_FILE.read_text()).items():
        cells = ", ".join(f"{shape}: {cycles:,}" for shape, cycles in sorted(shapes.items(), key=lambda item: item[1]))
        assert f"| `{name}` | {cells} |" in page


def kernel(file: str, function: str) -> Any:
    return getattr(davinci.load(str(FOLDER / f"{file}.py")), function)


def uniform(seed: int, *shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def to_nz(matrix: np.ndarray) -> np.ndarray:
    """Rows x columns to FRACTAL_NZ [C1][R1][16][16]."""
    rows, columns = matrix.shape
    return matrix.reshape(rows // 16, 16, columns // 16, 16).transpose(2, 0, 1, 3).copy()


def from_nz(fractals: np.ndarray) -> np.ndarray:
    c1, r1, r0, c0 = fractals.shape
    return fractals.transpose(1, 2, 0, 3).reshape(r1 * r0, c1 * c0)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


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


def half_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact product of float16 matrices and the float32 error bound of its sums."""
    return wide(a) @ wide(b), a.shape[1] * UNIT * (np.abs(wide(a)) @ np.abs(wide(b)))


def block_diagonal(matrix: np.ndarray, edge: int = 128) -> np.ndarray:
    """The matrix with everything outside its diagonal blocks zero."""
    index = np.arange(len(matrix)) // edge
    return np.where(index[:, None] == index[None, :], matrix, 0).astype(matrix.dtype)


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


# Layout: transposes and img2col --------------------------------------------------------------------------------------


SMALL_IMAGES = [(128, 7), (32, 7), (32, 14), (16, 14), (8, 28)]
LARGE_IMAGES = [(64, 14), (16, 28), (32, 28), (16, 56), (4, 56), (4, 112)]


@pytest.mark.parametrize(("c1", "edge"), SMALL_IMAGES + [pytest.param(*s, marks=LONG) for s in LARGE_IMAGES])
def test_transpose02314(c1: int, edge: int) -> None:
    x = uniform(c1, 32, c1, edge, edge, 16, dtype="float16")
    program = davinci.trace(
        kernel("transpose02314_impl", "cus_transpose02314"), x, ((32 * edge * edge, c1 * 16), "float16")
    )
    result = timed("transpose02314", f"{16 * c1} x {edge} x {edge}", program.run(x))
    assert same(result.outputs[0], x.transpose(0, 2, 3, 1, 4).reshape(32 * edge * edge, c1 * 16))


def test_transpose02314_of_8_56_reads_channels_that_are_not_there() -> None:
    """A loop over 16 groups of channels where the image has 8."""
    x = uniform(0, 32, 8, 56, 56, 16, dtype="float16")
    program = davinci.trace(kernel("transpose02314_impl", "cus_transpose02314"), x, ((32 * 56 * 56, 128), "float16"))
    with pytest.raises(errors.BoundsError, match=r"transpose02314_impl.py:188: .*input_1_local_ub, which has 28672"):
        program.run(x)


def img2col(x: np.ndarray, taps: int, stride: int) -> np.ndarray:
    batch, c1, height, width, _ = x.shape
    pad = taps // 2
    padded = np.zeros((batch, c1, height + 2 * pad, width + 2 * pad, 16), x.dtype)
    padded[:, :, pad : pad + height, pad : pad + width] = x
    down, across = height // stride, width // stride
    result = np.zeros((c1, taps, taps, batch, down, across, 16), x.dtype)
    for i in range(taps):
        for j in range(taps):
            window = padded[:, :, i : i + stride * (down - 1) + 1 : stride, j : j + stride * (across - 1) + 1 : stride]
            result[:, i, j] = window.transpose(1, 0, 2, 3, 4)
    return result.reshape(c1 * taps * taps, -1, 16, 16)


def img2col_program(c1: int, edge: int, taps: int, stride: int) -> tuple[davinci.Program, np.ndarray]:
    x = uniform(c1, 32, c1, edge, edge, 16, dtype="float16")
    lists = {"ksizes": [1, taps, taps, 1], "strides": [1, stride, stride, 1], "dilates": [1, 1, 1, 1], "mode": "same"}
    return davinci.trace(kernel("img2col_impl", "cus_img2col"), x, x, **lists), x


SMALL_COLUMNS = [
    (32, 7, 1, 1),
    (32, 7, 3, 1),
    (16, 14, 1, 1),
    (8, 28, 1, 1),
    (4, 56, 1, 1),
    (32, 14, 3, 2),
    (64, 14, 1, 1),
]
LARGE_COLUMNS = [(16, 14, 3, 1), (16, 28, 3, 2), (32, 28, 1, 1), (32, 28, 1, 2), (4, 56, 3, 1), (1, 224, 7, 2)]


@pytest.mark.parametrize(
    ("c1", "edge", "taps", "stride"), SMALL_COLUMNS + [pytest.param(*s, marks=LONG) for s in LARGE_COLUMNS]
)
def test_img2col(c1: int, edge: int, taps: int, stride: int) -> None:
    program, x = img2col_program(c1, edge, taps, stride)
    result = timed("img2col", f"{16 * c1} x {edge} x {edge} by {taps}/{stride}", program.run(x))
    assert same(result.outputs[0], img2col(x, taps, stride))


# (shape, line that reads unwritten memory, whether the result is right all the same)
FAULTY_COLUMNS = [
    ((8, 56, 3, 2), 88, True), ((8, 28, 3, 1), 197, False), ((64, 14, 1, 2), 443, True), ((128, 7, 1, 1), 617, True),
    ((16, 56, 1, 2), 169, False), ((16, 56, 1, 1), 140, True),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "line", "right"), FAULTY_COLUMNS)
def test_img2col_reads_memory_that_nothing_wrote(shape: tuple[int, int, int, int], line: int, right: bool) -> None:
    program, x = img2col_program(*shape)
    with pytest.raises(errors.UninitialisedError, match=rf"img2col_impl.py:{line}: "):
        program.run(x)


@LONG
@pytest.mark.parametrize(("shape", "line", "right"), FAULTY_COLUMNS)
def test_img2col_with_the_check_off(shape: tuple[int, int, int, int], line: int, right: bool) -> None:
    program, x = img2col_program(*shape)
    assert same(program.run(x, ignore=CHECKS_OFF).outputs[0], img2col(x, *shape[2:])) == right


# Sparse attention ------------------------------------------------------------------------------------------------------

BATCH, HEADS, BLOCKS, BLOCK, GLOBAL, SIZE, SEQUENCE = 1, 4, 16, 64, 256, 128, 1024


def global_rows(head: int) -> np.ndarray:
    """Every fourth group of 16 positions, which one depends on the head."""
    groups = 3 - head % 4 + 4 * np.arange(BLOCKS)
    return (groups[:, None] * 16 + np.arange(16)).reshape(-1)


def test_dsd_matmul() -> None:
    """Local and global attention weights times values."""
    local = uniform(1, BATCH, HEADS, BLOCKS, BLOCK // 16, BLOCK // 16, 16, 16, dtype="float16")
    shared = uniform(2, BATCH, HEADS, BLOCKS, GLOBAL // 16, BLOCK // 16, 16, 16, dtype="float16")
    values = uniform(3, SEQUENCE // 16, HEADS * SIZE // 16, 16, 16, dtype="float16")
    program = davinci.trace(
        kernel("dsd_impl", "dsd_matmul"),
        local,
        shared,
        values,
        ((BATCH, HEADS, SIZE // 16, SEQUENCE // 16, 16, 16), "float16"),
    )
    found = timed("dsd_matmul", "1024, 4 heads", program.run(local, shared, values)).outputs[0]
    v = values.transpose(0, 3, 1, 2).reshape(SEQUENCE, HEADS * SIZE)
    for head in range(HEADS):
        mine = v[:, head * SIZE : (head + 1) * SIZE]
        for block in range(BLOCKS):
            rows = slice(block * BLOCK, (block + 1) * BLOCK)
            one, bound_one = half_product(from_nz(local[0, head, block]), mine[rows])
            two, bound_two = half_product(from_nz(shared[0, head, block]), mine[global_rows(head)])
            exact, bound = one + two, bound_one + bound_two
            error = np.abs(from_nz(found[0, head])[rows] - exact)
            assert (error <= 2 * bound + HALF_UNIT * (np.abs(exact) + bound)).all()


def attention_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    queries = (uniform(1, SEQUENCE, HEADS * SIZE) / 4).astype(np.float16)
    keys = (uniform(2, SEQUENCE, HEADS * SIZE) / 4).astype(np.float16)
    local_mask = np.zeros((BLOCK, BATCH * BLOCK // 16, 16, 16), np.float32)
    global_mask = np.zeros((BATCH * GLOBAL // 16, SEQUENCE // 16, 16, 16), np.float32)
    return queries, keys, local_mask, global_mask


def test_matmul_dds() -> None:
    """Softmax over the block's own 64 keys and the head's 256 shared ones; scores and exponentials are float16."""
    queries, keys, local_mask, global_mask = attention_inputs()
    arrays = (to_nz(queries), to_nz(keys), local_mask, global_mask)
    outputs = [((BATCH, HEADS, BLOCKS, n // 16, BLOCK // 16, 16, 16), "float16") for n in (BLOCK, GLOBAL)]
    program = davinci.trace(kernel("matmul_dds_impl", "matmul_dds"), *arrays, *outputs, bs=BATCH, heads=HEADS)
    local, shared = timed("matmul_dds", "1024, 4 heads", program.run(*arrays)).outputs
    for head in range(HEADS):
        columns = slice(head * SIZE, (head + 1) * SIZE)
        q, k = wide(queries[:, columns]), wide(keys[:, columns])
        for block in range(BLOCKS):
            rows = slice(block * BLOCK, (block + 1) * BLOCK)
            scores = np.concatenate([q[rows] @ k[rows].T, q[rows] @ k[global_rows(head)].T], axis=1)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            exact = weights / weights.sum(axis=1, keepdims=True)
            found = np.concatenate([from_nz(local[0, head, block]), from_nz(shared[0, head, block])], axis=1)
            # numerator and denominator: a score s and its distance from the maximum (at most 2 |s|) are rounded, then the
            # exponential; then the reciprocal and the product
            bound = exact * (2 * (3 * np.abs(scores).max() + 1) + 2) * HALF_UNIT + 2.0**-24
            assert (np.abs(found - exact) <= bound).all()


def test_dsd_backward_and_dds_backward_keep_every_rule() -> None:
    local = uniform(1, BATCH, HEADS, BLOCKS, BLOCK // 16, BLOCK // 16, 16, 16, dtype="float16")
    shared = uniform(2, BATCH, HEADS, BLOCKS, GLOBAL // 16, BLOCK // 16, 16, 16, dtype="float16")
    values = uniform(3, SEQUENCE // 16, HEADS * SIZE // 16, 16, 16, dtype="float16")
    result = uniform(4, BATCH, HEADS, SIZE // 16, SEQUENCE // 16, 16, 16, dtype="float16")
    inputs = (local, shared, values, result, result)
    program = davinci.trace(kernel("dsd_back_impl", "dsdbpropimpl"), *inputs, local, shared, values)
    result = timed("dsdbpropimpl", "1024, 4 heads", program.run(*inputs))
    assert all(np.isfinite(output).all() for output in result.outputs)
    queries, keys, _, _ = attention_inputs()
    inputs = (to_nz(queries), to_nz(keys), local, shared, local, shared)
    program = davinci.trace(kernel("matmul_dds_grad_impl", "matmul_dds_grad"), *inputs, inputs[0], inputs[1])
    result = timed("matmul_dds_grad", "1024, 4 heads", program.run(*inputs))
    assert all(np.isfinite(output).all() for output in result.outputs)
