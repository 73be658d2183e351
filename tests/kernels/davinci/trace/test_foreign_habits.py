"""What kernels of others write and TIK takes: small programs, each in the way that a kernel of CANN does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import in_ub, program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik

UB, GM = tik.scope_ubuf, tik.scope_gm
X = np.arange(64, dtype=np.float32)


def test_comparing_tensor_elements() -> None:
    def call(t: Any, ub: Any) -> None:
        for i, condition in enumerate((ub[1] < 2, ub[1] > ub[2], ub[3] == 3, ub[3] != 3, ub[0] >= 0, ub[5] <= 4.5)):
            with t.if_scope(condition):
                ub[16 + i].set_as(1.0)
            with t.else_scope():
                ub[16 + i].set_as(0.0)

    assert in_ub(call, ub=X)["ub"][16:22].tolist() == [1, 0, 1, 0, 1, 0]
    tensor = tik.Tik().Tensor("float32", (8,), name="a", scope=UB)
    assert tensor != None and tensor not in (None, "a") and tensor in [tensor]  # noqa: E711 - kernels write it so


def test_floats_without_a_fraction_are_integers() -> None:
    def call(t: Any, ub: Any) -> None:
        with t.for_range(0, 64 / 32) as i:
            t.vadds(32.0, ub[i * 32], ub[64 / 2], 1.0, 2 / 2, 1, 1, 8, 8)

    assert in_ub(call, ub=X)["ub"][[0, 1, 32]].tolist() == [33, 34, 33]
    with pytest.raises(errors.ArgumentError, match=r"a bound is an integer or an integer scalar, not 1.5"):
        in_ub(lambda t, ub: t.for_range(0, 1.5).__enter__(), ub=X)


def test_a_register_reads_the_bits_of_a_tensor_of_its_size() -> None:
    def call(t: Any, half: Any, words: Any) -> None:
        index = t.Scalar("uint16")
        index.set_as(half[1])
        words[0].set_as(index)

    half = np.array([0, 5, 0, 0], np.uint16).view(np.float16).repeat(4)
    half[1] = np.uint16(7).view(np.float16)
    assert in_ub(call, half=half, words=np.zeros(16, np.uint16))["words"][0] == 7


def test_moves_keep_bits_between_types_of_one_size() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("int32", (64,), name="ub", scope=UB)
        t.data_move(ub, x, 0, 1, 8, 0, 0)
        t.data_move(y, ub, 0, 1, 8, 0, 0)

    assert np.array_equal(
        program(body, {"x": ((64,), "float32")}, {"y": ((64,), "uint32")}).run(X).outputs[0], X.view(np.uint32)
    )


def test_a_mask_from_a_register_has_all_64_bits() -> None:
    def body(t: Any, words: Any, y: Any) -> None:
        with t.for_range(0, 2, block_num=2) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=UB)
            bits = t.Tensor("uint64", (4,), name="bits", scope=UB)
            word = t.Scalar("uint64")
            t.vector_dup(64, ub, 0.0, 1, 1, 8)
            t.data_move(bits, words[core * 4], 0, 1, 1, 0, 0)
            word.set_as(bits[0])
            t.vadds([word, word], ub, ub, 1.0, 1, 1, 1, 8, 8)
            t.data_move(y[core * 64], ub, 0, 1, 8, 0, 0)

    words = np.array([2**63 + 5, 0, 0, 0, 2**62, 0, 0, 0], np.uint64)
    found = program(body, {"words": ((8,), "uint64")}, {"y": ((128,), "float32")}).run(words).outputs[0]
    assert np.flatnonzero(found).tolist() == [0, 2, 63, 64 + 62] and set(found) == {0, 1}


def test_flags_barriers_and_the_profile_change_nothing() -> None:
    def call(t: Any, ub: Any) -> None:
        assert t.d_profiling.get_aicore_num() == 32 and t.d_profiling.get_product_name() == "cloud"
        t.set_flag("PIPE_MTE2", "PIPE_V", 0)
        t.wait_flag("PIPE_MTE2", "PIPE_V", 0)
        t.pipe_barrier("PIPE_V")

    assert np.array_equal(in_ub(call, ub=X)["ub"], X)


def test_atomic_add_by_the_name_of_the_type() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        ub = t.Tensor("float32", (64,), name="ub", scope=UB)
        t.data_move(ub, x, 0, 1, 8, 0, 0)
        t.set_atomic_add("float32")
        for _ in range(3):
            t.data_move(y, ub, 0, 1, 8, 0, 0)
        t.set_atomic_add(0)

    ports = {"x": ((64,), "float32")}, {"y": ((64,), "float32")}
    assert np.array_equal(program(body, *ports).run(X).outputs[0], 3 * X)
    with pytest.raises(errors.LimitError, match="atomic mode is 'float16'"):
        program(lambda t, x, y: t.set_atomic_add("float16"), *ports)


def test_tensor_set_as_has_offsets_on_both_sides() -> None:
    assert in_ub(lambda t, ub: ub.set_as(ub, 3, 60), ub=X)["ub"][3] == 60


def test_an_index_may_be_a_list() -> None:
    def call(t: Any, ub: Any) -> None:
        square = ub.reshape((8, 8))
        square[[1, 2]].set_as(square[[7, 7]])

    assert in_ub(call, ub=X)["ub"][10] == 63


def test_kernels_ask_what_is_a_scalar() -> None:
    def call(t: Any, ub: Any) -> None:
        scalar = t.Scalar("int32", init_value=0)
        assert isinstance(scalar, tik.Scalar) and isinstance(ub, tik.Tensor) and isinstance(scalar + 1, tik.Expr)
        with t.if_scope(tik.negate(scalar > 3)):
            ub[0].set_as(7.0)

    assert in_ub(call, ub=X)["ub"][0] == 7


def test_moves_into_ub_have_no_padding_mode() -> None:
    def move(scope: str) -> Any:
        def body(t: Any, x: Any, y: Any) -> None:
            ub = t.Tensor("float32", (64,), name="ub", scope=UB)
            t.data_move(ub, x, 0, 1, 8, 0, 0)
            t.data_move(t.Tensor("float32", (64,), name="l1", scope=scope), x, 0, 1, 8, 1, 1, 1)
            t.data_move(y, ub, 0, 1, 8, 0, 0)

        return program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})

    assert np.array_equal(move(UB).run(X).outputs[0], X)
    with pytest.raises(errors.UnavailableError, match="padding mode 1"):
        move(tik.scope_cbuf)


# The caller's arrays ----------------------------------------------------------------------------------------------------


def copying(declared: int, moved: int, **names: Any) -> Any:
    """A kernel that copies ``moved`` blocks between tensors that it declares with ``declared`` elements."""

    def kernel(x: Any, y: Any, kernel_name: str = "copy") -> None:
        t = tik.Tik()
        a, b = (t.Tensor("float32", (declared,), name=n, scope=GM) for n in "ab")
        ub = t.Tensor("float32", (128,), name="ub", scope=UB)
        t.data_move(ub, a, 0, 1, moved, 0, 0)
        t.data_move(b, ub, 0, 1, moved, 0, 0)
        t.BuildCCE(kernel_name, inputs=[a], outputs=[b])

    return kernel


def test_a_declaration_may_be_larger_than_the_array() -> None:
    """What lies between the array's end and the declaration's is undefined and not the caller's."""
    built = davinci.trace(copying(64, 8), X[:60], X[:60])
    assert built.inputs == [("a", (60,), "float32")] and built.outputs == [("b", (60,), "float32")]
    assert np.array_equal(built.run(X[:60]).outputs[0], X[:60])
    with pytest.raises(errors.ArgumentError, match=r"shape \(60,\); got float32 of shape \(64,\)"):
        built.run(X)


