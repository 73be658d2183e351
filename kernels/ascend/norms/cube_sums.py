"""Sums of fp16 rows on the cube, where they cost the vector unit next to nothing.

A row of UB is taken as `fractals` matrices F_k of 16 x 16, as it lies in memory. Then

    sum of a row of a b, element by element = trace of sum_k A_k B_k^T         one product [16, K] [K, 16] per row
    sum of a row of a                       = the same with B_k full of ones   one product for all rows
    sum of a column of a, over rows         = element of sum_rows A_k I        one product for all rows, added up in L0C

Products of fp16 are exact and their sums are fp32. The traces cost the vector unit 11 cycles a row, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bert_thor.kernels.ascend.norms.row_batches import RowBatches
from bert_thor.kernels.ascend.norms.tiling import fractals_per_row
from bert_thor.kernels.ascend.sizes import FP32_LANES, FRACTAL, FRACTAL_ITEMS, L0_BYTES
from bert_thor.kernels.ascend.tik_support import fill

OPERAND_ITEMS = L0_BYTES // 2 // 2  # half of L0A or L0B: one operand is loaded while the other is multiplied
QUARTERS = FRACTAL_ITEMS // FP32_LANES
# where the diagonal of 16 x 16 lies in each run of 64: row r of quarter q holds it in column 4 q + r
DIAGONALS = [sum(1 << (FRACTAL * r + 4 * q + r) for r in range(4)) for q in range(QUARTERS)]
# where it lies in each run of 128, as the two 64-bit words of a mask
HALF_DIAGONALS = [[DIAGONALS[2 * h + 1], DIAGONALS[2 * h]] for h in range(2)]


class CubeSums:
    """The cube's part of a kernel over batches of fp16 rows; made inside the loop over cores."""

    def __init__(self, batches: RowBatches) -> None:
        self.batches, self.t, self.tik = batches, batches.t, batches.tik
        self.rows = batches.tiling.batch
        self.fractals = fractals_per_row(batches.tiling.features)
        self.pitch = self.fractals * FRACTAL_ITEMS
        self.padding = self.pitch // FRACTAL - batches.row_blocks  # blocks of zeros after every row in L1
        self.chunk = max(1, min(self.rows, OPERAND_ITEMS // self.pitch))
        t, tik, size = self.t, self.tik, self.chunk * self.pitch
        self.left = [t.Tensor("float16", (size,), name=f"left_{i}", scope=tik.scope_ca) for i in (0, 1)]
        self.right = t.Tensor("float16", (size,), name="right", scope=tik.scope_cb)
        self.turn = 0

    # Operands ---------------------------------------------------------------------------------------------------------

    def staged(self, name: str) -> Any:
        """A batch in L1, zeros after every row."""
        tensor = self.t.Tensor("float16", (self.rows * self.pitch,), name=name, scope=self.tik.scope_cbuf)
        if self.padding:
            with self.t.new_stmt_scope():
                zeros = self.batches.local_tensor("zeros", (self.padding * FRACTAL,), "float16")
                fill(self.t, zeros, 0.0)
                for row in range(self.rows):
                    target = tensor[(row + 1) * self.pitch - self.padding * FRACTAL]
                    self.t.data_move(target, zeros, 0, 1, self.padding, 0, 0)
        return tensor

    def stage(self, tensor: Any, local: Any) -> None:
        """A batch from UB to L1."""
        self.t.data_move(tensor, local, 0, self.rows, self.batches.row_blocks, 0, self.padding)

    def ones(self) -> Any:
        """The right operand of `sum_rows`."""
        return self._constant("ones", self.fractals, lambda local: fill(self.t, local, 1.0))

    def identity(self) -> Any:
        """The right operand of `add_columns`."""

        def draw(local: Any) -> None:
            fill(self.t, local, 0.0)
            for half, mask in enumerate(HALF_DIAGONALS):
                self.t.vector_dup(mask, local[half * FRACTAL_ITEMS // 2], 1.0, 1, 1, 8)

        return self._constant("identity", self.chunk, draw)

    def _constant(self, name: str, copies: int, draw: Any) -> Any:
        """`copies` of one fractal in L0B."""
        t, tik = self.t, self.tik
        constant = t.Tensor("float16", (copies * FRACTAL_ITEMS,), name=name, scope=tik.scope_cb)
        with t.new_stmt_scope():
            local = self.batches.local_tensor(f"{name}_local", (FRACTAL_ITEMS,), "float16")
            draw(local)
            fractal = t.Tensor("float16", (FRACTAL_ITEMS,), name=f"{name}_fractal", scope=tik.scope_cbuf)
            t.data_move(fractal, local, 0, 1, FRACTAL, 0, 0)
            t.load2dv1(constant, fractal, 0, copies, 0, 0, False)
        return constant

    # Products ---------------------------------------------------------------------------------------------------------

    def row_totals(self, name: str) -> Any:
        """A fractal of L0C per row, for `multiply_rows` and `sum_rows`."""
        return self.t.Tensor("float32", (self.rows * FRACTAL_ITEMS,), name=name, scope=self.tik.scope_cc)

    def multiply_rows(self, totals: Any, left: Any, right: Any) -> None:
        """totals[r] has the trace sum(left[r] * right[r])."""
        for first, count in self._chunks():
            operand = self._load_left(left, first, count)
            self.t.load2dv1(self.right, right[first * self.pitch], 0, count * self.fractals, 1, 0, False)
            for row in range(count):
                total, start = totals[(first + row) * FRACTAL_ITEMS], row * self.pitch
                self.t.mmad(total, operand[start], self.right[start], FRACTAL, FRACTAL * self.fractals, FRACTAL, 0)

    def sum_rows(self, totals: Any, left: Any, ones: Any) -> None:
        """totals[r] has the trace sum(left[r])."""
        for first, count in self._chunks():
            operand, total = self._load_left(left, first, count), totals[first * FRACTAL_ITEMS]
            self.t.mmad(total, operand, ones, FRACTAL * count, FRACTAL * self.fractals, FRACTAL, 0)

    def column_totals(self, name: str) -> Any:
        """Zeros in L0C, for `add_columns`."""
        t, shape = self.t, (self.pitch,)
        totals = t.Tensor("float32", shape, name=name, scope=self.tik.scope_cc)
        with t.new_stmt_scope():
            zeros = self.batches.local_tensor("zeros", shape, "float32")
            fill(t, zeros, 0.0)
            t.data_move(totals, zeros, 0, 1, self.fractals, 0, 0)
        return totals

    def add_columns(self, totals: Any, left: Any, identity: Any) -> None:
        """totals[j] += sum over rows of left[:, j]."""
        for first, count in self._chunks():
            operand = self._next_left()
            for k in range(self.fractals):
                source = left[first * self.pitch + k * FRACTAL_ITEMS]
                self.t.load2dv1(operand[k * count * FRACTAL_ITEMS], source, 0, count, self.fractals, 0, False)
            self.t.mmad(totals, operand, identity, FRACTAL * self.fractals, FRACTAL * count, FRACTAL, 1)

    def _chunks(self) -> Iterator[tuple[int, int]]:
        for first in range(0, self.rows, self.chunk):
            yield first, min(self.chunk, self.rows - first)

    def _next_left(self) -> Any:
        self.turn ^= 1
        return self.left[self.turn]

    def _load_left(self, source: Any, first: int, count: int) -> Any:
        operand = self._next_left()
        self.t.load2dv1(operand, source[first * self.pitch], 0, count * self.fractals, 1, 0, False)
        return operand

    # Results ----------------------------------------------------------------------------------------------------------

    def buffers(self, name: str) -> tuple[Any, Any]:
        """What `traces` works in."""
        shapes = (("fractals", FRACTAL_ITEMS), ("diagonals", FP32_LANES))
        fractals, diagonals = (self.batches.local_tensor(f"{name}_{n}", (self.rows, k), "float32") for n, k in shapes)
        return fractals, diagonals

    def traces(self, buffers: tuple[Any, Any], totals: Any, sums: Any) -> Iterator[None]:
        """sums[r] = trace of totals[r]; yields where the next instruction waits for the one before."""
        t, (fractals, diagonals) = self.t, buffers
        t.data_move(fractals, totals, 0, 1, self.rows, 0, 0)
        yield
        for quarter, mask in enumerate(DIAGONALS):
            source = fractals[quarter * FP32_LANES]
            t.vadds([0, mask], diagonals, source, 0.0, self.rows, 1, 1, FP32_LANES // 8, FRACTAL_ITEMS // 8)
        yield
        t.vcadd([0, sum(DIAGONALS)], sums, diagonals, self.rows, 1, 1, FP32_LANES // 8)
        yield

    def store_columns(self, target: Any, totals: Any) -> None:
        """Add the column totals to `target` in global memory."""
        t = self.t
        with t.new_stmt_scope():
            local = self.batches.local_tensor("columns", (self.pitch,), "float32")
            t.data_move(local, totals, 0, 1, self.fractals, 0, 0)
            t.set_atomic_add(1)
            t.data_move(target, local, 0, 1, self.batches.tiling.features // 8, 0, 0)
            t.set_atomic_add(0)
