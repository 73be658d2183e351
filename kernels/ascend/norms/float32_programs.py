"""layer_norm and its gradient in fp32, all on the vector unit, since the cube takes fp16 only."""

from __future__ import annotations

from functools import partial
from typing import Any

from bert_thor.kernels.ascend.norms.row_batches import PITCH, RowBatches, two_sources
from bert_thor.kernels.ascend.norms.tiling import SLOTS, Tiling
from bert_thor.kernels.ascend.sizes import FP32_LANES
from bert_thor.kernels.ascend.tik_support import fill

SINGLE = "float32"


class Forward(RowBatches):
    """y = (x - m - e) rstd gamma + beta with m the mean and e = mean(x - m), the rounding of m."""

    def __init__(self, tiling: Tiling, eps: float) -> None:
        super().__init__(tiling, SINGLE)
        self.eps = eps
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.x = self.global_tensor("x", shape, SINGLE)
        self.gamma, self.beta = (self.global_tensor(n, width, "float32") for n in ("gamma", "beta"))
        self.y = self.global_tensor("y", shape, SINGLE)
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))
        self.inputs, self.outputs = [self.x, self.gamma, self.beta], [self.y, self.mean, self.rstd]

    def core_program(self) -> None:
        """What each core does."""
        self.declare()
        self.walk(self.load, self.compute, sets=2)

    def declare(self) -> None:
        """Everything that lives as long as the core."""
        self.buffers = [self.rows_tensor(f"x_{i}", SINGLE) for i in (0, 1)]
        self.work = self.rows_tensor("work", SINGLE)
        self.slots = self.sum_slots("sums")
        self.local_gamma, self.local_beta = self.parameter(self.gamma, "gamma"), self.parameter(self.beta, "beta")
        self.zero, self.one = (self.row_values(n) for n in ("zero", "one"))
        fill(self.t, self.zero, 0.0)
        fill(self.t, self.one, 1.0)

    def load(self, which: int, start: Any, rows: Any) -> None:
        """The rows of a batch into UB."""
        self.load_rows(self.buffers[which], self.x, start, rows)

    def prepare(self, which: int, start: Any, rows: Any, load_next: Any) -> tuple[Any, Any]:
        """The batch that is to be normalised, and one to work in."""
        load_next()
        return self.buffers[which], self.work

    def compute(self, which: int, start: Any, rows: Any, load_next: Any) -> None:
        """One batch."""
        t = self.t
        target, source = self.prepare(which, start, rows, load_next)
        mean, rstd = self.row_values("mean"), self.row_values("rstd")
        offset = self._statistics(target, source, mean, rstd)
        steps = ((self.per_row, t.vmuls, rstd), (self.per_row, t.vadds, offset))
        scales = ((self.per_column, t.vmul, self.local_gamma), (self.per_column, t.vadd, self.local_beta))
        for apply, instruction, operand in (*steps, *scales):
            apply(instruction, target, source, operand)
            source, target = target, source
        self.store_rows(self.y, source, start, rows)
        self.store_row_values(self.mean, mean, start, rows)
        self.store_row_values(self.rstd, rstd, start, rows)

    # Statistics -------------------------------------------------------------------------------------------------------

    def _statistics(self, x: Any, d: Any, mean: Any, rstd: Any) -> Any:
        """d = x - m, mean and rstd; returns -e rstd."""
        t, batch, features = self.t, self.tiling.batch, self.tiling.features
        total, shift, rest, variance = (self.row_values(n) for n in ("total", "shift", "rest", "variance"))
        self.sum_rows(self.slots, x, total)
        t.vmuls(batch, shift, total, -1.0 / features, 1, 1, 1, 8, 8)
        self.per_row(t.vadds, d, x, shift)
        self.sum_rows(self.slots, d, rest)
        t.vmuls(batch, mean, shift, -1.0, 1, 1, 1, 8, 8)
        t.vmuls(batch, rest, rest, -1.0 / features, 1, 1, 1, 8, 8)
        self._sum_squares(d, variance)
        t.vsub(batch, mean, mean, rest, 1, 1, 1, 1, 8, 8, 8)
        self._variance_to_rstd(variance, rest, rstd)
        t.vmul(batch, rest, rest, rstd, 1, 1, 1, 1, 8, 8, 8)
        return rest

    def _sum_squares(self, d: Any, sums: Any) -> None:
        """sums[r] = sum of d[r]^2 in fp32. SLOTS groups of columns at a time, so that no instruction waits for the one before."""
        t, batch, pitch, stride = self.t, self.tiling.batch, PITCH // 8, self.row_blocks
        groups = list(enumerate(self.columns(FP32_LANES)))
        for some in (groups[k : k + SLOTS] for k in range(0, len(groups), SLOTS)):
            squares = {group: self.slot(self.slots, group, other=True) for group, _ in some}
            for group, (first, count) in some:
                t.vmul(count, squares[group], d[first], d[first], batch, 1, 1, 1, pitch, stride, stride)
            for group, (_, count) in some:
                self.add_to_slots(self.slots, group, count, squares[group], pitch)
        self.reduce_slots([self.slots], [sums])

    def _variance_to_rstd(self, variance: Any, rest: Any, rstd: Any) -> None:
        """rstd = 1 / sqrt(max(sum of squares / features - rest^2, 0) + eps); NaN where the squares left the range of fp32."""
        t, batch = self.t, self.tiling.batch
        square, eps = self.row_values("square"), self.row_values("eps")  # or NaN
        t.vmul(batch, square, rest, rest, 1, 1, 1, 1, 8, 8, 8)
        t.vsub(batch, eps, variance, variance, 1, 1, 1, 1, 8, 8, 8)
        t.vmuls(batch, variance, variance, 1.0 / self.tiling.features, 1, 1, 1, 8, 8)
        t.vadds(batch, eps, eps, self.eps, 1, 1, 1, 8, 8)
        t.vsub(batch, variance, variance, square, 1, 1, 1, 1, 8, 8, 8)
        t.vmax(batch, variance, variance, self.zero, 1, 1, 1, 1, 8, 8, 8)
        t.vadd(batch, variance, variance, eps, 1, 1, 1, 1, 8, 8, 8)
        t.vsqrt(batch, variance, variance, 1, 1, 1, 8, 8)
        t.vdiv(batch, rstd, self.one, variance, 1, 1, 1, 1, 8, 8, 8)


