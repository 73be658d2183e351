"""Layer norm for Ascend 910 in TIK: rows in batches, two-pass statistics in fp32.

The variance is the corrected two-pass one (Chan, Golub, LeVeque 1983): with m the mean in x's type and d = x - m,

    e = mean(d),  variance = mean(d^2) - e^2,  y = ((d - e) rstd) gamma + beta

so that neither a mean far from zero nor the rounding of m costs digits. For fp16, e = (sum x - features m) / features, where
both terms are exact sums of 11-bit numbers; for fp32 it is summed from d.

Cycles are counted on the vector unit: about 9.5 (fp16) and 9 (fp32) per 64 numbers, the gradient 17 (fp16) and 16 (fp32).

Numbers: sums and statistics are fp32. Element-wise steps are done in x's type; in fp16 rstd is applied as two factors near its
square root, so that no step leaves the range of fp16 for any rstd up to 1 / sqrt(1e-12).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bert_thor.kernels import tik_support
from bert_thor.kernels.layer_norm.row_batches import PITCH, RowBatches
from bert_thor.kernels.layer_norm.tiling import FP32_LANES, SLOTS, Tiling, tile_backward, tile_forward
from bert_thor.kernels.tik_support import ITEM_BYTES, fill, register

FORMATS = ["F16_Default", "F32_Default"]


@register(
    "LayerNormForward",
    {"eps": "float"},
    [[kind, "F32_Default", "F32_Default", kind, "F32_Default", "F32_Default"] for kind in FORMATS],
    ["x", "gamma", "beta"],
    ["y", "mean", "rstd"],
)
def layer_norm(
    x: dict[str, Any],
    gamma: dict[str, Any],
    beta: dict[str, Any],
    y: dict[str, Any],
    mean: dict[str, Any],
    rstd: dict[str, Any],
    eps: float,
    kernel_name: str = "layer_norm",
) -> None:
    """Build the kernel: x, y [..., features] fp16 or fp32; gamma, beta [features] and mean, rstd [rows] fp32."""
    rows = check_rows("layer_norm", x)
    tiling = tile_forward(rows, x["shape"][-1], x["dtype"], tik_support.core_count())
    _Forward(tiling, x["dtype"], eps).build(kernel_name)


def check_rows(name: str, x: dict[str, Any]) -> int:
    """Number of rows of a description; refuses types that the vector unit lacks."""
    if x["dtype"] not in ITEM_BYTES:
        raise ValueError(f"{name}: x is {x['dtype']}; Ascend 910 takes float16 and float32.")
    rows = 1
    for extent in x["shape"][:-1]:
        rows *= extent
    return rows


class _Forward(RowBatches):
    """The program of `layer_norm`."""

    def __init__(self, tiling: Tiling, dtype: str, eps: float) -> None:
        super().__init__(tiling, dtype)
        self.eps = eps
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.x = self.global_tensor("x", shape, dtype)
        self.gamma, self.beta = (self.global_tensor(n, width, "float32") for n in ("gamma", "beta"))
        self.y = self.global_tensor("y", shape, dtype)
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))

    def build(self, kernel_name: str) -> None:
        self.over_cores(self._core_program)
        inputs, outputs = [self.x, self.gamma, self.beta], [self.y, self.mean, self.rstd]
        self.t.BuildCCE(kernel_name=kernel_name, inputs=inputs, outputs=outputs)

    def _core_program(self) -> None:
        self.buffers = [self.rows_tensor(f"x_{i}", self.dtype) for i in (0, 1)]
        self.work = self.rows_tensor("work", self.dtype)
        self.slots = self.sum_slots("sums")
        parameters = ((self.gamma, "gamma"), (self.beta, "beta"))
        self.local_gamma, self.local_beta = (self._parameter(p, n) for p, n in parameters)
        self.zero, self.one = (self.row_values(n) for n in ("zero", "one"))
        fill(self.t, self.zero, 0.0)
        fill(self.t, self.one, 1.0)
        self.walk(self._load, self._compute, sets=2)

    def _parameter(self, source: Any, name: str) -> Any:
        """gamma or beta in x's type, half a bank row away from the rows: the vector unit reads both at once."""
        t, features = self.t, self.tiling.features
        blocks = -(-features // 8)
        local = self.local_tensor(f"local_{name}", (features + 2 * self.lanes,), self.dtype)[self.lanes]
        if self.dtype == "float32":
            t.data_move(local, source, 0, 1, blocks, 0, 0)
            return local
        with t.new_stmt_scope():
            wide = self.local_tensor(f"wide_{name}", (features,), "float32")
            t.data_move(wide, source, 0, 1, blocks, 0, 0)
            for first, count in self.columns(FP32_LANES):
                t.vconv(count, "none", local[first], wide[first], 1, 1, 1, 4, 8)
        return local

    def _load(self, which: int, start: Any, rows: Any) -> None:
        self.load_rows(self.buffers[which], self.x, start, rows)

    def _compute(self, which: int, start: Any, rows: Any, load_next: Any) -> None:
        load_next()
        t, source, target = self.t, self.work, self.buffers[which]
        mean, rstd = self.row_values("mean"), self.row_values("rstd")
        factors, offset = self._statistics(target, source, mean, rstd)
        steps: list[tuple[Any, Any, Any]] = [(self.per_row, t.vmuls, factor) for factor in factors]
        steps += [(self.per_row, t.vadds, offset)]
        steps += [(self.per_column, t.vmul, self.local_gamma), (self.per_column, t.vadd, self.local_beta)]
        for apply, instruction, operand in steps:
            apply(instruction, target, source, operand)
            source, target = target, source
        self.store_rows(self.y, source, start, rows)
        self.store_row_values(self.mean, mean, start, rows)
        self.store_row_values(self.rstd, rstd, start, rows)

    # Statistics -------------------------------------------------------------------------------------------------------

    def _statistics(self, x: Any, d: Any, mean: Any, rstd: Any) -> tuple[list[Any], Any]:
        """d = x - m, mean and rstd; and the factors and the offset, in x's type, that make xhat of d."""
        t, batch, features = self.t, self.tiling.batch, self.tiling.features
        total, rest, variance = (self.row_values(n) for n in ("total", "rest", "variance"))
        self.sum_rows(self.slots, x, total)
        shift, shift_wide = self._negated_shift(total)
        self.per_row(t.vadds, d, x, shift)
        if self.dtype == "float16":
            t.vmuls(batch, rest, shift_wide, float(features), 1, 1, 1, 8, 8)
            t.vadd(batch, rest, rest, total, 1, 1, 1, 1, 8, 8, 8)
        else:
            self.sum_rows(self.slots, d, rest)
        t.vmuls(batch, mean, total, 1.0 / features, 1, 1, 1, 8, 8)
        t.vmuls(batch, rest, rest, -1.0 / features, 1, 1, 1, 8, 8)
        self._sum_squares(d, variance)
        self._variance_to_rstd(variance, rest, rstd)
        return self._scaling(rest, rstd)

    def _negated_shift(self, total: Any) -> tuple[Any, Any]:
        """-m in x's type, and the same in fp32."""
        t, batch = self.t, self.tiling.batch
        wide = self.row_values("shift_wide")
        t.vmuls(batch, wide, total, -1.0 / self.tiling.features, 1, 1, 1, 8, 8)
        if self.dtype == "float32":
            return wide, wide
        shift = self._narrow(wide, "shift")
        t.vconv(batch, "none", wide, shift, 1, 1, 1, 8, 4)
        return shift, wide

    def _narrow(self, wide: Any, name: str) -> Any:
        """Row values in fp16."""
        narrow = self.row_values(name, "float16")
        self.t.vconv(self.tiling.batch, "none", narrow, wide, 1, 1, 1, 4, 8)
        return narrow

    def _sum_squares(self, d: Any, sums: Any) -> None:
        """sums[r] = sum of d[r]^2 in fp32. SLOTS groups of columns at a time, so that no instruction waits for the one before."""
        t, batch, pitch, stride = self.t, self.tiling.batch, PITCH // 8, self.row_blocks
        groups = list(enumerate(self.columns(FP32_LANES)))
        for some in (groups[k : k + SLOTS] for k in range(0, len(groups), SLOTS)):
            squares = {group: self.slot(self.slots, group, other=True) for group, _ in some}
            if self.dtype == "float16":
                for group, (first, count) in some:
                    t.vconv(count, "none", squares[group], d[first], batch, 1, 1, pitch, stride)
            for group, (first, count) in some:
                source, step = (squares[group], pitch) if self.dtype == "float16" else (d[first], stride)
                t.vmul(count, squares[group], source, source, batch, 1, 1, 1, pitch, step, step)
            for group, (_, count) in some:
                self.add_to_slots(self.slots, group, count, squares[group], pitch)
        self.reduce_slots([self.slots], [sums])

    def _variance_to_rstd(self, variance: Any, rest: Any, rstd: Any) -> None:
        """rstd = 1 / sqrt(max(sum of squares / features - rest^2, 0) + eps)."""
        t, batch = self.t, self.tiling.batch
        square = self.row_values("square")
        t.vmuls(batch, variance, variance, 1.0 / self.tiling.features, 1, 1, 1, 8, 8)
        t.vmul(batch, square, rest, rest, 1, 1, 1, 1, 8, 8, 8)
        t.vsub(batch, variance, variance, square, 1, 1, 1, 1, 8, 8, 8)
        t.vmax(batch, variance, variance, self.zero, 1, 1, 1, 1, 8, 8, 8)
        t.vadds(batch, variance, variance, self.eps, 1, 1, 1, 8, 8)
        t.vsqrt(batch, variance, variance, 1, 1, 1, 8, 8)
        t.vdiv(batch, rstd, self.one, variance, 1, 1, 1, 1, 8, 8, 8)

    def _scaling(self, rest: Any, rstd: Any) -> tuple[list[Any], Any]:
        """Factors whose product is rstd, and rest rstd (rest is -e), in x's type."""
        t, batch = self.t, self.tiling.batch
        offset = self.row_values("offset")
        t.vmul(batch, offset, rest, rstd, 1, 1, 1, 1, 8, 8, 8)
        if self.dtype == "float32":
            return [rstd], offset
        root, other = self.row_values("root"), self.row_values("other")
        t.vsqrt(batch, root, rstd, 1, 1, 1, 8, 8)
        first = self._narrow(root, "first_factor")
        t.vconv(batch, "none", root, first, 1, 1, 1, 8, 4)
        t.vdiv(batch, other, rstd, root, 1, 1, 1, 1, 8, 8, 8)
        return [first, self._narrow(other, "second_factor")], self._narrow(offset, "offset_narrow")


@register(
    "LayerNormBackward",
    {},
    [[kind, kind, "F32_Default", "F32_Default", "F32_Default", kind, "F32_Default", "F32_Default"] for kind in FORMATS],
    ["dy", "x", "gamma", "mean", "rstd"],
    ["dx", "dgamma", "dbeta"],
)
def layer_norm_grad(
    dy: dict[str, Any],
    x: dict[str, Any],
    gamma: dict[str, Any],
    mean: dict[str, Any],
    rstd: dict[str, Any],
    dx: dict[str, Any],
    dgamma: dict[str, Any],
    dbeta: dict[str, Any],
    kernel_name: str = "layer_norm_grad",
) -> None:
    """Build the kernel: dy, x, dx [..., features] fp16 or fp32; the others fp32, mean and rstd from `layer_norm`.

    All arithmetic is fp32. Every core sums dgamma and dbeta over its rows and adds them to the outputs atomically, in any
    order: their last bits may differ from run to run.
    """
    rows = check_rows("layer_norm_grad", x)
    tiling = tile_backward(rows, x["shape"][-1], x["dtype"], tik_support.core_count())
    _Backward(tiling, x["dtype"]).build(kernel_name)


class _Backward(RowBatches):
    """The program of `layer_norm_grad`: dx = rstd g - rstd mean(g) - rstd mean(g xhat) xhat, with g = dy gamma."""

    def __init__(self, tiling: Tiling, dtype: str) -> None:
        super().__init__(tiling, dtype)
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.dy, self.x = (self.global_tensor(n, shape, dtype) for n in ("dy", "x"))
        self.gamma = self.global_tensor("gamma", width, "float32")
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))
        self.dx = self.global_tensor("dx", shape, dtype)
        self.dgamma, self.dbeta = (self.global_tensor(n, width, "float32", True) for n in ("dgamma", "dbeta"))

    def build(self, kernel_name: str) -> None:
        self.over_cores(self._core_program)
        inputs, outputs = [self.dy, self.x, self.gamma, self.mean, self.rstd], [self.dx, self.dgamma, self.dbeta]
        self.t.BuildCCE(kernel_name=kernel_name, inputs=inputs, outputs=outputs)

    def _core_program(self) -> None:
        t, features = self.t, self.tiling.features
        self.given = [self.rows_tensor(n, self.dtype) for n in ("local_dy", "local_x")]
        self.work = self._work_tensors()
        self.result = self.work[3] if self.dtype == "float32" else self.rows_tensor("result", self.dtype)
        self.slots = [self.sum_slots(n) for n in ("sums_g", "sums_gx")]
        self.total_dgamma = self.column_sums("total_dgamma", swapped=True)
        self.total_dbeta = self.column_sums("total_dbeta", swapped=False)
        pitch = (-(-features // FP32_LANES) | 1) * FP32_LANES  # an odd number of half bank rows between the two copies
        gammas = self.local_tensor("gammas", (2 * pitch,), "float32")
        self.gamma_for_dy, self.gamma_for_product = gammas, gammas[pitch]
        for local in (self.gamma_for_dy, self.gamma_for_product):
            t.data_move(local, self.gamma, 0, 1, features // 8, 0, 0)
        self.statistics = [self.row_values(n) for n in ("local_mean", "local_rstd")]
        self.walk(self._load, self._compute, sets=1)
        t.set_atomic_add(1)
        for target, sums in ((self.dgamma, self.total_dgamma), (self.dbeta, self.total_dbeta)):
            for total, (first, count) in zip(sums, self.columns(FP32_LANES)):
                t.data_move(target[first], total, 0, 1, count // 8, 0, 0)
        t.set_atomic_add(0)

    def _work_tensors(self) -> list[Any]:
        """Four batches of fp32; the third lies 256 bytes off the others, so that it meets none of them in a bank."""
        items, half = self.tiling.batch * self.tiling.features, FP32_LANES
        tensors = [self.local_tensor(f"work_{i}", (items + (2 * half if i == 2 else 0),), "float32") for i in range(4)]
        return [tensor[half] if i == 2 else tensor for i, tensor in enumerate(tensors)]

    def _load(self, _: int, start: Any, rows: Any) -> None:
        for local, source in zip(self.given, (self.dy, self.x)):
            self.load_rows(local, source, start, rows)
        for local, source in zip(self.statistics, (self.mean, self.rstd)):
            self.load_row_values(local, source, start, rows)

    def _compute(self, _: int, start: Any, rows: Any, load_next: Any) -> None:
        t, (a, b, dy, p) = self.t, self.work
        rstd = self.row_values("factor")
        offset = self._widen(dy, b, rstd)
        load_next()
        self.per_row(t.vmuls, p, b, rstd)
        self.per_row(t.vadds, a, p, offset)
        xhat = a
        self.elementwise(partial(_two, t.vmul), p, dy, xhat)
        self.per_column(t.vmul, b, dy, self.gamma_for_dy)
        self.add_down(self.total_dbeta, dy)
        self.per_column(t.vmul, dy, p, self.gamma_for_product)
        self.add_down(self.total_dgamma, p)
        mean_g, mean_gx = self._negated_means((b, dy), rstd)
        self.per_row(t.vmuls, p, b, rstd)
        self.per_row(t.vmuls, dy, xhat, mean_gx)
        self.elementwise(partial(_two, t.vadd), b, p, dy)
        self.per_row(t.vadds, p, b, mean_g)
        if self.dtype == "float16":
            self.change_type(self.result, p)
        self.store_rows(self.dx, self.result, start, rows)

    def _widen(self, dy: Any, x: Any, rstd: Any) -> Any:
        """What was loaded, in fp32, so that the next batch may be loaded over it; returns -mean rstd."""
        t, batch = self.t, self.tiling.batch
        offset = self.row_values("offset")
        for wide, local in zip((x, dy), (self.given[1], self.given[0])):
            self.change_type(wide, local)
        t.vadds(batch, rstd, self.statistics[1], 0.0, 1, 1, 1, 8, 8)
        t.vmul(batch, offset, self.statistics[0], self.statistics[1], 1, 1, 1, 1, 8, 8, 8)
        t.vmuls(batch, offset, offset, -1.0, 1, 1, 1, 8, 8)
        return offset

    def _negated_means(self, sources: tuple[Any, Any], rstd: Any) -> list[Any]:
        """-mean(source) rstd of every row, for g and for g xhat."""
        t, batch = self.t, self.tiling.batch
        means = [self.row_values(n) for n in ("mean_g", "mean_gx")]
        self.sum_rows_together(self.slots, sources, means)
        for mean in means:
            t.vmuls(batch, mean, mean, -1.0 / self.tiling.features, 1, 1, 1, 8, 8)
        for mean in means:
            t.vmul(batch, mean, mean, rstd, 1, 1, 1, 1, 8, 8, 8)
        return means


def _two(instruction: Any, *arguments: Any) -> None:
    instruction(*arguments, 0)