def test_a_declaration_may_be_smaller_than_the_array() -> None:
    assert np.array_equal(davinci.trace(copying(8, 8), X, X).run(X).outputs[0], X)
    with pytest.raises(errors.UnwrittenOutputError, match="element 56 of 64"):
        davinci.trace(copying(8, 7), X, X).run(X)
    with pytest.raises(errors.BoundsError, match="src touches elements 0 to 79 of a, which has 64"):
        davinci.trace(copying(8, 10), X, X).run(X)


def test_a_declaration_may_have_no_bound() -> None:
    """Kernels that take any length declare 2^62 elements; the memory is the caller's."""
    assert np.array_equal(davinci.trace(copying(2**62, 8), X, X).run(X).outputs[0], X)
    with pytest.raises(errors.BoundsError, match="src touches elements 0 to 79 of a, which has 64"):
        davinci.trace(copying(2**62, 10), X, X).run(X)


def test_reads_past_the_end_are_undefined_where_bounds_are_ignored() -> None:
    built = davinci.trace(copying(64, 8), X[:40], X)
    with pytest.raises(errors.BoundsError, match="src touches elements 0 to 63 of a, which has 40"):
        built.run(X[:40])
    with pytest.raises(errors.PoisonError, match=r"element 40 of b .* \(24 such\)"):
        built.run(X[:40], ignore=["bounds"])
    assert np.array_equal(built.run(X[:40], ignore=["bounds", "poison"]).outputs[0][:40], X[:40])


