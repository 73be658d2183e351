"""Kernels for any shape: numbers in a tiling tensor, a scalar number of cores, shapes of scalars, workspaces without a size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import program

from bert_thor.kernels import davinci
from bert_thor.kernels.davinci import errors
from bert_thor.kernels.davinci.trace import tik

LARGE = 2**31 - 1


def scaled(cores_from: str = "tiling", passed: bool = True) -> Any:
    """y = 2 x: the tiling says how many cores there are and how many blocks of 8 each has."""

    def kernel(x: dict[str, Any], y: dict[str, Any], kernel_name: str = "scaled") -> None:
        t = tik.Tik()
        x_gm, y_gm = (t.Tensor("float32", (LARGE,), tik.scope_gm, n) for n in "xy")
        between = t.Tensor("float32", (LARGE,), tik.scope_gm, "between", is_workspace=True)
        tiling_gm = t.Tensor("int64", (4,), tik.scope_gm, "tiling")
        tiling = t.Tensor("int64", (4,), tik.scope_ubuf, "tiling_ub")
        t.data_move(tiling, tiling_gm, 0, 1, 1, 0, 0)
        cores, blocks = (t.Scalar("int64", n, tiling[i]) for i, n in enumerate(("cores", "blocks")))
        if cores_from == "other":
            t.data_move(y_gm, tiling.reinterpret_cast_to("float32"), 0, 1, 1, 0, 0)
        with t.for_range(0, cores, block_num=cores) as core:
            ub = t.Tensor("float32", (blocks, 8), tik.scope_ubuf, "ub", max_mem_size=4096)
            place = core * blocks * 8
            t.data_move(ub, x_gm[place], 0, 1, blocks, 0, 0)
            t.vadd(8, ub[0, 0], ub[0, 0], ub[0, 0], blocks, 1, 1, 1, 1, 1, 1)
            t.data_move(between[place], ub, 0, 1, blocks, 0, 0)
            t.data_move(ub, between[place], 0, 1, blocks, 0, 0)
            t.data_move(y_gm[place], ub, 0, 1, blocks, 0, 0)
        t.BuildCCE(kernel_name, [x_gm], [y_gm], flowtable=[tiling_gm] if passed else None)

    return kernel


def tiling(*numbers: int) -> np.ndarray:
    return np.array([*numbers, *(0,) * (4 - len(numbers))], np.int64)


@pytest.mark.parametrize("cores", [1, 2, 5, 40])
def test_a_scalar_number_of_cores(cores: int) -> None:
    x = np.arange(cores * 24, dtype=np.float32)
    built = davinci.trace(scaled(), x, x)
    assert built.block_num is None and [n for n, _, _ in built.inputs] == ["x", "tiling"]
    for number, blocks in ((cores, 3), (1, 3 * cores)):
        result = built.run(x, tiling(number, blocks))
        assert np.array_equal(result.outputs[0], 2 * x)
        assert result.report.to_dict()["block_num"] == number


def test_one_program_serves_any_tiling_and_its_cycles_are_those_of_a_fixed_number() -> None:
    """What runs ahead to find the number leaves no trace: memory, races and cycles are those of the run itself."""
    x = np.arange(96, dtype=np.float32)
    result = davinci.trace(scaled(), x, x).run(x, tiling(4, 3))
    assert result.report.bytes_moved["GM->UB"] == 4 * (32 + 2 * 96)
    with pytest.raises(errors.RaceError):
        davinci.trace(scaled("other"), x, x).run(x, tiling(4, 3))


def test_numbers_of_cores_that_are_none() -> None:
    x = np.arange(96, dtype=np.float32)
    for cores in (0, -1, 65536):
        with pytest.raises(errors.LimitError, match=rf"test_any_shape.py:\d+: block_num is {cores}; it is 1 to 65535"):
            davinci.trace(scaled(), x, x).run(x, tiling(cores, 3))


def test_the_tiling_is_an_input() -> None:
    x = np.arange(96, dtype=np.float32)
    with pytest.raises(errors.ArgumentError, match=r"takes 2 arrays \(x, tiling\); 1 were given"):
        davinci.trace(scaled(), x, x).run(x)
    with pytest.raises(errors.ArgumentError, match="input tiling is int64"):
        davinci.trace(scaled(), x, x).run(x, tiling(4, 3).astype(np.int32))
    with pytest.raises(errors.ScopeError, match="tiling has no memory here"):
        davinci.trace(scaled(passed=False), x, x).run(x)
    assert np.array_equal(davinci.trace(scaled(), x, x).run(x, tiling(4, 3, 9, 9)).outputs[0], 2 * x)


def test_a_tiling_may_be_longer_or_shorter_than_declared() -> None:
    x = np.arange(96, dtype=np.float32)
    long = np.concatenate([tiling(4, 3), tiling(7)])
    assert np.array_equal(davinci.trace(scaled(), x, x).run(x, long).outputs[0], 2 * x)
    with pytest.raises(errors.DavinciError, match="tiling"):
        davinci.trace(scaled(), x, x).run(x, np.zeros(0, np.int64))


def test_shapes_of_scalars() -> None:
    """Indices multiply by extents that only the run knows; without a size the tensor has what is left of the buffer."""

    def body(t: Any, y: Any, limit: Any = None, ask: bool = False) -> None:
        rows, columns = t.Scalar("int32", "rows", 4), t.Scalar("int32", "columns", 16)
        ub = t.Tensor("float32", (rows, columns), tik.scope_ubuf, "ub", max_mem_size=limit)
        t.vector_dup(64, ub, 0.0, 1, 1, 8)
        ub[rows - 1, 5].set_as(7.0)
        ub[2, columns - 1] = 3.0
        if ask:
            assert ub.size
        t.data_move(y, ub.reshape((64,)), 0, 1, 8, 0, 0)

    for limit in (256, 4096, None):
        found = program(lambda t, y, limit=limit: body(t, y, limit), {}, {"y": ((4, 16), "float32")}).run().outputs[0]
        assert found[3, 5] == 7 and found[2, 15] == 3 and found.sum() == 10
    with pytest.raises(errors.BoundsError, match="ub, which has 16"):
        program(lambda t, y: body(t, y, 64), {}, {"y": ((4, 16), "float32")}).run()
    with pytest.raises(errors.UnavailableError, match="ub has a shape of scalars"):
        program(lambda t, y: body(t, y, ask=True), {}, {"y": ((4, 16), "float32")})


def test_the_loop_over_cores_covers_them_all() -> None:
    def body(t: Any, y: Any, begin: int = 0, fixed: bool = False) -> None:
        cores = t.Scalar("int32", "cores", 2)
        with t.for_range(begin, 2 if fixed else cores, block_num=cores):
            pass

    for arguments in ({"begin": 1}, {"fixed": True}):
        with pytest.raises(errors.StructureError, match="a loop over cores runs from 0 to block_num"):
            program(lambda t, y, a=arguments: body(t, y, **a), {}, {"y": ((16,), "float32")})
    with pytest.raises(errors.StructureError, match="this is the second"):
        program(lambda t, y: (body(t, y), body(t, y)), {}, {"y": ((16,), "float32")})


def test_an_output_without_a_size() -> None:
    """A description too many: it is not known which of them is the output's."""

    def kernel(y: Any, other: Any, kernel_name: str = "kernel") -> None:
        t = tik.Tik()
        out = t.Tensor("float32", (LARGE,), tik.scope_gm, "y")
        t.BuildCCE(kernel_name, [], [out])

    x = np.zeros(8, np.float32)
    with pytest.raises(errors.ArgumentError, match=r"output y has 8589934588 B; .* for nothing else"):
        davinci.trace(kernel, x, x).run()


def test_a_workspace_without_a_size_has_a_limit() -> None:
    def body(t: Any, y: Any, behind: bool = False) -> None:
        space = t.Tensor("float32", (LARGE,), tik.scope_gm, "space", is_workspace=True)
        ub = t.Tensor("float32", (8,), tik.scope_ubuf, "ub")
        t.vector_dup(8, ub, 2.0, 1, 1, 8)
        for place in ((1 << 24) - 8, *((1 << 24,) if behind else ())):
            t.data_move(space[place + 8 * behind], ub, 0, 1, 1, 0, 0)
            t.data_move(ub, space[place + 8 * behind], 0, 1, 1, 0, 0)
        t.data_move(y, ub, 0, 1, 1, 0, 0)

    assert (program(body, {}, {"y": ((8,), "float32")}).run().outputs[0] == 2).all()
    with pytest.raises(errors.BoundsError, match="of space, which has 16777216"):
        program(lambda t, y: body(t, y, behind=True), {}, {"y": ((8,), "float32")}).run()
