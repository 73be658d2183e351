"""Damped inverses of symmetric positive definite blocks for Ascend 910 in TIK."""

from __future__ import annotations

from typing import Any

from bert_thor.kernels import tik_support
from bert_thor.kernels.cholesky_inverse.tiling import Tiling, tile
from bert_thor.kernels.cholesky_inverse.vector_sweep import VectorSweep
from bert_thor.kernels.tik_support import register

STATUS_ITEMS = 8  # int32 numbers of 32 bytes


@register(
    "CholeskyInverseVector",
    {},
    [["F32_Default", "F32_Default", "F32_Default", "I32_Default"]],
    ["c", "damping"],
    ["inverse", "status"],
)
def cholesky_inverse_vector(
    c: dict[str, Any],
    damping: dict[str, Any],
    inverse: dict[str, Any],
    status: dict[str, Any],
    kernel_name: str = "cholesky_inverse_vector",
) -> None:
    """Build the kernel."""
    _Kernel(_tiling(c, damping)).build(kernel_name)


def _tiling(c: dict[str, Any], damping: dict[str, Any]) -> Tiling:
    for name, tensor in (("c", c), ("damping", damping)):
        if tensor["dtype"] != "float32":
            raise ValueError(f"cholesky_inverse: {name} is {tensor['dtype']}; it must be float32.")
    blocks, edge, _ = c["shape"]
    return tile(blocks, edge, tik_support.core_count())


class _Kernel:
    """The program; its methods emit its parts."""

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

    def build(self, kernel_name: str) -> None:
        t, tiling = self.t, self.tiling
        with t.for_range(0, tiling.cores, block_num=tiling.cores) as core:
            begin = t.Scalar("int64", "begin", core * tiling.blocks // tiling.cores)
            end = t.Scalar("int64", "end", (core + 1) * tiling.blocks // tiling.cores)
            sweep = VectorSweep(t, self.tik, tiling, self.c, self.inverse)
            self.dampings = t.Tensor("float32", (8,), name="dampings", scope=self.tik.scope_ubuf)
            self.codes = t.Tensor("int32", (STATUS_ITEMS,), name="codes", scope=self.tik.scope_ubuf)
            sweep.load(begin)
            with t.for_range(begin, end) as q:
                self._block(sweep, q, end)
        t.BuildCCE(kernel_name=kernel_name, inputs=[self.c, self.damping], outputs=[self.inverse, self.status])

    def _block(self, sweep: VectorSweep, q: Any, end: Any) -> None:
        t = self.t
        sweep.unstage()
        with t.if_scope(q + 1 < end):
            sweep.load(q + 1)
        t.data_move(self.dampings, self.damping[q // 8 * 8], 0, 1, 1, 0, 0)
        damping, status = t.Scalar("float32", "damping_of_block"), t.Scalar("int32", "status_of_block")
        damping.set_as(self.dampings[q % 8])
        sweep.invert(damping, status)
        sweep.store(q)
        t.vector_dup(STATUS_ITEMS, self.codes, status, 1, 1, 8)
        t.data_move(self.status[q * STATUS_ITEMS], self.codes, 0, 1, 1, 0, 0)