def test_a_list_of_descriptions() -> None:
    def kernel(parts: Any, y: Any, kernel_name: str = "concatenate") -> None:
        t = tik.Tik()
        sources = [t.Tensor("float32", p["shape"], name=f"x{i}", scope=GM) for i, p in enumerate(parts)]
        out = t.Tensor("float32", y["shape"], name="y", scope=GM)
        ub = t.Tensor("float32", (64,), name="ub", scope=UB)
        for i, source in enumerate(sources):
            t.data_move(ub, source, 0, 1, 4, 0, 0)
            t.data_move(out[i * 32], ub, 0, 1, 4, 0, 0)
        t.BuildCCE(kernel_name, sources, out)

    built = davinci.trace(kernel, [X[:32], ((32,), "float32")], X)
    assert np.array_equal(built.run(X[:32], X[32:]).outputs[0], X)


def adding_rows(unordered: bool) -> Any:
    def kernel(x: Any, y: Any, kernel_name: str = "add") -> None:
        """y[0:8] = x[0:8] + 1, eight times over the same place."""
        t = tik.Tik()
        a, b = (t.Tensor("float32", (64,), name=n, scope=GM) for n in "ab")
        ub = t.Tensor("float32", (8,), name="ub", scope=UB)
        with t.for_range(0, 8) as i:
            t.data_move(ub, a[i * 8 if unordered else 0], 0, 1, 1, 0, 0)
            t.vadds(8, ub, ub, 1.0, 1, 1, 1, 8, 8)
            t.data_move(b[0], ub, 0, 1, 1, 0, 0)
        t.BuildCCE(kernel_name, [a], [b])

    return kernel


def test_a_kernel_may_change_its_descriptions() -> None:
    def kernel(x: Any, y: Any, kernel_name: str = "copy") -> None:
        x["shape"] = y["shape"] = [y["shape"][0] * 2]
        copying(128, 8)(x, y, kernel_name)

    assert np.array_equal(davinci.trace(kernel, X, X).run(X).outputs[0], X)


def test_an_output_in_place_of_an_input() -> None:
    """Without ``inplace`` the rest of y is never written; with it, y is x and each round sees the one before."""
    built = davinci.trace(adding_rows(unordered=False), X, X)
    with pytest.raises(errors.UnwrittenOutputError, match="element 8 of 64"):
        built.run(X)
    expected = X.copy()
    expected[:8] += 8
    for _ in range(2):
        assert np.array_equal(built.run(X, inplace={"b": "a"}).outputs[0], expected)
    with pytest.raises(errors.UnwrittenOutputError):
        built.run(X)
    with pytest.raises(errors.ArgumentError, match="inplace names 'c'; the kernel has a, b"):
        built.run(X, inplace={"c": "a"})


def test_iterations_that_meet_in_place_run_in_order() -> None:
    """Iteration i reads block i and stores block i + 1: one after another only when both are one memory."""

    def kernel(x: Any, y: Any, kernel_name: str = "shift") -> None:
        t = tik.Tik()
        a, b = (t.Tensor("float32", (64,), name=n, scope=GM) for n in "ab")
        with t.for_range(0, 7) as i:
            ub = t.Tensor("float32", (8,), name="ub", scope=UB)
            t.data_move(ub, a[i * 8], 0, 1, 1, 0, 0)
            t.data_move(b[i * 8 + 8], ub, 0, 1, 1, 0, 0)
        t.BuildCCE(kernel_name, [a], [b])

    built = davinci.trace(kernel, X, X)
    for _ in range(2):
        assert np.array_equal(built.run(X, ignore=["uninitialised"]).outputs[0][8:], X[:56])
        assert np.array_equal(built.run(X, inplace={"b": "a"}).outputs[0], np.tile(X[:8], 8))


