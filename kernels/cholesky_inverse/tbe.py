"""Damped inverses of symmetric positive definite blocks for Ascend 910 in TIK: (C + damping I)^-1, and why where there is none.

Edges that are multiples of 16 go through the cube in groups of up to 8 blocks (`cube_route.py`). A block whose result there is
not finite goes through the vector sweep (`vector_sweep.py`), and so do all blocks of other edges. The sweep alone is the second
kernel: seven times slower, fp32 throughout.

Contract, as on the CPU: only the upper triangle of c is read; the inverse is exactly symmetric; status 0, or k > 0 where the k-th
pivot is not positive, or -1 where the triangle or the damping is not finite or the inverse overflows; the inverse of a block that
failed is zeros. The bits of a block depend on no other block. Status comes 8 times, 32 bytes a block: stores of different cores
may not share 32 bytes.

Numbers: ||I - A A^-1||_1 <= (4 + 0.3 n) 2^-24 ||A||_1 ||A^-1||_1 with A = C + damping I; the error is within 2 sqrt(2) of LAPACK's.

Cost of a block of 128, estimated: 10,000 cycles in groups of 8, 75,000 by the sweep, on one core.
"""

from __future__ import annotations

from typing import Any, Callable

from bert_thor.kernels.ascend import tik_support
from bert_thor.kernels.ascend.registration import register
from bert_thor.kernels.cholesky_inverse.cube_route import CubeRoute
from bert_thor.kernels.cholesky_inverse.tiling import LANES, Tiling, tile
from bert_thor.kernels.cholesky_inverse.vector_sweep import VectorSweep

STATUS_ITEMS = 8  # int32 numbers of 32 bytes


FORMATS = [["F32_Default", "F32_Default", "F32_Default", "I32_Default"]]
INPUTS, OUTPUTS = ["c", "damping"], ["inverse", "status"]


@register("CholeskyInverse", {}, FORMATS, INPUTS, OUTPUTS)
def cholesky_inverse(
    c: dict[str, Any],
    damping: dict[str, Any],
    inverse: dict[str, Any],
    status: dict[str, Any],
    kernel_name: str = "cholesky_inverse",
) -> None:
    """Build the kernel: c, inverse [blocks, edge, edge] and damping [blocks] fp32, status [blocks, 8] int32; edges 8 to 128."""
    tiling = _tiling(c, damping, cube=True)
    kernel = _CubeKernel if tiling.cube else _VectorKernel
    kernel(tiling).build(kernel_name)


@register("CholeskyInverseVector", {}, FORMATS, INPUTS, OUTPUTS)
def cholesky_inverse_vector(
    c: dict[str, Any],
    damping: dict[str, Any],
    inverse: dict[str, Any],
    status: dict[str, Any],
    kernel_name: str = "cholesky_inverse_vector",
) -> None:
    """Build the kernel as `cholesky_inverse`, with the vector sweep for every block."""
    _VectorKernel(_tiling(c, damping, cube=False)).build(kernel_name)


def _tiling(c: dict[str, Any], damping: dict[str, Any], cube: bool) -> Tiling:
    tik_support.check_float32("cholesky_inverse", c=c, damping=damping)
    blocks, edge, _ = c["shape"]
    return tile(blocks, edge, tik_support.core_count(), cube)


