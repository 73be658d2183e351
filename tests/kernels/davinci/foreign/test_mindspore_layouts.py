"""MindSpore's own TIK kernels for images and sparse attention, written by others and unmodified, against NumPy.

Where a kernel breaks a rule of the hardware, the test says which and at which line of its file, and then, with that check
off, whether the numbers come out all the same.
"""

from __future__ import annotations

import numpy as np
import pytest
from foreign_mindspore import (
    CHECKS_OFF,
    HALF_UNIT,
    LONG,
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
from bert_thor.kernels.davinci.run import execute

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
    columns = ((c1 * taps * taps, 32 * (edge // stride) ** 2 // 16, 16, 16), "float16")
    return davinci.trace(kernel("img2col_impl", "cus_img2col"), x, columns, **lists), x


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


# (shape, whether the result is right): parts of a buffer are moved before they are filled, the last pass overwrites them
EARLY_COLUMNS = [((8, 56, 3, 2), True), ((8, 28, 3, 1), False), ((64, 14, 1, 2), True), ((128, 7, 1, 1), True)]
EARLY_COLUMNS += [((16, 56, 1, 1), True)]


@pytest.mark.parametrize(("shape", "right"), [pytest.param(*s, marks=LONG) for s in EARLY_COLUMNS])
def test_img2col_moves_memory_that_nothing_wrote_yet(shape: tuple[int, int, int, int], right: bool) -> None:
    program, x = img2col_program(*shape)
    assert same(program.run(x).outputs[0], img2col(x, *shape[2:])) == right


def test_img2col_counts_on_memory_of_another_iteration() -> None:
    program, x = img2col_program(16, 56, 1, 2)
    with pytest.raises(errors.PoisonError, match=r"img2col_impl.py:169: element 0 of res .* \(5619712 such\)"):
        program.run(x)
    result = program.run(x, ignore=CHECKS_OFF).outputs[0]
    assert not same(result, img2col(x, 1, 2))


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


PLAIN = {
    "batch_matmul": (("batch_matmul_impl", "cus_batch_matmul"), [((1, 64, 64), "float32")] * 3, {}),
    "fused_abs_max1": (
        ("fused_abs_max1_impl", "cus_fused_abs_max1"),
        [((2, 128, 128), "float32"), ((32, 64), "float32")],
        {"origin_shape": (147, 147)},
    ),
    "cholesky_trsm": (
        ("cholesky_trsm_impl", "cus_cholesky_trsm"),
        [((64, 64), "float32"), ((1, 64, 64), "float32")],
        {},
    ),
    "fracz_right_mul": (
        ("matmul_cube_fracz_right_mul_impl", "cus_matmul_cube_fraczrightmul"),
        [((4, 16, 16, 16), "float16"), ((4, 4, 16, 16), "float16"), ((1,), "float32"), ((4, 16, 16, 16), "float32")],
        {},
    ),
    "dsd_matmul": (
        ("dsd_impl", "dsd_matmul"),
        [
            ((1, 1, 16, 4, 4, 16, 16), "float16"),
            ((1, 1, 16, 16, 4, 16, 16), "float16"),
            ((64, 8, 16, 16), "float16"),
            ((1, 1, 8, 64, 16, 16), "float16"),
        ],
        {},
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_vectorised_and_plain_execution_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs bit for bit, and the same cycles, when every loop runs one iteration after another."""
    where, descriptions, attributes = PLAIN[name]
    program = davinci.trace(kernel(*where), *descriptions, **attributes)
    arrays = [uniform(i, *shape, dtype=dtype) for i, (_, shape, dtype) in enumerate(program.inputs)]
    together = program.run(*arrays)
    monkeypatch.setattr(execute, "independent", lambda *_: False)
    plain = program.run(*arrays)
    assert all(same(a, b) for a, b in zip(together.outputs, plain.outputs))
    assert together.cycles == plain.cycles