def test_races_can_be_ignored() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, 2, block_num=2) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=UB)
            t.data_move(ub, x, 0, 1, 8, 0, 0)
            t.vadds(64, ub, ub, t.Scalar("float32", init_value=core), 1, 1, 1, 8, 8)
            t.data_move(y, ub, 0, 1, 8, 0, 0)

    built = program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})
    with pytest.raises(errors.RaceError):
        built.run(X)
    assert np.array_equal(built.run(X, ignore=["races"]).outputs[0], X + 1)


def test_early_ways_to_name_elements() -> None:
    """``tensor(i)`` is ``tensor[i]``; ``flatten`` has one dimension."""

    def call(t: Any, ub: Any) -> None:
        ub(3).set_as(5)
        grid = ub.reshape((4, 16)).flatten()
        assert grid.shape == (64,)
        grid[4].set_as(grid(3))

    assert in_ub(call, ub=X)["ub"][3:5].tolist() == [5, 5]


def test_integers_of_another_size_are_read_by_value() -> None:
    words = np.zeros(16, np.uint32)
    words[:3] = 2**32 - 1, 2**16 + 7, 5

    def call(t: Any, ub: Any, signed: Any) -> None:
        wide, narrow, minus = t.Scalar("uint64"), t.Scalar("uint16"), t.Scalar("int64")
        wide.set_as(ub[0])
        narrow.set_as(ub[1])
        minus.set_as(signed[1])
        ub[8].set_as(wide // 3)
        ub[9].set_as(narrow)
        signed[0].set_as(minus - 1)

    found = in_ub(call, ub=words, signed=np.full(16, -3, np.int16))
    assert found["ub"][8:10].tolist() == [(2**32 - 1) // 3, 7] and found["signed"][0] == -4
    with pytest.raises(errors.DataTypeError, match="must have the same size, or both be integers"):
        in_ub(lambda t, ub: t.Scalar("float16").set_as(ub[0]), ub=words)


def test_transposes_in_place_of_several_repeats() -> None:
    x = np.arange(512, dtype=np.float16)
    found = in_ub(lambda t, ub: t.vec_trans(ub, ub, 2, 1, 1), ub=x)["ub"]
    assert np.array_equal(found, x.reshape(2, 16, 16).transpose(0, 2, 1).reshape(-1))


def test_registers_that_outlive_their_scope() -> None:
    def call(t: Any, ub: Any) -> None:
        with t.for_range(0, 3) as i:
            last = t.global_scalar("float32", "last", 1.0)
            with t.if_scope(i == 2):
                last.set_as(7.0)
        ub[5].set_as(last)

    assert in_ub(call, ub=X)["ub"][5] == 7


def test_a_kernel_asks_what_is_left_of_a_buffer() -> None:
    def call(t: Any, ub: Any) -> None:
        before = t.get_available_buffer_size("ubuf")
        with t.new_stmt_scope():
            t.Tensor("float32", (before // 4,), name="rest", scope="ubuf")
            assert t.get_available_buffer_size("ubuf") == 0
        assert before == t.get_available_buffer_size("ubuf") == 262144 - ub.size * 4

    in_ub(call, ub=X)


def test_memory_of_the_runtime_is_there_and_0() -> None:
    def kernel(kernel_name: str) -> None:
        t = tik.Tik()
        status = t.Tensor("int32", (8,), tik.scope_gm, "status", is_global_tensor=True)
        y = t.Tensor("int32", (2, 8), tik.scope_gm, "y")
        ub = t.Tensor("int32", (8,), tik.scope_ubuf, "ub")
        for row in range(2):
            t.data_move(ub, status, 0, 1, 1, 0, 0)
            t.data_move(y[row, 0], ub, 0, 1, 1, 0, 0)
            ub[3].set_as(5)
            t.data_move(status, ub, 0, 1, 1, 0, 0)
        t.BuildCCE(kernel_name, [], [y])

    assert davinci.trace(kernel).run().outputs[0].tolist() == [[0] * 8, [0, 0, 0, 5, 0, 0, 0, 0]]