class _Kernel:
    """What both programs share."""

    def __init__(self, tiling: Tiling) -> None:
        self.tik = tik_support.tik_module()
        self.t = self.tik.Tik()
        self.tiling = tiling
        square = (tiling.blocks, tiling.edge, tiling.edge)
        self.c, self.inverse = (self._global(name, "float32", square) for name in ("c", "inverse"))
        self.damping = self._global("damping", "float32", (tiling.blocks,))
        self.status = self._global("status", "int32", (tiling.blocks, STATUS_ITEMS))

    def _global(self, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
        return self.t.Tensor(dtype, shape, name=name, scope=self.tik.scope_gm)

    def _ub(self, name: str, dtype: str, items: int) -> Any:
        return self.t.Tensor(dtype, (items,), name=name, scope=self.tik.scope_ubuf)

    def build(self, kernel_name: str) -> None:
        t, tiling = self.t, self.tiling
        with t.for_range(0, tiling.cores, block_num=tiling.cores) as core:
            begin = t.Scalar("int64", "begin", core * tiling.blocks // tiling.cores)
            end = t.Scalar("int64", "end", (core + 1) * tiling.blocks // tiling.cores)
            self._core(begin, end)
        t.BuildCCE(kernel_name=kernel_name, inputs=[self.c, self.damping], outputs=[self.inverse, self.status])

    def _core(self, begin: Any, end: Any) -> None:
        """Blocks begin to end - 1."""
        raise NotImplementedError

    def _sweep(self, sweep: VectorSweep, q: Any, meanwhile: Callable[[], None]) -> None:
        """The staged block q by the vector sweep; once it has left its place, `meanwhile` may load another there."""
        t = self.t
        sweep.unstage()
        meanwhile()
        dampings, codes = self._ub("dampings_near", "float32", 8), self._ub("codes", "int32", STATUS_ITEMS)
        t.data_move(dampings, self.damping[q // 8 * 8], 0, 1, 1, 0, 0)
        damping, status = t.Scalar("float32", "damping_of_block"), t.Scalar("int32", "status_of_block")
        damping.set_as(dampings[q % 8])
        sweep.invert(damping, status)
        sweep.store(q)
        t.vector_dup(STATUS_ITEMS, codes, status, 1, 1, 8)
        t.data_move(self.status[q * STATUS_ITEMS], codes, 0, 1, 1, 0, 0)


class _VectorKernel(_Kernel):
    """Every block by the vector sweep."""

    def _core(self, begin: Any, end: Any) -> None:
        t = self.t
        sweep = VectorSweep(t, self.tik, self.tiling, self.c, self.inverse)
        sweep.load(begin)
        with t.for_range(begin, end) as q:

            def load_next() -> None:
                with t.if_scope(q + 1 < end):
                    sweep.load(q + 1)

            self._sweep(sweep, q, load_next)


class _CubeKernel(_Kernel):
    """Groups on the cube; the blocks that fail there once more by the vector sweep, which says why."""

    def _core(self, begin: Any, end: Any) -> None:
        t, tiling = self.t, self.tiling
        failures, failed = (
            self._ub("failures", "int32", -(-tiling.share // LANES) * LANES),
            t.Scalar("int32", "failed", 0),
        )
        with t.new_stmt_scope():
            self._groups(begin, end, failures, failed)
        with t.if_scope(failed != 0):
            sweep, failure = VectorSweep(t, self.tik, tiling, self.c, self.inverse), t.Scalar("int32", "failure")
            with t.for_range(begin, end) as q:
                failure.set_as(failures[q - begin])
                with t.if_scope(failure != 0):
                    sweep.load(q)
                    self._sweep(sweep, q, lambda: None)

    def _groups(self, begin: Any, end: Any, failures: Any, failed: Any) -> None:
        """The last group is the core's last blocks, even if some of them have been done before."""
        t, size = self.t, self.tiling.group
        route = CubeRoute(t, self.tik, self.tiling, self.c, self.damping, self.inverse)
        codes = self._ub("successes", "int32", size * STATUS_ITEMS)
        t.vector_dup(STATUS_ITEMS, codes, 0, size, 1, 1)
        route.load(begin)
        with t.for_range(0, (end - begin + size - 1) // size) as group:
            base, following = t.Scalar("int64", "base"), t.Scalar("int64", "following")
            t.scalar_min(base, begin + group * size, end - size)
            t.scalar_min(following, base + size, end - size)
            route.invert(base, following)
            t.data_move(self.status[base * STATUS_ITEMS], codes, 0, 1, size, 0, 0)
            for m, failure in enumerate(route.failures()):
                failures[base - begin + m].set_as(failure)
                with t.if_scope(failure != 0):
                    failed.set_as(1)
