"""Cores and the program as a whole: races, unwritten outputs, loops over cores, wrong calls."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest
from rules import GM, UB
from tik_program import program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik


def on_cores(body: Callable[..., None], cores: int = 4, size: int = 64, **options: Any) -> davinci.Program:
    """``body(t, core, ub, x, y)`` on each core; ub holds 64 ones."""

    def kernel(t: Any, x: Any, y: Any) -> None:
        with t.for_range(0, cores, block_num=cores) as core:
            ub = t.Tensor("float32", (64,), name="ub", scope=UB)
            t.vector_dup(64, ub, 1.0, 1, 1, 8)
            body(t, core, ub, x, y)

    return program(kernel, {"x": ((64,), "float32")}, {"y": ((size,), "float32")}, **options)


ONES = np.ones(64, np.float32)


def stored_every(step: int, own: bool = True) -> davinci.Program:
    """16 numbers per core, ``step`` apart: the core's own number, or the same for all."""

    def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
        if own:
            t.vector_dup(64, ub, t.Scalar("float32", init_value=core), 1, 1, 8)
        t.data_move(y[core * step], ub, 0, 1, 2, 0, 0)

    return on_cores(body)


def test_two_cores_do_not_write_one_place() -> None:
    stored_every(16).run(ONES)
    with pytest.raises(errors.RaceError, match=r"core \d writes element"):
        stored_every(15).run(ONES)
    assert stored_every(15).run(ONES, ignore=["races", "uninitialised"]).cycles > 0


def test_the_last_blocks_of_a_store_are_somebody_elses() -> None:
    """12 numbers per core stored as two blocks of 8: the tail of each core lands in the next core's part."""
    with pytest.raises(errors.RaceError):
        stored_every(12).run(ONES)


@pytest.mark.parametrize("first", [0, 3])
def test_the_order_of_instructions_does_not_matter(first: int) -> None:
    """One core stores its number where another one has stored another number, one instruction earlier."""

    def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
        t.vector_dup(64, ub, t.Scalar("float32", init_value=core), 1, 1, 8)
        with t.if_scope(core == first):
            t.data_move(y, ub, 0, 1, 8, 0, 0)
        with t.if_scope(core == 1):
            t.data_move(y, ub, 0, 1, 8, 0, 0)

    with pytest.raises(errors.RaceError, match=rf"core 1 writes element 0 of y, which core {first} wrote"):
        on_cores(body).run(ONES)


@pytest.mark.parametrize("last", [0, 3])
def test_bytes_that_several_cores_stored_are_changed_by_none(last: int) -> None:
    def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
        t.data_move(y, ub, 0, 1, 8, 0, 0)
        with t.if_scope(core == last):
            t.vector_dup(64, ub, 5.0, 1, 1, 8)
            t.data_move(y, ub, 0, 1, 8, 0, 0)

    with pytest.raises(errors.RaceError, match=rf"core {last} writes element 0 of y, which several cores wrote"):
        on_cores(body).run(ONES)


def test_cores_may_store_the_same_bytes_at_one_place() -> None:
    """The usual way to store a last block that is not whole: it starts earlier, over what the core before stores too."""
    with pytest.raises(errors.UnwrittenOutputError, match="element 52 of 64"):
        stored_every(12, own=False).run(ONES)


def test_a_core_does_not_read_what_another_writes() -> None:
    def exchange(own: bool) -> Callable[..., None]:
        def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0)
            t.data_move(ub, y[(core if own else (core + 1) % 4) * 16], 0, 1, 2, 0, 0)

        return body

    on_cores(exchange(True)).run(ONES)
    with pytest.raises(errors.RaceError):
        on_cores(exchange(False)).run(ONES)


def test_plain_and_atomic_writes_do_not_mix() -> None:
    def body(plain_core: int) -> Callable[..., None]:
        def write(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            with t.if_scope(core == plain_core):
                t.data_move(y, ub, 0, 1, 8, 0, 0)
            with t.else_scope():
                t.set_atomic_add(1)
                t.data_move(y, ub, 0, 1, 8, 0, 0)
                t.set_atomic_add(0)

        return write

    assert (on_cores(body(-1)).run(ONES).outputs[0] == 4).all()
    with pytest.raises(errors.RaceError):
        on_cores(body(0)).run(ONES)


def test_an_output_is_written_whole() -> None:
    with pytest.raises(errors.UnwrittenOutputError, match="element 48 of 64"):
        on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0), cores=3).run(ONES)


NESTS = {
    "nested": (lambda t: (t.for_range(0, 2, block_num=2), t.for_range(0, 2, block_num=2)), "cannot be nested"),
    "not from 0": (lambda t: (t.for_range(1, 3, block_num=2),), "runs from 0"),
    "other extent": (lambda t: (t.for_range(0, 4, block_num=2),), "runs from 0"),
    "with threads": (lambda t: (t.for_range(0, 2, block_num=2, thread_num=2),), "thread_num"),
}


@pytest.mark.parametrize("name", NESTS)
def test_the_loop_over_cores_has_one_form(name: str) -> None:
    from contextlib import ExitStack

    loops, words = NESTS[name]

    def body(t: Any, x: Any, y: Any) -> None:
        with ExitStack() as stack:
            for loop in loops(t):
                stack.enter_context(loop)

    with pytest.raises(errors.StructureError, match=words):
        program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})


def test_one_loop_over_cores() -> None:
    def body(t: Any, x: Any, y: Any) -> None:
        for _ in range(2):
            with t.for_range(0, 2, block_num=2):
                pass

    with pytest.raises(errors.StructureError, match="second"):
        program(body, {"x": ((64,), "float32")}, {"y": ((64,), "float32")})


def test_other_profiles_and_a_missing_build_are_refused() -> None:
    with pytest.raises(errors.UnavailableError):
        tik.Dprofile("v100", "mini")
    with pytest.raises(errors.StructureError, match="BuildCCE 0 times"):
        davinci.trace(lambda kernel_name: tik.Tik())


def test_arrays_must_fit_their_inputs() -> None:
    kernel = on_cores(lambda t, core, ub, x, y: t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0))
    for arrays in ((), (ONES, ONES), (ONES.astype(np.float16),), (ONES[:32],)):
        with pytest.raises(errors.ArgumentError):
            kernel.run(*arrays)
    with pytest.raises(errors.ArgumentError, match="no check"):
        kernel.run(ONES, ignore=("everything",))
    with pytest.raises(errors.ArgumentError, match="no constant"):
        kernel.run(ONES, constants={"gm.speed": 1})
    with pytest.raises(errors.ArgumentError, match="not modelled"):
        kernel.run(ONES, chip="Ascend310")


def test_a_barrier_needs_its_workspace_and_all_cores() -> None:
    def kernel(workspace: tuple[int, str], part: bool) -> Callable[..., None]:
        def body(t: Any, core: Any, ub: Any, x: Any, y: Any) -> None:
            sync = t.Tensor(workspace[1], (workspace[0],), name="sync", scope=GM, is_workspace=True, is_atomic_add=True)
            with t.if_scope(core < (2 if part else 4)):
                t.block_barrier(sync)
            t.data_move(y[core * 16], ub, 0, 1, 2, 0, 0)

        return body

    on_cores(kernel((16, "int64"), False)).run(ONES)
    for wrong in ((8, "int64"), (16, "int32")):
        with pytest.raises(errors.ArgumentError, match="block_barrier"):
            on_cores(kernel(wrong, False))
    with pytest.raises(errors.LimitError, match="some cores only"):
        on_cores(kernel((16, "int64"), True)).run(ONES)
