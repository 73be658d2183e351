"""Loops, branches, scalars and cores; the vectorised order of execution gives what the plain order gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import described, program, same

from bert_thor.kernels.davinci.run import execute, independence
from bert_thor.kernels.davinci.trace import tik

NUMBERS = ((64,), "int32")


def collected(body: Any, size: int = 64, arguments: tuple[Any, ...] = (), **inputs: np.ndarray) -> np.ndarray:
    """What ``body(t, out)`` writes with ``out[i].set_as`` into an int32 tensor in UB."""

    def kernel(t: Any, *tensors: Any) -> None:
        out = t.Tensor("int32", (size,), name="out", scope=tik.scope_ubuf)
        for start in range(0, size, 64):
            t.vector_dup(64, out[start], 0, 1, 1, 8)
        body(t, out, *tensors[:-1])
        t.data_move(tensors[-1], out, 0, 1, size // 8, 0, 0)

    kernel_program = program(kernel, {n: described(a) for n, a in inputs.items()}, {"y": ((size,), "int32")})
    return kernel_program.run(*inputs.values(), *arguments).outputs[0]


ARITHMETIC = {
    "i + 3": (lambda i: i + 3, lambda i: i + 3),
    "3 - i": (lambda i: 3 - i, lambda i: 3 - i),
    "i * i": (lambda i: i * i, lambda i: i * i),
    "i // 7": (lambda i: i // 7, lambda i: i // 7),
    "100 // (i + 1)": (lambda i: 100 // (i + 1), lambda i: 100 // (i + 1)),
    "i % 5": (lambda i: i % 5, lambda i: i % 5),
    "(i - 9) / 4 truncates": (lambda i: (i - 9) / 4, lambda i: int((i - 9) / 4)),
    "i << 2 | 1": (lambda i: (i << 2) | 1, lambda i: (i << 2) | 1),
    "i >> 1 & 6": (lambda i: (i >> 1) & 6, lambda i: (i >> 1) & 6),
    "~i": (lambda i: ~i, lambda i: ~i),
    "-i": (lambda i: -i, lambda i: -i),
}


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize("together", [True, False])
def test_arithmetic(name: str, together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    symbolic, plain = ARITHMETIC[name]
    if not together:
        monkeypatch.setattr(execute, "independent", lambda *_: False)

    def body(t: Any, out: Any) -> None:
        with t.for_range(0, 20) as i:
            value = t.Scalar("int32")
            value.set_as(symbolic(i))
            out[i].set_as(value)

    assert collected(body)[:20].tolist() == [plain(i) for i in range(20)]


@pytest.mark.parametrize("together", [True, False])
def test_branches_of_every_kind(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not together:
        monkeypatch.setattr(execute, "independent", lambda *_: False)

    def body(t: Any, out: Any) -> None:
        with t.for_range(0, 30) as i:
            with t.if_scope(i % 3 == 0):
                out[i].set_as(1)
                with t.if_scope(tik.all(i > 10, i != 12)):
                    out[i].set_as(5)
            with t.elif_scope(tik.any(i == 4, i >= 28)):
                out[i].set_as(2)
            with t.else_scope():
                out[i].set_as(3)

    def plain(i: int) -> int:
        if i % 3 == 0:
            return 5 if i > 10 and i != 12 else 1
        return 2 if i == 4 or i >= 28 else 3

    assert collected(body)[:30].tolist() == [plain(i) for i in range(30)]


def test_bounds_may_depend_on_outer_loops_and_loops_may_be_empty() -> None:
    def body(t: Any, out: Any) -> None:
        with t.for_range(0, 6) as i, t.for_range(i, 2 * i) as j:
            out[i * 10 + j - i].set_as(j)

    expected = np.zeros(64, np.int32)
    for i in range(6):
        for j in range(i, 2 * i):
            expected[i * 10 + j - i] = j
    assert same(collected(body), expected)


def test_break_continue_and_return() -> None:
    def body(t: Any, out: Any) -> None:
        with t.for_range(0, 5) as i, t.for_range(0, 8) as j:
            with t.if_scope(j == i + 2):
                t.tik_break()
            with t.if_scope(j % 2 == 1):
                t.tik_continue()
            out[i * 8 + j].set_as(1)

    expected = np.zeros((8, 8), np.int32)
    for i in range(5):
        for j in range(8):
            if j == i + 2:
                break
            if j % 2 == 1:
                continue
            expected[i, j] = 1
    assert same(collected(body), expected.reshape(-1))


def test_return_ends_only_the_cores_that_reach_it() -> None:
    def body(t: Any, y: Any) -> None:
        with t.for_range(0, 4, block_num=4) as core:
            ub = t.Tensor("int32", (8,), name="ub", scope=tik.scope_ubuf)
            t.vector_dup(8, ub, 1, 1, 1, 1)
            t.data_move(y[core * 8], ub, 0, 1, 1, 0, 0)
            with t.for_range(0, 3) as i:
                with t.if_scope(tik.all(core % 2 == 0, i == 1)):
                    t.tik_return()
                ub[i].set_as(7)
            t.data_move(y[core * 8], ub, 0, 1, 1, 0, 0)

    found = program(body, {}, {"y": ((4, 8), "int32")}).run().outputs[0]
    assert found.tolist() == [[1] * 8, [7] * 3 + [1] * 5] * 2


def test_scalars_keep_their_type() -> None:
    """int8 wraps, float32 rounds, assignments of elements carry over."""

    def body(t: Any, out: Any, x: Any) -> None:
        data = t.Tensor("float32", (8,), name="data", scope=tik.scope_ubuf)
        t.data_move(data, x, 0, 1, 1, 0, 0)
        small = t.Scalar("int8", init_value=127)
        small.set_as(small + 1)
        out[0].set_as(small)
        third = t.Scalar("float32", init_value=1.0)
        third.set_as(third / 3)
        data[1].set_as(third)
        data[2].set_as(data[0])
        t.vconv(8, "floor", out[8], data, 1, 1, 1, 8, 8)
        t.vmuls(8, data, data, 2.0**24, 1, 1, 1, 8, 8)
        t.vconv(8, "floor", out[16], data, 1, 1, 1, 8, 8)

    found = collected(body, x=np.full(8, 3.75, np.float32))
    assert found[0] == -128
    assert found[8:11].tolist() == [3, 0, 3]
    assert found[17] == int(np.float32(1) / np.float32(3) * np.float32(2.0**24))


def test_scalar_functions() -> None:
    def body(t: Any, out: Any) -> None:
        a, b = t.Scalar("int32", init_value=-9), t.Scalar("int32", init_value=4)
        results = [t.Scalar("int32") for _ in range(3)]
        t.scalar_abs(results[0], a)
        t.scalar_max(results[1], a, b)
        t.scalar_min(results[2], a, b)
        bits = t.Scalar("uint64", init_value=0b10110)
        counts = [t.Scalar("uint64") for _ in range(3)]
        t.scalar_countbit1(counts[0], bits)
        t.scalar_countbit0(counts[1], bits)
        t.scalar_countleading0(counts[2], bits)
        root, whole = t.Scalar("float32", init_value=30.0), t.Scalar("int32")
        t.scalar_sqrt(root, root)
        t.scalar_conv("round", whole, root)
        down, half, back = t.Scalar("int32"), t.Scalar("float16"), t.Scalar("float32")
        t.scalar_conv("floor", down, root)
        t.scalar_conv("none", half, root)
        t.scalar_conv("", back, half)
        scaled = t.Scalar("int32")
        t.scalar_conv("floor", scaled, back * 1024)
        for i, value in enumerate([*results, *counts, whole, down, scaled]):
            out[i].set_as(value)

    half_root = float(np.float16(np.sqrt(np.float32(30))))
    assert collected(body)[:9].tolist() == [9, 4, -9, 3, 61, 59, 5, 5, int(half_root * 1024)]


def test_scalar_arrays_and_kernel_arguments() -> None:
    def kernel(kernel_name: str) -> None:
        t = tik.Tik()
        y = t.Tensor("int32", (64,), name="y", scope=tik.scope_gm)
        factor = t.InputScalar("int32", "factor")
        ub = t.Tensor("int32", (64,), name="ub", scope=tik.scope_ubuf)
        t.vector_dup(64, ub, 0, 1, 1, 8)
        registers = t.ScalarArray("int32", 3, "r", 5)
        registers[1] = factor * 2
        for i in range(3):
            ub[i].set_as(registers[i])
        t.data_move(y, ub, 0, 1, 8, 0, 0)
        t.BuildCCE(kernel_name, inputs=[factor], outputs=[y])

    from bert_thor.kernels import davinci

    assert davinci.trace(kernel).run(21).outputs[0][:3].tolist() == [5, 42, 5]


def test_a_scalar_decides_lengths_per_core() -> None:
    """Repeats that differ between cores, among them 0, which does nothing."""
    lengths = np.array([[0] * 8, [1] * 8, [2] * 8, [3] * 8], np.int32)

    def body(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, 4, block_num=4) as core:
            ub = t.Tensor("int32", (64,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x[core, 0], 0, 1, 1, 0, 0)
            count = t.Scalar("int32")
            count.set_as(ub[0])
            t.vector_dup(64, ub, 0, 1, 1, 8)
            t.vector_dup(8, ub, 7, count, 1, 1)
            t.data_move(y[core, 0], ub, 0, 1, 8, 0, 0)

    found = program(body, {"x": described(lengths)}, {"y": ((4, 64), "int32")}).run(lengths).outputs[0]
    assert (found == np.where(np.arange(64) < 8 * np.arange(4)[:, None], 7, 0)).all()


def test_masks_may_differ_between_cores() -> None:
    def body(t: Any, y: Any) -> None:
        with t.for_range(0, 4, block_num=4) as core:
            ub = t.Tensor("int32", (64,), name="ub", scope=tik.scope_ubuf)
            t.vector_dup(64, ub, 0, 1, 1, 8)
            t.vector_dup([0, 1 + 2 * core], ub, 7, 1, 1, 8)
            t.data_move(y[core, 0], ub, 0, 1, 8, 0, 0)

    found = program(body, {}, {"y": ((4, 64), "int32")}).run().outputs[0]
    assert (found == 7 * ((1 + 2 * np.arange(4)[:, None]) >> np.minimum(np.arange(64), 40) & 1)).all()


def test_a_barrier_orders_the_cores() -> None:
    """Each core reads what its neighbour wrote before the barrier."""
    data = np.arange(64, dtype=np.float32).reshape(8, 8)

    def kernel(kernel_name: str) -> None:
        t = tik.Tik()
        x = t.Tensor("float32", (8, 8), name="x", scope=tik.scope_gm)
        y = t.Tensor("float32", (8, 8), name="y", scope=tik.scope_gm)
        shared = t.Tensor("float32", (8, 8), name="shared", scope=tik.scope_gm, is_workspace=True)
        sync = t.Tensor("int64", (32,), name="sync", scope=tik.scope_gm, is_workspace=True, is_atomic_add=True)
        with t.for_range(0, 8, block_num=8) as core:
            ub = t.Tensor("float32", (8,), name="ub", scope=tik.scope_ubuf)
            t.data_move(ub, x[core, 0], 0, 1, 1, 0, 0)
            t.data_move(shared[core, 0], ub, 0, 1, 1, 0, 0)
            t.block_barrier(sync)
            t.data_move(ub, shared[(core + 1) % 8, 0], 0, 1, 1, 0, 0)
            t.data_move(y[core, 0], ub, 0, 1, 1, 0, 0)
        t.BuildCCE(kernel_name, inputs=[x], outputs=[y])

    from bert_thor.kernels import davinci

    assert same(davinci.trace(kernel).run(data).outputs[0], np.roll(data, -1, axis=0))


def mixed(t: Any, x: Any, y: Any) -> None:
    """Nested loops, a double buffer, a branch, a carried sum: something of everything."""
    with t.for_range(0, 6, block_num=6) as core:
        total = t.Tensor("float32", (64,), name="total", scope=tik.scope_ubuf)
        t.vector_dup(64, total, 0.0, 1, 1, 8)
        with t.for_range(0, 5, thread_num=2) as i:
            rows = t.Tensor("float32", (4, 64), name="rows", scope=tik.scope_ubuf)
            with t.for_range(0, 4) as j:
                t.data_move(rows[j, 0], x[core, i, j, 0], 0, 1, 8, 0, 0)
                with t.if_scope((core + j) % 2 == 0):
                    t.vmuls(64, rows[j, 0], rows[j, 0], 2.0, 1, 1, 1, 8, 8)
            with t.for_range(0, 4) as j:
                t.vadd(64, total, total, rows[j, 0], 1, 1, 1, 1, 8, 8, 8)
            t.data_move(y[core, i, 0], total, 0, 1, 8, 0, 0)


@pytest.mark.parametrize("lane_bytes", [1, 1 << 12, 1 << 26])
def test_vectorised_and_plain_execution_agree_bit_for_bit(lane_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (6, 5, 4, 64)).astype(np.float32)
    kernel = program(mixed, {"x": described(x)}, {"y": ((6, 5, 64), "float32")})
    monkeypatch.setattr(independence, "LANE_BYTES_BUDGET", lane_bytes)
    monkeypatch.setattr(execute, "CORE_MEMORY_BUDGET", lane_bytes * 8)
    together = kernel.run(x)
    monkeypatch.setattr(execute, "independent", lambda *_: False)
    plain = kernel.run(x)
    scaled = x * np.where((np.arange(6)[:, None] + np.arange(4)) % 2 == 0, 2, 1)[:, None, :, None].astype(np.float32)
    expected = np.zeros((6, 5, 64), np.float32)
    for core in range(6):
        total = np.zeros(64, np.float32)
        for i in range(5):
            for j in range(4):
                total = total + scaled[core, i, j]
            expected[core, i] = total
    assert same(together.outputs[0], expected)
    assert same(plain.outputs[0], expected)
    assert together.cycles == plain.cycles
    assert together.report.bytes_moved == plain.report.bytes_moved


CARRIED = {
    "a sum in one place": lambda t, ub, i: t.vadd(8, ub, ub, ub[8], 1, 1, 1, 1, 8, 8, 8),
    "each row from the row before": lambda t, ub, i: t.vadd(
        8, ub[8 * i + 8], ub[8 * i], ub[8 * i + 8], 1, 1, 1, 1, 8, 8, 8
    ),
    "rows written backwards over rows read": lambda t, ub, i: t.vmuls(8, ub[56 - 8 * i], ub[8 * i], 3.0, 1, 1, 1, 8, 8),
    "windows that overlap": lambda t, ub, i: t.vmuls(16, ub[8 * i], ub[8 * i], 2.0, 1, 1, 1, 8, 8),
}


@pytest.mark.parametrize("name", CARRIED)
def test_iterations_that_depend_on_each_other_run_in_order(name: str) -> None:
    x = np.random.default_rng(0).integers(1, 5, 64).astype(np.float32)

    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
        t.data_move(ub, x, 0, 1, 8, 0, 0)
        with t.for_range(0, 7) as i:
            CARRIED[name](t, ub, i)
        t.data_move(y, ub, 0, 1, 8, 0, 0)

    expected = x.copy()
    for i in range(7):
        if name == "a sum in one place":
            expected[:8] += expected[8:16]
        elif name == "each row from the row before":
            expected[8 * i + 8 : 8 * i + 16] += expected[8 * i : 8 * i + 8]
        elif name == "rows written backwards over rows read":
            expected[56 - 8 * i : 64 - 8 * i] = 3 * expected[8 * i : 8 * i + 8]
        else:
            expected[8 * i : 8 * i + 16] *= 2
    assert same(program(body, {"x": described(x)}, {"y": ((64,), "float32")}).run(x).outputs[0], expected)


def test_stores_that_overlap_keep_their_order_in_nested_loops() -> None:
    """The last iteration of the outer loop wins, although an inner loop that runs in order comes between."""

    def body(t: Any, y: Any) -> None:
        ub = t.Tensor("float32", (8,), name="ub", scope=tik.scope_ubuf)
        t.vector_dup(8, ub, 0.0, 1, 1, 1)
        with t.for_range(0, 4) as i:
            own = t.Tensor("float32", (8,), name="own", scope=tik.scope_ubuf)
            with t.for_range(0, 3) as j:
                t.vadds(8, own, ub, 1.0, 1, 1, 1, 8, 8)
                own[0].set_as(t.Scalar("float32", init_value=0.0) + (10 * i + j) * 1.0)
                t.data_move(y[(i + j) * 8], own, 0, 1, 1, 0, 0)

    found = program(body, {}, {"y": ((48,), "float32")}).run().outputs[0].reshape(6, 8)[:, 0]
    expected = np.zeros(6)
    for i in range(4):
        for j in range(3):
            expected[i + j] = 10 * i + j
    assert found.tolist() == expected.tolist()


def test_products_accumulate_over_iterations() -> None:
    half = np.random.default_rng(0).integers(-3, 4, (4, 16, 16)).astype(np.float16)

    def body(t: Any, x: Any, y: Any) -> None:
        l1 = t.Tensor("float16", (1024,), name="l1", scope=tik.scope_cbuf)
        t.data_move(l1, x, 0, 1, 64, 0, 0)
        ub = t.Tensor("float32", (256,), name="ub", scope=tik.scope_ubuf)
        l0c = t.Tensor("float32", (256,), name="l0c", scope=tik.scope_cc)
        t.vector_dup(64, ub, 5.0, 4, 1, 8)
        t.data_move(l0c, ub, 0, 1, 1, 0, 0)
        with t.for_range(0, 4, thread_num=2) as i:
            l0a = t.Tensor("float16", (256,), name="l0a", scope=tik.scope_ca)
            l0b = t.Tensor("float16", (256,), name="l0b", scope=tik.scope_cb)
            t.load2dv1(l0a, l1[i * 256], 0, 1, 1, 0, False)
            t.load2dv1(l0b, l1[i * 256], 0, 1, 1, 0, False)
            t.mmad(l0c, l0a, l0b, 16, 16, 16, 1)
        t.data_move(ub, l0c, 0, 1, 1, 0, 0)
        t.data_move(y, ub, 0, 1, 32, 0, 0)

    found = program(body, {"x": described(half)}, {"y": ((16, 16), "float32")}).run(half).outputs[0]
    assert same(found, (5 + sum(h.astype(np.float64) @ h.T.astype(np.float64) for h in half)).astype(np.float32))


def test_a_scalar_keeps_what_it_read() -> None:
    """On several cores at once too, where the memory that it came from is overwritten later."""

    def body(t: Any, y: Any) -> None:
        with t.for_range(0, 4, block_num=4) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=tik.scope_ubuf)
            t.vector_dup(64, ub, 3.0, 1, 1, 8)
            scalar = t.Scalar("float32", "scalar")
            scalar.set_as(ub[0])
            t.vector_dup(64, ub, 5.0, 1, 1, 8)
            t.vmuls(64, ub, ub, scalar, 1, 1, 1, 8, 8)
            t.data_move(y[core * 64], ub, 0, 1, 8, 0, 0)

    assert (program(body, {}, {"y": ((256,), "float32")}).run().outputs[0] == 15).all()