class Backward(RowBatches):
    """dx = rstd g - rstd mean(g) - rstd mean(g xhat) xhat, with g = dy gamma and xhat = (x - m - e) rstd as in `Forward`."""

    def __init__(self, tiling: Tiling) -> None:
        super().__init__(tiling, SINGLE)
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.dy, self.x = (self.global_tensor(n, shape, SINGLE) for n in ("dy", "x"))
        self.gamma = self.global_tensor("gamma", width, "float32")
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))
        self.dx = self.global_tensor("dx", shape, SINGLE)
        self.dgamma, self.dbeta = (self.global_tensor(n, width, "float32", True) for n in ("dgamma", "dbeta"))

        self.inputs = [self.dy, self.x, self.gamma, self.mean, self.rstd]
        self.outputs = [self.dx, self.dgamma, self.dbeta]

    def core_program(self) -> None:
        """What each core does."""
        self.declare()
        self.walk(self._load, self.compute, sets=1)
        self.store_column_sums([(self.dgamma, self.total_dgamma), (self.dbeta, self.total_dbeta)])

    def declare(self) -> None:
        """Everything that lives as long as the core."""
        t, features = self.t, self.tiling.features
        self.given = [self.rows_tensor(n, SINGLE) for n in ("local_dy", "local_x")]
        self.work = self._work_tensors()
        self.slots = [self.sum_slots(n) for n in ("sums_g", "sums_gx")]
        self.total_dgamma = self.column_sums("total_dgamma", swapped=True)
        self.total_dbeta = self.column_sums("total_dbeta", swapped=False)
        pitch = (-(-features // FP32_LANES) | 1) * FP32_LANES  # an odd number of half bank rows between the two copies
        gammas = self.local_tensor("gammas", (2 * pitch,), "float32")
        self.gamma_for_dy, self.gamma_for_product = gammas, gammas[pitch]
        for local in (self.gamma_for_dy, self.gamma_for_product):
            t.data_move(local, self.gamma, 0, 1, features // 8, 0, 0)
        self.statistics = [self.row_values(n) for n in ("local_mean", "local_rstd")]

    def store_column_sums(self, pairs: list[tuple[Any, list[Any]]]) -> None:
        """The sums over this core's rows are added to those of the others."""
        self.t.set_atomic_add(1)
        for target, sums in pairs:
            for total, (first, count) in zip(sums, self.columns(FP32_LANES)):
                self.t.data_move(target[first], total, 0, 1, count // 8, 0, 0)
        self.t.set_atomic_add(0)

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

    def compute(self, _: int, start: Any, rows: Any, load_next: Any) -> None:
        """One batch."""
        t, (a, b, dy, p) = self.t, self.work
        rstd = self.row_values("factor")
        self.fetch(start, rows)
        self._copy(dy, b, rstd)
        load_next()
        offset = self._offset(b, rstd)
        self.per_row(t.vmuls, p, b, rstd)
        self.per_row(t.vadds, a, p, offset)
        xhat = a
        self.elementwise(partial(two_sources, t.vmul), p, dy, xhat)
        self.per_column(t.vmul, b, dy, self.gamma_for_dy)
        self.add_down(self.total_dbeta, dy)
        self.per_column(t.vmul, dy, p, self.gamma_for_product)
        self.add_down(self.total_dgamma, p)
        mean_g, mean_gx = self._negated_means((b, dy), rstd)
        self.per_row(t.vmuls, p, b, rstd)
        self.per_row(t.vmuls, dy, xhat, mean_gx)
        self.elementwise(partial(two_sources, t.vadd), b, p, dy)
        self.per_row(t.vadds, p, b, mean_g)
        self.hand_over(p, start, rows)

    def fetch(self, start: Any, rows: Any) -> None:
        """What `hand_over` needs beside the gradient; nothing here."""

    def hand_over(self, result: Any, start: Any, rows: Any) -> None:
        """What becomes of a batch of the gradient."""
        self.store_rows(self.dx, result, start, rows)

    def _copy(self, dy: Any, d: Any, rstd: Any) -> None:
        """What was loaded goes elsewhere, x less the mean, so that the next batch may be loaded over it."""
        t, batch = self.t, self.tiling.batch
        shift = self.row_values("shift")
        t.vmuls(batch, shift, self.statistics[0], -1.0, 1, 1, 1, 8, 8)
        self.per_row(t.vadds, d, self.given[1], shift)
        self.elementwise(t.vadds, dy, self.given[0], value=0.0)
        t.vadds(batch, rstd, self.statistics[1], 0.0, 1, 1, 1, 8, 8)

    def _offset(self, d: Any, rstd: Any) -> Any:
        """-mean(d) rstd, for what the mean, rounded to fp32, lacks."""
        t, batch = self.t, self.tiling.batch
        offset = self.row_values("offset")
        self.sum_rows(self.slots[0], d, offset)
        t.vmuls(batch, offset, offset, -1.0 / self.tiling.features, 1, 1, 1, 8, 8)
        t.vmul(batch, offset, offset, rstd, 1, 1, 1, 1, 8, 8, 8)
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
