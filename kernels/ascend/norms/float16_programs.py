"""layer_norm and its gradient in fp16: sums on the cube, one batch of rows begun while the one before is finished.

Element-wise steps are fp16; sums are fp32 sums of exact products, statistics fp32. 1 / deviation is applied as two factors
near its square root, so that no step leaves the range of fp16 for any deviation of fp16 numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bert_thor.kernels.ascend.norms.cube_sums import CubeSums
from bert_thor.kernels.ascend.norms.row_batches import Batch, RowBatches, take_turns, two_sources
from bert_thor.kernels.ascend.norms.tiling import Tiling
from bert_thor.kernels.ascend.tik_support import fill

HALF = "float16"
LookAhead = Callable[[], None]


class Program(RowBatches):
    """What the two programs share: numbers per row on the vector unit, fp32 and rounded to fp16.

    Methods that yield do so where the next instruction waits for the one before; see `take_turns`.
    """

    def __init__(self, tiling: Tiling) -> None:
        super().__init__(tiling, HALF)

    def scaled(self, target: Any, source: Any, factor: float) -> None:
        """target = factor source, all fp32."""
        self.t.vmuls(self.tiling.batch, target, source, factor, 1, 1, 1, 8, 8)

    def combined(self, instruction: Any, target: Any, a: Any, b: Any) -> None:
        """target = instruction(a, b), all fp32."""
        instruction(self.tiling.batch, target, a, b, 1, 1, 1, 1, 8, 8, 8)

    def narrowed(self, target: Any, source: Any) -> None:
        """target, fp16 = source, fp32."""
        self.t.vconv(self.tiling.batch, "none", target, source, 1, 1, 1, 4, 8)

    def widened(self, target: Any, source: Any) -> None:
        """target, fp32 = source, fp16."""
        self.t.vconv(self.tiling.batch, "none", target, source, 1, 1, 1, 8, 4)

    def row_sets(self, *names: str, dtype: str = "float32") -> list[dict[str, Any]]:
        """Two sets of row values by name, for the batches that are under way together."""
        return [{name: self.row_values(f"{name}_{which}", dtype) for name in names} for which in (0, 1)]

    def apply(self, steps: list[tuple[Any, Any, Any]], source: Any, target: Any) -> Any:
        """The steps (way of applying, instruction, operand) one after the other, between two buffers; returns the last."""
        for way, instruction, operand in steps:
            way(instruction, target, source, operand)
            source, target = target, source
        return source

    def two_factors(self, wide: dict[str, Any], narrow: dict[str, Any]) -> Iterator[None]:
        """narrow["first"] narrow["second"] = wide["rstd"], up to the rounding of the second."""
        root, other = wide["root"], wide["other"]
        self.t.vsqrt(self.tiling.batch, root, wide["rstd"], 1, 1, 1, 8, 8)
        yield
        self.narrowed(narrow["first"], root)
        yield
        self.widened(root, narrow["first"])
        yield
        self.combined(self.t.vdiv, other, wide["rstd"], root)
        yield
        self.narrowed(narrow["second"], other)
        yield


class Forward(Program):
    """y = ((x - m) rstd - e rstd) gamma + beta with m the mean in fp16 and e = mean(x - m), which m lacks."""

    def __init__(self, tiling: Tiling, eps: float) -> None:
        super().__init__(tiling)
        self.eps = eps
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.x = self.global_tensor("x", shape, HALF)
        self.gamma, self.beta = (self.global_tensor(n, width, "float32") for n in ("gamma", "beta"))
        self.y = self.global_tensor("y", shape, HALF)
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))
        self.inputs, self.outputs = [self.x, self.gamma, self.beta], [self.y, self.mean, self.rstd]

    def core_program(self) -> None:
        """What each core does."""
        self.declare()
        self.walk_in_slots(self.load, self.prepare, self._slot)

    def declare(self) -> None:
        """Everything that lives as long as the core: per set x, x - m and y."""
        self.sums = CubeSums(self)
        self.given, self.shifted, self.result = (
            [self.rows_tensor(f"{n}_{i}", HALF) for i in (0, 1)] for n in ("given", "shifted", "result")
        )
        self.local_gamma, self.local_beta = self.parameter(self.gamma, "gamma"), self.parameter(self.beta, "beta")
        self.ones = self.sums.ones()
        self.staged = {n: self.sums.staged(f"staged_{n}") for n in ("given", "shifted")}
        self.totals = {n: self.sums.row_totals(f"totals_{n}") for n in ("given", "shifted")}
        self.traced = {n: self.sums.buffers(f"traced_{n}") for n in ("given", "shifted")}
        self.wide = self.row_sets("total", "mean", "shift", "rest", "rstd", "variance", "square", "root", "other")
        self.narrow = self.row_sets("shift", "first", "second", "offset", dtype=HALF)
        self.zero, self.one = self.row_values("zero"), self.row_values("one")
        fill(self.t, self.zero, 0.0)
        fill(self.t, self.one, 1.0)

    def load(self, which: int, start: Any, rows: Any) -> None:
        """The rows of a batch into UB."""
        self.load_rows(self.given[which], self.x, start, rows)

    def prepare(self, which: int, start: Any, rows: Any) -> None:
        """The sums of the rows that are to be normalised, on the cube."""
        self.sums.stage(self.staged["given"], self.given[which])
        self.sums.sum_rows(self.totals["given"], self.staged["given"], self.ones)

    def _slot(self, begin: Batch | None, finish: Batch | None, look_ahead: LookAhead | None) -> None:
        chains = [self._finish_statistics(finish.which)] if finish else []
        take_turns(*chains, *([self._begin_statistics(begin.which)] if begin else []))
        if begin and look_ahead:
            self._shift(begin.which)
            look_ahead()
        if finish:
            self._normalise(finish.which, *self.extent(finish.number))

    def _begin_statistics(self, which: int) -> Iterator[None]:
        """The mean, its negative in fp16, and rest = -e."""
        wide, narrow, features = self.wide[which], self.narrow[which], self.tiling.features
        yield from self.sums.traces(self.traced["given"], self.totals["given"], wide["total"])
        self.scaled(wide["shift"], wide["total"], -1.0 / features)
        yield
        self.narrowed(narrow["shift"], wide["shift"])
        yield
        self.widened(wide["shift"], narrow["shift"])
        yield
        self.scaled(wide["rest"], wide["shift"], float(features))
        yield
        self.combined(self.t.vadd, wide["rest"], wide["rest"], wide["total"])
        yield
        self.scaled(wide["rest"], wide["rest"], -1.0 / features)
        yield
        self.combined(self.t.vadd, wide["mean"], wide["shift"], wide["rest"])
        yield
        self.scaled(wide["mean"], wide["mean"], -1.0)
        yield

    def _shift(self, which: int) -> None:
        """x - m, and the sums of its squares on the cube."""
        shifted = self.shifted[which]
        self.per_row(self.t.vadds, shifted, self.given[which], self.narrow[which]["shift"])
        self.sums.stage(self.staged["shifted"], shifted)
        self.sums.multiply_rows(self.totals["shifted"], self.staged["shifted"], self.staged["shifted"])

    def _finish_statistics(self, which: int) -> Iterator[None]:
        """rstd = 1 / sqrt(max(mean square - rest^2, 0) + eps), its two factors, and the offset rest rstd."""
        t, batch, wide, narrow = self.t, self.tiling.batch, self.wide[which], self.narrow[which]
        variance = wide["variance"]
        yield from self.sums.traces(self.traced["shifted"], self.totals["shifted"], variance)
        self.scaled(variance, variance, 1.0 / self.tiling.features)
        self.combined(t.vmul, wide["square"], wide["rest"], wide["rest"])
        yield
        self.combined(t.vsub, variance, variance, wide["square"])
        yield
        self.combined(t.vmax, variance, variance, self.zero)
        yield
        t.vadds(batch, variance, variance, self.eps, 1, 1, 1, 8, 8)
        yield
        t.vsqrt(batch, variance, variance, 1, 1, 1, 8, 8)
        yield
        self.combined(t.vdiv, wide["rstd"], self.one, variance)
        yield
        self.combined(t.vmul, wide["square"], wide["rest"], wide["rstd"])
        yield from self.two_factors(wide, narrow)
        self.narrowed(narrow["offset"], wide["square"])
        yield

    def _normalise(self, which: int, start: Any, rows: Any) -> None:
        t, wide, narrow = self.t, self.wide[which], self.narrow[which]
        steps: list[tuple[Any, Any, Any]] = [
            (self.per_row, t.vmuls, narrow["first"]),
            (self.per_row, t.vmuls, narrow["second"]),
            (self.per_row, t.vadds, narrow["offset"]),
            (self.per_column, t.vmul, self.local_gamma),
            (self.per_column, t.vadd, self.local_beta),
        ]
        self.store_row_values(self.mean, wide["mean"], start, rows)
        self.store_row_values(self.rstd, wide["rstd"], start, rows)
        result = self.apply(steps, self.shifted[which], self.result[which])
        self.store_rows(self.y, result, start, rows)


class Backward(Program):
    """dx = (g - mean(g) - mean(g xhat) xhat) rstd with g = dy gamma; dgamma = sum dy xhat, dbeta = sum dy on the cube."""

    def __init__(self, tiling: Tiling) -> None:
        super().__init__(tiling)
        shape, width = (tiling.rows, tiling.features), (tiling.features,)
        self.dy, self.x = (self.global_tensor(n, shape, HALF) for n in ("dy", "x"))
        self.gamma = self.global_tensor("gamma", width, "float32")
        self.mean, self.rstd = (self.global_tensor(n, (tiling.rows,), "float32") for n in ("mean", "rstd"))
        self.dx = self.global_tensor("dx", shape, HALF)
        self.dgamma, self.dbeta = (self.global_tensor(n, width, "float32", True) for n in ("dgamma", "dbeta"))
        self.inputs = [self.dy, self.x, self.gamma, self.mean, self.rstd]
        self.outputs = [self.dx, self.dgamma, self.dbeta]

    def core_program(self) -> None:
        """What each core does."""
        self.declare()
        self.walk_in_slots(self._load, lambda *_: None, self._slot)
        self.store_column_sums()

    def declare(self) -> None:
        """Everything that lives as long as the core. What an instruction reads beside another tensor lies aside."""
        self.sums = CubeSums(self)
        self.local_dy, self.local_x, self.g = (
            [self.rows_tensor(f"{n}_{i}", HALF) for i in (0, 1)] for n in ("local_dy", "local_x", "g")
        )
        self.xhat, self.result = ([self.rows_aside(f"{n}_{i}", HALF) for i in (0, 1)] for n in ("xhat", "result"))
        self.product, self.scratch = (self.rows_tensor(n, HALF) for n in ("product", "scratch"))
        self.local_gamma = self.parameter(self.gamma, "gamma")
        self.ones, self.identity = self.sums.ones(), self.sums.identity()
        self.staged = {n: self.sums.staged(f"staged_{n}") for n in ("g", "xhat", "dy", "product")}
        self.totals = {n: self.sums.row_totals(f"totals_{n}") for n in ("g", "gx")}
        self.traced = {n: self.sums.buffers(f"traced_{n}") for n in ("g", "gx")}
        self.columns_dgamma, self.columns_dbeta = (self.sums.column_totals(n) for n in ("dgamma", "dbeta"))
        self.wide = self.row_sets("mean", "rstd", "shift", "offset", "root", "other", "mean_g", "mean_gx")
        self.narrow = self.row_sets("shift", "first", "second", "offset", "mean_g", "mean_gx", dtype=HALF)

    def store_column_sums(self) -> None:
        """The sums over this core's rows are added to those of the others."""
        self.sums.store_columns(self.dgamma, self.columns_dgamma)
        self.sums.store_columns(self.dbeta, self.columns_dbeta)

    def _load(self, which: int, start: Any, rows: Any) -> None:
        self.load_rows(self.local_dy[which], self.dy, start, rows)
        self.load_rows(self.local_x[which], self.x, start, rows)
        self.load_row_values(self.wide[which]["mean"], self.mean, start, rows)
        self.load_row_values(self.wide[which]["rstd"], self.rstd, start, rows)

    def _slot(self, begin: Batch | None, finish: Batch | None, look_ahead: LookAhead | None) -> None:
        if finish:
            self.fetch(finish.which, *self.extent(finish.number))
        chains = [self._means(finish.which)] if finish else []
        take_turns(*chains, *([self._row_factors(begin.which)] if begin else []))
        if begin and look_ahead:
            self._products(begin.which)
            look_ahead()
        if finish:
            self._gradient(finish.which, *self.extent(finish.number))

    def _row_factors(self, which: int) -> Iterator[None]:
        """What makes xhat of x: the shift -m in fp16, the two factors of rstd, and the offset for what m lacks."""
        wide, narrow = self.wide[which], self.narrow[which]
        self.scaled(wide["offset"], wide["mean"], -1.0)
        yield
        self.narrowed(narrow["shift"], wide["offset"])
        yield
        self.widened(wide["shift"], narrow["shift"])
        yield
        self.combined(self.t.vsub, wide["offset"], wide["offset"], wide["shift"])
        yield
        self.combined(self.t.vmul, wide["offset"], wide["offset"], wide["rstd"])
        yield from self.two_factors(wide, narrow)
        self.narrowed(narrow["offset"], wide["offset"])
        yield

    def _products(self, which: int) -> None:
        """xhat, g and dy xhat, and their sums on the cube."""
        t, narrow, sums = self.t, self.narrow[which], self.sums
        dy, g, xhat = self.local_dy[which], self.g[which], self.xhat[which]
        self.per_column(t.vmul, g, dy, self.local_gamma)
        sums.stage(self.staged["g"], g)
        self.per_row(t.vadds, self.scratch, self.local_x[which], narrow["shift"])
        steps = [(t.vmuls, narrow["first"]), (t.vmuls, narrow["second"]), (t.vadds, narrow["offset"])]
        self.apply([(self.per_row, *step) for step in steps], self.scratch, xhat)
        sums.stage(self.staged["xhat"], xhat)
        sums.sum_rows(self.totals["g"], self.staged["g"], self.ones)
        sums.multiply_rows(self.totals["gx"], self.staged["g"], self.staged["xhat"])
        self.elementwise(partial(two_sources, t.vmul), self.product, dy, xhat)
        for name, local, total in (("dy", dy, self.columns_dbeta), ("product", self.product, self.columns_dgamma)):
            sums.stage(self.staged[name], local)
            sums.add_columns(total, self.staged[name], self.identity)

    def _means(self, which: int) -> Iterator[None]:
        """-mean(g) and -mean(g xhat)."""
        wide, narrow = self.wide[which], self.narrow[which]
        for name, total in (("mean_g", "g"), ("mean_gx", "gx")):
            yield from self.sums.traces(self.traced[total], self.totals[total], wide[name])
        for name in ("mean_g", "mean_gx"):
            self.scaled(wide[name], wide[name], -1.0 / self.tiling.features)
        yield
        for name in ("mean_g", "mean_gx"):
            self.narrowed(narrow[name], wide[name])
        yield

    def _gradient(self, which: int, start: Any, rows: Any) -> None:
        t, narrow, result, scratch = self.t, self.narrow[which], self.result[which], self.scratch
        self.per_row(t.vmuls, result, self.xhat[which], narrow["mean_gx"])
        self.elementwise(partial(two_sources, t.vadd), scratch, self.g[which], result)
        steps = [(t.vadds, narrow["mean_g"]), (t.vmuls, narrow["first"]), (t.vmuls, narrow["second"])]
        self.apply([(self.per_row, *step) for step in steps], scratch, result)
        self.hand_over(which, result, start, rows)

    def fetch(self, which: int, start: Any, rows: Any) -> None:
        """What `hand_over` needs beside the gradient; nothing here."""

    def hand_over(self, which: int, result: Any, start: Any, rows: Any) -> None:
        """What becomes of a batch of the gradient."""
        self.store_rows(self.dx, result, start, rows)
